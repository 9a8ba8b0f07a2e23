"""The compression stage: ONNX and int8 forms of a model, measured like any other, the smallest good one chosen."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import Field

from personsearch.bundle import CALIBRATION, IMAGE_ONNX, METRICS, MODEL_CARD, TEXT_ONNX, WEIGHTS, fingerprint
from personsearch.compression.speed import Speed, measure_speed
from personsearch.compression.variants import build_form, partial_folder, replace_folder
from personsearch.config import Config
from personsearch.data.records import dataset_hash, read_manifest
from personsearch.evaluation.evaluate import EMBEDDINGS, EvaluateConfig, evaluate
from personsearch.evaluation.load_encoder import load_encoder
from personsearch.files import write_json
from personsearch.run_record import write_run_record

logger = logging.getLogger(__name__)

TABLE, CHOSEN, EVALUATION = "compression.json", "chosen", "evaluation"
UNCOMPRESSED = "torch"


class CompressConfig(Config):
    """`max_loss` is in points of R@1 text→image against torch, on the split that `evaluation` names; where a data
    set lacks that split, on test. `timing_rounds` go into each median time.
    """

    evaluation: EvaluateConfig = EvaluateConfig(split="val")
    max_loss: float = Field(default=0.5, ge=0, le=100)
    timing_rounds: int = Field(default=30, ge=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One form of the model: percent, bytes of weights, median milliseconds of one item."""

    name: str
    r1: float
    map: float
    bytes: int
    text_ms: float
    image_ms: float
    chosen: bool = False


def compress(config: CompressConfig, bundle: Path, dataset: Path, out_dir: Path) -> dict[str, float]:
    """Write onnx-fp32/, onnx-int8/, chosen/ (bundles), evaluation/ (reports), compression.json and run.json.

    Started again after a kill, it keeps the bundles and embeddings that are finished.

    Raises:
        UserError: the bundle is not a torch one, the export is not faithful, or the data set cannot be read.
    """
    evaluation = _on_present_split(config.evaluation, dataset)
    build_form(bundle, "onnx-fp32", "onnxruntime", full := out_dir / "onnx-fp32")
    build_form(bundle, "onnx-int8", "onnxruntime", eight_bit := out_dir / "onnx-int8", full=full)
    folders = {UNCOMPRESSED: bundle, full.name: full, eight_bit.name: eight_bit}
    metrics = {
        name: evaluate(evaluation, folder, dataset, out_dir / EVALUATION / name) for name, folder in folders.items()
    }
    encoders = {name: load_encoder(folder, threads=evaluation.threads) for name, folder in folders.items()}
    speeds = measure_speed(encoders, config.timing_rounds)
    rows = choose([_row(name, metrics[name], folders[name], speeds[name]) for name in folders], config.max_loss)
    for name in list(folders)[1:]:
        _complete(folders[name], out_dir / EVALUATION / name, rows, evaluation.split)
    chosen = next(row for row in rows if row.chosen)
    _publish(folders[chosen.name], out_dir / CHOSEN)
    write_json(out_dir / TABLE, [asdict(row) for row in rows])
    results = _results(rows, chosen)
    lineage = {"dataset_hash": dataset_hash(dataset), "parent": fingerprint(bundle)}
    write_run_record(out_dir, "compress", config.model_copy(update={"evaluation": evaluation}), results, lineage)
    for folder in (out_dir / EVALUATION).glob(f"*/{EMBEDDINGS}"):
        shutil.rmtree(folder)
    return results


def choose(rows: Sequence[Row], max_loss: float) -> list[Row]:
    """Mark the smallest ONNX form that loses at most `max_loss` points of R@1 against the first row, torch.

    Where none is that good, the one with the best R@1. Torch itself is no candidate: serving has none.
    """
    uncompressed, *candidates = rows
    good = [row for row in candidates if uncompressed.r1 - row.r1 <= max_loss]
    if not good:
        logger.warning("no compressed form is within %.2f points of R@1 %.2f", max_loss, uncompressed.r1)
        good = [max(candidates, key=lambda row: row.r1)]
    chosen = min(good, key=lambda row: row.bytes)
    return [replace(row, chosen=row is chosen) for row in rows]


def _on_present_split(evaluation: EvaluateConfig, dataset: Path) -> EvaluateConfig:
    if read_manifest(dataset, evaluation.split):
        return evaluation
    logger.warning("%s has no %s images: forms of the model are compared on test", dataset, evaluation.split)
    return evaluation.model_copy(update={"split": "test"})


def _row(name: str, metrics: dict[str, float], folder: Path, speed: Speed) -> Row:
    files = [folder / file for file in (WEIGHTS, IMAGE_ONNX, TEXT_ONNX)]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return Row(name, metrics["t2i_r1"], metrics["t2i_map"], size, speed.text_ms, speed.image_ms)


def _complete(folder: Path, evaluation: Path, rows: Sequence[Row], split: str) -> None:
    """What a bundle carries once it is measured: its own metrics and calibration, and the table in its card."""
    for name in (METRICS, CALIBRATION):
        shutil.copyfile(evaluation / name, folder / name)
    card = folder / MODEL_CARD
    before = card.read_text(encoding="utf-8") if card.is_file() else f"# {folder.name}\n"
    heading = "\n## Compression\n"
    card.write_text(before.split(heading)[0] + heading + _card_table(rows, folder.name, split), encoding="utf-8")


def _card_table(rows: Sequence[Row], name: str, split: str) -> str:
    lines = "\n".join(
        f"| {row.name} | {row.r1:.2f} | {row.map:.2f} | {row.bytes / 1e6:.1f} "
        f"| {row.text_ms:.1f} | {row.image_ms:.1f} |"
        for row in rows
    )
    return (
        f"\nThis bundle is `{name}`. Quality on {split}, text→image; times of one item, medians of one run on one "
        f"machine.\n\n| form | R@1 % | mAP % | MB | text ms | image ms |\n|---|---|---|---|---|---|\n{lines}\n"
    )


def _publish(source: Path, target: Path) -> None:
    folder = partial_folder(target)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    replace_folder(folder, target)


def _results(rows: Sequence[Row], chosen: Row) -> dict[str, float]:
    results = {f"{row.name.replace('-', '_')}_r1": row.r1 for row in rows}
    results |= {f"{row.name.replace('-', '_')}_bytes": float(row.bytes) for row in rows}
    return results | {
        "chosen_r1": chosen.r1,
        "chosen_map": chosen.map,
        "chosen_bytes": float(chosen.bytes),
        "chosen_text_ms": chosen.text_ms,
        "chosen_image_ms": chosen.image_ms,
    }
