"""What teaches an image tower to see people? The first stage of `make pretrain`, cut short, with one thing changed.

Run: `python benchmarks/pretraining_arms.py --dataset data/pretraining/prepared [--share 0.2] [--arms layout …]`; prints
one row an arm: AUC of linear probes on the image vectors, fitted on val and measured on test, and CPU seconds. A killed
run continues where it was.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

from personsearch.bundle import Bundle
from personsearch.data.dataset import Dataset
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.attributes.measure import AttributesConfig, measure_attributes
from personsearch.evaluation.embeddings import embed_records
from personsearch.training.config import TrainConfig
from personsearch.training.train import train_on

RECIPE = Path("recipes/tiny/pretrain-image.yaml")
PATCHES = {"layers": 6, "width": 192, "head_width": 32, "patch_size": 16, "pool_type": "avg"}
ARMS: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "facts without layout": {"objective.losses": {"attributes": 1.0}},
    "layout without facts": {"objective.losses": {"layout": 1.0}},
    "one patch convolution, 6 blocks": {"model.architecture.stem": None, "model.architecture.vision_cfg": PATCHES},
    "one residual block in the stem": {"model.architecture.stem": {"widths": [32, 64, 128], "blocks": [0, 0, 1]}},
    "narrower stem": {"model.architecture.stem": {"widths": [24, 48, 96]}},
    "half the learning rate": {"optimiser.lr": 1.0e-3},
}


def main() -> None:
    """Train and measure every arm and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="a prepared data set of synthetic people")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--share", type=float, default=0.2, help="of the training people; two epochs of them")
    parser.add_argument("--out", type=Path, default=Path("data/pretraining/arms"))
    options = parser.parse_args()
    dataset, rows = Dataset.open(options.dataset), []
    for arm in options.arms:
        rows.append((arm, measured(arm, dataset, options.share, options.out / arm.replace(" ", "-"))))
        Console(width=140).print(table(rows))


def measured(arm: str, dataset: Dataset, share: float, out: Path) -> dict[str, float]:
    """AUC by attribute of one arm, and `seconds` of CPU time."""
    found = out / "arm.json"
    if not found.is_file():
        torch.set_num_threads(1)
        started = time.process_time()
        train_on(config_of(arm, share), dataset, out)
        seconds = time.process_time() - started
        found.write_text(json.dumps(probed(Bundle.open(out / "bundle"), dataset, out) | {"seconds": seconds}))
    known: dict[str, float] = json.loads(found.read_text())
    return known


def config_of(arm: str, share: float) -> TrainConfig:
    """The recipe, cut short, with the arm's changes."""
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8")) | {"epochs": 2, "validate_every": 2, "threads": 1}
    recipe["train_fraction"] = share
    for path, value in ARMS[arm].items():
        *parents, name = path.split(".")
        section = recipe
        for parent in parents:
            section = section[parent]
        section[name] = value
        if value is None:
            del section[name]
    return TrainConfig.model_validate(recipe)


def probed(bundle: Bundle, dataset: Dataset, out: Path) -> dict[str, float]:
    """AUC of the linear probe of each attribute."""
    encoder = load_encoder(bundle, threads=1)
    val, test = (
        embed_records(encoder, dataset.folder, dataset.records(split), out / f"embeddings-{split}", label=split)
        for split in ("val", "test")
    )
    figures = measure_attributes(AttributesConfig(), encoder, test, val)
    if figures is None:
        raise SystemExit(f"{dataset}: nothing is known of the test images")
    return {score.name: score.probe_auc for score in figures.groups if score.probe_auc is not None}


def table(rows: list[tuple[str, dict[str, float]]]) -> Table:
    """Arms by attributes."""
    names = [name for name in rows[0][1] if name != "seconds"]
    printed = Table("arm", "CPU s", "mean", *names)
    for arm, values in rows:
        areas = [values[name] for name in names if name in values]
        cells = [f"{values[name]:.2f}" if name in values else "–" for name in names]
        printed.add_row(arm, f"{values['seconds']:.0f}", f"{sum(areas) / len(areas):.3f}", *cells)
    return printed


if __name__ == "__main__":
    main()
