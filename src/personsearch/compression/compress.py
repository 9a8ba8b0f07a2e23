"""The compression stage: a family of smaller forms of a model, each measured, and the one to serve by a stated rule."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import Field, field_validator

from personsearch.bundle import CALIBRATION, IMAGE_ONNX, METRICS, MODEL_CARD, TEXT_ONNX, WEIGHTS, Bundle, Runtime
from personsearch.compression.choice import Choice, ChoiceConfig, Row, choose
from personsearch.compression.pareto import draw, table
from personsearch.compression.sample import draw_sample
from personsearch.compression.speed import Speed, measure_speed
from personsearch.compression.structure import Structure, build_structure
from personsearch.compression.variants import OnnxVariant, build_form
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.data.output_folder import sole_writer
from personsearch.errors import UserError
from personsearch.evaluation.evaluate import EMBEDDINGS, evaluate_on
from personsearch.evaluation.measured import EvaluateConfig
from personsearch.evaluation.paired import FirstRanks, r1_margin
from personsearch.files import replacing, replacing_folder, write_json
from personsearch.run_record import write_run_record

logger = logging.getLogger(__name__)

TABLE, REPORT, PICTURE = "compression.json", "compression.md", "compression.png"
CHOSEN, EVALUATION, STRUCTURES = "chosen", "evaluation", "structures"
UNCOMPRESSED = "torch"
TABLE_COLUMNS = ("name", "r1", "map", "bytes", "text_ms", "image_ms", "chosen")


class Form(Structure):
    """What is cut from the model, in what numbers its graphs compute, and what runs them."""

    numbers: OnnxVariant = "onnx-fp32"
    """Precision of the ONNX graphs; `onnx-int8-static` also fits the ranges of activations to training images."""

    runtime: Runtime = "onnxruntime"
    """The engine that runs them; `openvino` must be installed."""


class CompressConfig(Config):
    """Section `compress` of params.yaml: the forms of a model that are compared, and how one is chosen."""

    evaluation: EvaluateConfig = EvaluateConfig(split="val")
    """How forms are measured. They are chosen on its `split`, or on test where the data set lacks that split."""

    forms: dict[str, Form] = Field(default={"onnx-fp32": Form(), "onnx-int8": Form(numbers="onnx-int8")}, min_length=1)
    """Forms by name; docs/compression.md shows what a form can be."""

    choice: ChoiceConfig = ChoiceConfig()
    """The rule of choice."""

    timing_rounds: int = Field(default=30, ge=1)
    """Measurements behind each median time."""

    @field_validator("forms")
    @classmethod
    def _names_are_folders(cls, forms: dict[str, Form]) -> dict[str, Form]:
        for name in forms:
            if name in {UNCOMPRESSED, CHOSEN, EVALUATION, STRUCTURES} or not name.replace("-", "").isalnum():
                raise ValueError(f"{name!r} cannot name a form; letters, digits and - wanted")
        return forms


@dataclass(frozen=True, slots=True)
class _Measured:
    """A form's bundle and what was found."""

    folder: Path
    metrics: Mapping[str, float]
    ranks: FirstRanks
    speed: Speed

    def row(self, name: str, uncompressed: FirstRanks) -> Row:
        files = [self.folder / file for file in (WEIGHTS, IMAGE_ONNX, TEXT_ONNX)]
        size = sum(file.stat().st_size for file in files if file.is_file())
        dim = Bundle.open(self.folder).spec.embedding_dim
        quality = self.metrics["t2i_r1"], self.metrics["t2i_map"], r1_margin(uncompressed, self.ranks)
        return Row(name, *quality, bytes=size, dim=dim, **asdict(self.speed))


def compress(config: CompressConfig, bundle: Path, dataset: Path, out_dir: Path) -> dict[str, float]:
    """Write a folder per form and chosen/ (bundles), compression.json, .md and .png, evaluation/ and run.json.

    Started again after a kill, it keeps the bundles and embeddings that are finished. Two at once take turns.

    Raises:
        UserError: the bundle is no torch one, a form does not fit it, the export is not faithful, or the data set
            cannot be read.
    """
    source = Bundle.open(bundle)
    if source.spec.variant != UNCOMPRESSED:
        raise UserError(f"{bundle}: variant {source.spec.variant!r}; only a torch bundle can be compressed")
    data = Dataset.open(dataset)
    split = data.split_or_test(config.evaluation.split)
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"split": split})})
    with sole_writer(out_dir):
        choice = _compress(config, bundle, data, out_dir)
        results = _results(choice)
        lineage = {"dataset_hash": data.hash, "parent": source.fingerprint, "chosen": choice.chosen.name}
        write_run_record(out_dir, "compress", config, results, lineage)
        for folder in (out_dir / EVALUATION).glob(f"*/{EMBEDDINGS}"):
            shutil.rmtree(folder)
    return results


