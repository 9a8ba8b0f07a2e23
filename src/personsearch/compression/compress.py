"""The compression stage: makes smaller forms of a model, measures each, and chooses the one to serve by a rule."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import Field, field_validator

from personsearch.bundle import CALIBRATION, IMAGE_ONNX, METRICS, MODEL_CARD, TEXT_ONNX, WEIGHTS, Bundle
from personsearch.compression.choice import Choice, ChoiceConfig, Row, choose, draw, table
from personsearch.compression.forms import STRUCTURES, Form, build_forms
from personsearch.compression.recovery import check_recovery
from personsearch.compression.speed import Speed, measure_speed
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.data.output_folder import sole_writer
from personsearch.errors import UserError
from personsearch.evaluation.attributes.limits import with_limits
from personsearch.evaluation.attributes.measure import AttributesConfig
from personsearch.evaluation.evaluate import EMBEDDINGS, evaluate_on
from personsearch.evaluation.measured import EvaluateConfig
from personsearch.evaluation.paired import FirstRanks, r1_margin
from personsearch.files import replacing, replacing_folder, write_json
from personsearch.run_record import write_run_record

logger = logging.getLogger(__name__)

TABLE, REPORT, PICTURE = "compression.json", "compression.md", "compression.png"
CHOSEN, EVALUATION = "chosen", "evaluation"
UNCOMPRESSED = "torch"
TABLE_COLUMNS = ("name", "r1", "map", "bytes", "text_ms", "image_ms", "chosen")


class CompressConfig(Config):
    """Section `compress` of params.yaml: the forms of a model that are compared, and how one is chosen."""

    evaluation: EvaluateConfig = EvaluateConfig(split="val", attributes=AttributesConfig(swapped_captions=0))
    """How forms are measured. They are chosen on its `split`, or on test where the data set lacks that split."""

    forms: dict[str, Form] = Field(default={"onnx-fp32": Form(), "onnx-int8": Form(variant="onnx-int8")}, min_length=1)
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
                raise ValueError(f"{name!r} cannot name a form; expected letters, digits and -")
        return forms


@dataclass(frozen=True, slots=True)
class _Measured:
    """A form's bundle and what was measured of it."""

    bundle: Bundle
    metrics: Mapping[str, float]
    ranks: FirstRanks
    speed: Speed

    def row(self, name: str, uncompressed: FirstRanks) -> Row:
        files = [self.bundle.path(file) for file in (WEIGHTS, IMAGE_ONNX, TEXT_ONNX)]
        size = sum(file.stat().st_size for file in files if file.is_file())
        dim = self.bundle.spec.embedding_dim
        quality = self.metrics["t2i_r1"], self.metrics["t2i_map"], r1_margin(uncompressed, self.ranks)
        return Row(name, *quality, bytes=size, dim=dim, **asdict(self.speed))


def compress(config: CompressConfig, bundle: Path, dataset: Path, out_dir: Path) -> dict[str, float]:
    """Write a folder per form and chosen/ (bundles), compression.json, .md and .png, evaluation/ and run.json.

    A run that was killed resumes: finished bundles and embeddings are kept. Two runs in one folder take turns.

    Raises:
        UserError: the bundle is not a torch bundle, a form does not fit it, the export is not faithful, or the data
            set cannot be read.
    """
    source = Bundle.open(bundle)
    if source.spec.variant != UNCOMPRESSED:
        raise UserError(f"{bundle}: variant {source.spec.variant!r}; only a torch bundle can be compressed")
    data = Dataset.open(dataset)
    for name, form in config.forms.items():
        if form.recover is not None:
            check_recovery(form.recover, data, f"compress.forms.{name}.recover")
    split = data.split_or_test(config.evaluation.split)
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"split": split})})
    with sole_writer(out_dir):
        choice = _compress(config, source, data, out_dir)
        results = _results(choice)
        lineage = {"dataset_hash": data.hash, "parent": source.fingerprint, "chosen": choice.chosen.name}
        write_run_record(out_dir, "compress", config, results, lineage)
        # They are kept for a run that is killed; this one has finished.
        for folder in (out_dir / EVALUATION).glob(f"*/{EMBEDDINGS}"):
            shutil.rmtree(folder)
    return results


def _compress(config: CompressConfig, source: Bundle, dataset: Dataset, out_dir: Path) -> Choice:
    """Build, measure, choose, report, publish."""
    evaluation = config.evaluation
    bundles = {UNCOMPRESSED: source, **build_forms(config.forms, source, dataset, out_dir)}
    evaluations = {name: out_dir / EVALUATION / name for name in bundles}
    metrics = {
        name: evaluate_on(evaluation, bundle, dataset, evaluations[name], label=name)
        for name, bundle in bundles.items()
    }
    ranks = {name: FirstRanks.read(folder) for name, folder in evaluations.items()}
    speeds = measure_speed(bundles, config.timing_rounds, threads=evaluation.threads)
    measured = {name: _Measured(bundles[name], metrics[name], ranks[name], speeds[name]) for name in bundles}
    uncompressed, *forms = [each.row(name, ranks[UNCOMPRESSED]) for name, each in measured.items()]
    forms.sort(key=lambda row: (-row.bytes, row.name))  # Kubeflow does not keep the order of forms
    choice = choose([uncompressed, *forms], config.choice)
    _report(choice, evaluation.split, out_dir)
    report = (out_dir / REPORT).read_text(encoding="utf-8")
    for name in config.forms:
        _complete(bundles[name], evaluations[name], with_limits(report, metrics[name], evaluation.split))
    _publish(bundles[choice.chosen.name], out_dir)
    return choice


def _report(choice: Choice, split: str, out_dir: Path) -> None:
    with replacing(out_dir / REPORT) as temporary:
        temporary.write_text(table(choice, split), encoding="utf-8")
    draw(choice, out_dir / PICTURE)
    rows = [asdict(row) for row in choice.rows]
    write_json(out_dir / TABLE, [{key: row[key] for key in TABLE_COLUMNS} for row in rows])


def _complete(bundle: Bundle, evaluation: Path, report: str) -> None:
    """Put into a measured bundle its own metrics and calibration, and the table into its card."""
    for name in (METRICS, CALIBRATION):
        with replacing(bundle.path(name)) as temporary:
            shutil.copyfile(evaluation / name, temporary)
    card, name = bundle.path(MODEL_CARD), bundle.folder.name
    before = card.read_text(encoding="utf-8") if card.is_file() else f"# {name}\n"
    heading = "\n## Compression\n"
    text = f"{before.split(heading)[0]}{heading}\nThis bundle is `{name}`. {report}"
    with replacing(card) as temporary:  # a kill during a write in place would lose what training wrote
        temporary.write_text(text, encoding="utf-8")


def _publish(bundle: Bundle, out_dir: Path) -> None:
    """Copy the chosen bundle to chosen/, with the picture of what it was chosen among."""
    with replacing_folder(out_dir / CHOSEN) as folder:
        shutil.copytree(bundle.folder, folder, dirs_exist_ok=True)
        shutil.copyfile(out_dir / PICTURE, folder / PICTURE)


def _results(choice: Choice) -> dict[str, float]:
    results = {f"{row.name.replace('-', '_')}_{figure}": getattr(row, figure)
               for row in choice.rows for figure in ("r1", "bytes", "text_ms")}  # fmt: skip
    chosen = {name: value for name, value in asdict(choice.chosen).items() if name not in {"name", "chosen"}}
    return results | {f"chosen_{name}": value for name, value in chosen.items()}
