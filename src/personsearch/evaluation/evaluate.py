"""The evaluation stage: measures a bundle on a split in both directions, calibrates it and writes a report."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from personsearch.bundle import CALIBRATION, METRICS, Bundle
from personsearch.data.dataset import Dataset
from personsearch.data.records import Split
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.attributes.measure import measure_attributes
from personsearch.evaluation.calibration import fit_calibration
from personsearch.evaluation.colour_swap import colour_swap_accuracy
from personsearch.evaluation.embeddings import SplitEmbeddings, embed_records
from personsearch.evaluation.known_searches import draw_short_queries
from personsearch.evaluation.measured import EvaluateConfig, Evaluation, by_attribute, by_camera
from personsearch.evaluation.metrics import rank_queries, summarise, too_few_people
from personsearch.evaluation.paired import FirstRanks
from personsearch.evaluation.query_kinds import draw_kinds
from personsearch.evaluation.report import write_report
from personsearch.files import write_json
from personsearch.run_record import write_run_record
from personsearch.search.calibration import Calibration

logger = logging.getLogger(__name__)

REPORT = "report.html"
EMBEDDINGS = "embeddings"


def evaluate(config: EvaluateConfig, bundle: Path, dataset: Path, out_dir: Path) -> dict[str, float]:
    """Measure a bundle and return the metrics; writes metrics.json, calibration.json, report.html, first_ranks.npz and
    run.json.

    Embeddings are kept in `out_dir`, so a killed run resumes where it stopped.

    Raises:
        UserError: the bundle or the data set cannot be read, or the split has no captions.
    """
    return evaluate_on(config, Bundle.open(bundle), Dataset.open(dataset), out_dir)


def evaluate_on(
    config: EvaluateConfig, bundle: Bundle, dataset: Dataset, out_dir: Path, *, label: str = ""
) -> dict[str, float]:
    """`evaluate` with a bundle and a data set that are already open; progress starts with `label`."""
    evaluation = measure(config, bundle, dataset, out_dir, label=label)
    metrics = evaluation.metrics()
    write_json(out_dir / CALIBRATION, evaluation.calibration.model_dump(mode="json"))
    write_report(out_dir / REPORT, evaluation, config, bundle, dataset)
    FirstRanks(evaluation.ranks.first_rank, evaluation.embeddings.caption_ids).write(out_dir)
    remark = too_few_people(f"split {config.split}", evaluation.people)
    if remark:
        logger.warning("%s: %s", dataset, remark)
    write_json(out_dir / METRICS, {**metrics, "split": config.split, "remark": remark, **_slices(evaluation)})
    lineage = {"dataset_hash": dataset.hash, "fingerprint": bundle.fingerprint}
    write_run_record(out_dir, "evaluate", config, metrics, lineage)
    return metrics


def measure(config: EvaluateConfig, bundle: Bundle, dataset: Dataset, out_dir: Path, *, label: str = "") -> Evaluation:
    """Encode and measure; writes only embeddings."""
    source = _Source(bundle, load_encoder(bundle, threads=config.threads), dataset, out_dir / EMBEDDINGS, label)
    embeddings, fit = source.embed(config.split), _embed_other_people(config, source)
    ranks = rank_queries(embeddings.text_QD, embeddings.image_GD, embeddings.caption_ids, embeddings.image_ids)
    reverse = rank_queries(embeddings.image_GD, embeddings.text_QD, embeddings.image_ids, embeddings.caption_ids)
    return Evaluation(
        embeddings=embeddings,
        ranks=ranks,
        text_to_image=summarise(ranks),
        image_to_text=summarise(reverse),
        calibration=_calibrate(config, source.encoder, embeddings, fit),
        colour_swap=colour_swap_accuracy(source.encoder, embeddings, config.colour_swap_captions),
        cameras=by_camera(ranks, embeddings),
        attributes=by_attribute(ranks, embeddings),
        seen=measure_attributes(config.attributes, source.encoder, embeddings, fit) if config.attributes else None,
    )


@dataclass(frozen=True)
class _Source:
    """A model, a data set, and the folder for the data set's embeddings by the model."""

    bundle: Bundle
    encoder: Encoder
    dataset: Dataset
    folder: Path
    label: str

    def embed(self, split: Split) -> SplitEmbeddings:
        name = f"{self.bundle.fingerprint}-{self.dataset.hash[:16]}-{split}"
        records = self.dataset.records(split)
        return embed_records(self.encoder, self.dataset.folder, records, self.folder / name, label=self.label)


def _embed_other_people(config: EvaluateConfig, source: _Source) -> SplitEmbeddings | None:
    """The split on which confidence and probes are fitted; None if that is the measured one, or empty."""
    if config.calibrate_on == config.split:
        return None
    if not source.dataset.records(config.calibrate_on):
        logger.warning("%s has no %s images: calibrated on %s", source.dataset, config.calibrate_on, config.split)
        return None
    return source.embed(config.calibrate_on)


def _calibrate(
    config: EvaluateConfig, encoder: Encoder, measured: SplitEmbeddings, fit: SplitEmbeddings | None
) -> Calibration:
    embeddings, split = (measured, config.split) if fit is None else (fit, config.calibrate_on)
    return fit_calibration(
        embeddings,
        split,
        short=draw_short_queries(embeddings, encoder),
        others=draw_kinds(embeddings, encoder),
        threshold=config.reliable_confidence,
    )


def _slices(evaluation: Evaluation) -> dict[str, object]:
    return {
        "queries": evaluation.text_to_image.queries,
        "gallery_images": len(evaluation.embeddings.records),
        "gallery_identities": evaluation.people,
        "queries_without_match": evaluation.text_to_image.queries_without_match,
        "by_camera": [asdict(part) for part in evaluation.cameras],
        "by_attribute": {name: [asdict(part) for part in parts] for name, parts in evaluation.attributes.items()},
        "attributes": None if evaluation.seen is None else asdict(evaluation.seen),
    }