def _compress(config: CompressConfig, bundle: Path, dataset: Dataset, out_dir: Path) -> Choice:
    """Build, measure, choose, report, publish."""
    evaluation = config.evaluation
    folders = {UNCOMPRESSED: bundle, **_build(config.forms, bundle, dataset, out_dir)}
    evaluations = {name: out_dir / EVALUATION / name for name in folders}
    metrics = {
        name: evaluate_on(evaluation, Bundle.open(folder), dataset, evaluations[name])
        for name, folder in folders.items()
    }
    ranks = {name: FirstRanks.read(folder) for name, folder in evaluations.items()}
    speeds = measure_speed(folders, config.timing_rounds, threads=evaluation.threads)
    measured = {name: _Measured(folders[name], metrics[name], ranks[name], speeds[name]) for name in folders}
    uncompressed, *forms = [each.row(name, ranks[UNCOMPRESSED]) for name, each in measured.items()]
    forms.sort(key=lambda row: (-row.bytes, row.name))  # Kubeflow keeps no order of names
    choice = choose([uncompressed, *forms], config.choice)
    _report(choice, evaluation.split, out_dir)
    for name in config.forms:
        _complete(folders[name], evaluations[name], (out_dir / REPORT).read_text(encoding="utf-8"))
    _publish(folders[choice.chosen.name], out_dir)
    return choice


def _build(forms: Mapping[str, Form], bundle: Path, dataset: Dataset, out_dir: Path) -> dict[str, Path]:
    """The folder of every form; 8-bit ones come from the float32 graphs of another form that has the same cuts."""
    folders: dict[str, Path] = {}
    full: dict[Path, Path] = {}
    for place, (name, form) in enumerate(forms.items(), start=1):
        logger.info("form %d of %d: %s", place, len(forms), name)
        cut = build_structure(form, bundle, dataset, out_dir / STRUCTURES)
        sample = draw_sample(dataset, Bundle.open(cut).spec) if form.numbers == "onnx-int8-static" else None
        folders[name] = out_dir / name
        build_form(cut, form.numbers, form.runtime, folders[name], sample, full=full.get(cut))
        if form.numbers == "onnx-fp32":
            full.setdefault(cut, folders[name])
    return folders


def _report(choice: Choice, split: str, out_dir: Path) -> None:
    with replacing(out_dir / REPORT) as temporary:
        temporary.write_text(table(choice, split), encoding="utf-8")
    draw(choice, out_dir / PICTURE)
    rows = [asdict(row) for row in choice.rows]
    write_json(out_dir / TABLE, [{key: row[key] for key in TABLE_COLUMNS} for row in rows])


def _complete(folder: Path, evaluation: Path, report: str) -> None:
    """What a bundle carries once it is measured: its own metrics and calibration, and the table in its card."""
    for name in (METRICS, CALIBRATION):
        with replacing(folder / name) as temporary:
            shutil.copyfile(evaluation / name, temporary)
    card = folder / MODEL_CARD
    before = card.read_text(encoding="utf-8") if card.is_file() else f"# {folder.name}\n"
    heading = "\n## Compression\n"
    text = f"{before.split(heading)[0]}{heading}\nThis bundle is `{folder.name}`. {report}"
    with replacing(card) as temporary:  # what stood above the heading would be lost to a kill
        temporary.write_text(text, encoding="utf-8")


def _publish(source: Path, out_dir: Path) -> None:
    """The chosen bundle with the picture of what it was chosen among."""
    with replacing_folder(out_dir / CHOSEN) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        shutil.copyfile(out_dir / PICTURE, folder / PICTURE)


def _results(choice: Choice) -> dict[str, float]:
    results = {f"{row.name.replace('-', '_')}_{figure}": getattr(row, figure)
               for row in choice.rows for figure in ("r1", "bytes", "text_ms")}  # fmt: skip
    chosen = {name: value for name, value in asdict(choice.chosen).items() if name not in {"name", "chosen"}}
    return results | {f"chosen_{name}": value for name, value in chosen.items()}
