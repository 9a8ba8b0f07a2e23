"""The probing stage: what each module of a trained CLIP contributes, and how critical its training was.

TBPS-CLIP's two figures (arXiv 2308.10045, Compression) of every attention, feed-forward and layer of both towers,
and the layers that they recommend to freeze or drop. One walk over the data measures many probes: the removal of every
module, or one step of every module's bisection. No probe costs more than one pass of its own tower (probes/walk), and
the other tower runs once.
"""

import hashlib
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from personsearch.bundle import Bundle
from personsearch.compression.probes.figures import ProbeFigures
from personsearch.compression.probes.measure import ProbeJournal, Prober
from personsearch.compression.probes.report import draw_heatmaps, report
from personsearch.compression.probes.towers import hash_weights, take_apart, weights_before
from personsearch.compression.probes.walk import Batches, ImageBatches, TextBatches
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.data.output_folder import sole_writer
from personsearch.data.records import Split
from personsearch.encoders.torch import TorchEncoder
from personsearch.evaluation.embeddings import SplitEmbeddings, embed_records
from personsearch.evaluation.metrics import retrieval_metrics
from personsearch.files import replacing, write_json
from personsearch.models.architecture import SIDES, Side
from personsearch.models.build import BuiltModel, load_bundle_model
from personsearch.models.device import choose_device
from personsearch.run_record import write_run_record
from personsearch.training.cpu import kept_memory

FIGURES, TABLE, PICTURE = "probe.json", "probe.md", "probe.png"
JOURNAL, WALK, EMBEDDINGS = "probes.jsonl", "walk.npz", "embeddings"


class ProbeConfig(Config):
    """Section `probe` of params.yaml: how a fine-tuned model is probed (docs/probing.md)."""

    split: Split = "val"
    """Split to measure R@1 on; test where the data set lacks it."""

    towers: tuple[Side, ...] = Field(default=SIDES, min_length=1)
    """Towers to probe."""

    max_loss: float = Field(default=3.0, gt=0, le=100)
    """Points of R@1: a module's criticality is the smallest alpha that loses less than this."""

    resolution: float = Field(default=0.01, gt=0, le=1)
    """Step of alpha in [0, 1]; a coarser one takes fewer passes."""

    largest_selection: int = Field(default=5, ge=1)
    """The recommendation holds at most this many layers."""

    batch_size: int = Field(default=64, ge=1)
    """Images or captions encoded at once."""

    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`."""

    @property
    def steps(self) -> int:
        """Alpha is one of 0, 1/steps, 2/steps, … 1."""
        return math.ceil(1 / self.resolution - 1e-9)


def probe(config: ProbeConfig, bundle: Path, before: Path, dataset: Path, out_dir: Path) -> dict[str, float]:
    """Probe a torch bundle against the weights it was fine-tuned from, a bundle or a file of weights.

    Returns R@1 and the sum of both figures of every layer. Writes probe.json, probe.md, probe.png and run.json. What
    was measured stays in probes.jsonl: a run that was killed resumes, and another `max_loss` or `resolution` measures
    only what is missing. Two runs in one folder take turns.

    Raises:
        UserError: the model is not a plain CLIP, `before` is of another architecture, or the data set cannot be read.
    """
    model, data = Bundle.open(bundle), Dataset.open(dataset)
    config = config.model_copy(update={"split": data.split_or_test(config.split)})
    lineage = {"fingerprint": model.fingerprint, "before": hash_weights(before), "dataset_hash": data.hash}
    key = hashlib.sha256(repr((lineage, config.split)).encode()).hexdigest()
    with sole_writer(out_dir), kept_memory():
        figures = _measure(config, model, before, data, _Workplace(out_dir, key))
        _report(figures, out_dir)
        write_run_record(out_dir, "probe", config, figures.metrics(), lineage)
        shutil.rmtree(out_dir / EMBEDDINGS)
        (out_dir / WALK).unlink(missing_ok=True)
    return figures.metrics()


@dataclass(frozen=True, slots=True)
class _Workplace:
    """Where a probe keeps what it has measured; `key` names models, data and split."""

    folder: Path
    key: str


def _measure(
    config: ProbeConfig, bundle: Bundle, before: Path, dataset: Dataset, workplace: _Workplace
) -> ProbeFigures:
    built, records = load_bundle_model(bundle), dataset.records(config.split)
    encoder = TorchEncoder(built, choose_device(config.device))
    towers = [take_apart(built.model, side) for side in dict.fromkeys(config.towers)]
    starts = weights_before(before, built.model, towers)
    data = embed_records(encoder, dataset.folder, records, workplace.folder / EMBEDDINGS / workplace.key[:16])
    r1 = retrieval_metrics(data.text_QD, data.image_GD, data.caption_ids, data.image_ids).r1
    journal = ProbeJournal(workplace.folder / JOURNAL, workplace.key)
    prober = Prober(data, r1, config.max_loss, config.steps, journal, workplace.folder / WALK)
    batches = {side: _batches(side, config, built, dataset, data) for side in config.towers}
    return ProbeFigures(
        split=config.split,
        captions=len(data.captions),
        images=len(records),
        r1=r1,
        max_loss=config.max_loss,
        resolution=1 / config.steps,
        largest_selection=config.largest_selection,
        towers=[prober.measure(tower, start, batches[tower.side]) for tower, start in zip(towers, starts, strict=True)],
    )


def _report(figures: ProbeFigures, out_dir: Path) -> None:
    write_json(out_dir / FIGURES, figures.to_json())
    draw_heatmaps(figures.towers, out_dir / PICTURE)
    with replacing(out_dir / TABLE) as temporary:
        temporary.write_text(report(figures), encoding="utf-8")


def _batches(side: Side, config: ProbeConfig, built: BuiltModel, dataset: Dataset, data: SplitEmbeddings) -> Batches:
    device = choose_device(config.device)
    if side == "text":
        return TextBatches(built.tokenizer.encode(data.captions), config.batch_size, device)
    return ImageBatches(dataset.folder, data.records, built.preprocessing, size=config.batch_size, device=device)
