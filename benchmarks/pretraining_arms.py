"""What teaches a model to see people? Both stages of `make pretrain`, cut short, with one thing changed at a time.

Run: `python benchmarks/pretraining_arms.py image [--seeds 2] [--arms …]`: linear probes on the vectors of an image
tower, fitted on val and measured on test.
Run: `python benchmarks/pretraining_arms.py words [--footage people.json]`: short queries, swapped sentences and R@1 on
test, and descriptions of people in real clips.

Both take the data and the image tower that `make pretrain` has left in data/pretraining, or those given by options.
They print a row an arm: CPU seconds, the mean over seeds and, with several, half of the range. A killed run continues
where it was.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from rich.console import Console
from rich.table import Table

from personsearch.bundle import Bundle
from personsearch.data.dataset import Dataset
from personsearch.data.records import MANIFEST
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.attributes.measure import AttributesConfig, measure_attributes
from personsearch.evaluation.embeddings import embed_records
from personsearch.evaluation.footage import FootageFiles, evaluate_footage
from personsearch.evaluation.metrics import rank_queries, summarise
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.integrations.database.gallery import gallery_in
from personsearch.training.config import TrainConfig
from personsearch.training.train import train_on

Changes = dict[str, Any]
Figures = dict[str, float]

PRETRAINING = Path("data/pretraining")
PATCHES = {"layers": 6, "width": 192, "head_width": 32, "patch_size": 16, "pool_type": "avg"}
RECIPES = {"image": Path("recipes/tiny/pretrain-image.yaml"), "words": Path("recipes/tiny/pretrain.yaml")}
EPOCHS = {"image": 2, "words": 1}
SHARES = {"image": 0.08, "words": 0.06}  # of the training people
IMAGE_ARMS: dict[str, Changes] = {
    "the recipe": {},
    "facts without layout": {"objective.losses": {"attributes": 1.0}},
    "layout without facts": {"objective.losses": {"layout": 1.0}},
    "one patch convolution, 6 blocks": {"model.architecture.stem": None, "model.architecture.vision_cfg": PATCHES},
    "one residual block in the stem": {"model.architecture.stem": {"widths": [32, 64, 128], "blocks": [0, 0, 1]}},
    "narrower stem": {"model.architecture.stem": {"widths": [24, 48, 96]}},
    "half the learning rate": {"optimiser.lr": 1.0e-3},
}
WORD_ARMS: dict[str, Changes] = {
    "the recipe": {},
    "contrast alone": {"objective.losses": {"n_itc": 1.0, "r_itc": 1.0}},
    "without swapped captions": {"objective.losses.swapped_captions": None},
    "without short queries": {"objective.losses.short_queries": None},
    "without facts": {"objective.losses.attributes": None},
    "more facts, and parts": {"objective.losses.attributes": 1.0, "objective.losses.layout": 0.2},
    "twins in no batch": {},
    "an untrained image tower": {},
}
WORD_COLUMNS = {
    "r1": "R@1",
    "attribute_short_query_map": "mean AP",
    "attribute_auc_gender": "gender",
    "attribute_auc_backpack": "backpack",
    "attribute_auc_headwear": "headwear",
    "attribute_auc_hair_length": "hair",
    "attribute_swapped_gender": "swapped gender",
    "swapped": "swapped, mean",
    "footage_r1": "footage R@1",
    "footage_r5": "footage R@5",
}


def main() -> None:
    """Train and measure every arm and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=list(RECIPES))
    parser.add_argument("--dataset", type=Path, default=PRETRAINING / "prepared", help="prepared synthetic people")
    parser.add_argument("--image-tower", type=Path, default=PRETRAINING / "image/bundle", help="where words starts")
    parser.add_argument("--footage", type=Path, help="people.json beside its clips")
    parser.add_argument("--arms", nargs="*", metavar="ARM")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--share", type=float, help="of the training people (image: .08, words: .06)")
    parser.add_argument("--out", type=Path, default=PRETRAINING / "arms")
    options = parser.parse_args()
    known = IMAGE_ARMS if options.stage == "image" else WORD_ARMS
    if unknown := set(options.arms or ()) - set(known):
        parser.error(f"no arm is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    rows: dict[str, list[Figures]] = {}
    for seed in range(options.seeds):
        for arm in options.arms or known:
            rows.setdefault(arm, []).append(measured(arm, seed, options))
            Console(width=180).print(table(rows))


def measured(arm: str, seed: int, options: argparse.Namespace) -> Figures:
    """The figures of one arm and seed, and `seconds` of CPU time."""
    out: Path = options.out / options.stage / f"{arm.replace(' ', '-')}-{seed}"
    found = out / "arm.json"
    if not found.is_file():
        torch.set_num_threads(1)
        dataset, started = Dataset.open(options.dataset), time.process_time()
        trained_on = without_groups(dataset, out / "strangers") if "twins in no batch" in arm else dataset
        train_on(config_of(arm, seed, options), trained_on, out)
        seconds = time.process_time() - started
        probe: Callable[[Bundle, Dataset, Path], Figures] = probed if options.stage == "image" else asked
        figures = probe(Bundle.open(out / "bundle"), dataset, out)
        if options.footage is not None:
            figures |= on_footage(out / "bundle", options.footage, options.out / "clips", out / "footage")
        found.write_text(json.dumps(figures | {"seconds": seconds}))
    known: Figures = json.loads(found.read_text())
    return known


def config_of(arm: str, seed: int, options: argparse.Namespace) -> TrainConfig:
    """The stage's recipe, cut short, with the arm's changes."""
    recipe = yaml.safe_load(RECIPES[options.stage].read_text(encoding="utf-8"))
    epochs = EPOCHS[options.stage]
    recipe |= {
        "epochs": epochs,
        "validate_every": epochs,
        "threads": 1,
        "seed": seed,
        "train_fraction": options.share or SHARES[options.stage],
    }
    if options.stage == "words":
        recipe["model"]["weights"] = str(options.image_tower)
    if "an untrained image tower" in arm:
        recipe["model"] = yaml.safe_load(RECIPES["image"].read_text(encoding="utf-8"))["model"]
    changes = (IMAGE_ARMS if options.stage == "image" else WORD_ARMS)[arm]
    for path, value in changes.items():
        *parents, name = path.split(".")
        section = recipe
        for parent in parents:
            section = section[parent]
        section[name] = value
        if value is None:
            del section[name]
    return TrainConfig.model_validate(recipe)


def without_groups(dataset: Dataset, folder: Path) -> Dataset:
    """The same images and captions, with nothing that says who is whose near twin."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = pq.read_table(dataset.folder / MANIFEST)
    attributes = [json.loads(text) if text else {} for text in manifest["attributes"].to_pylist()]
    alone = pa.array(json.dumps({key: value for key, value in known.items() if key != "group"}) for known in attributes)
    column = manifest.schema.get_field_index("attributes")
    pq.write_table(manifest.set_column(column, manifest.schema.field(column), alone), folder / MANIFEST)
    if not (folder / "images").exists():
        (folder / "images").symlink_to((dataset.folder / "images").resolve())
    return Dataset.open(folder)


def probed(bundle: Bundle, dataset: Dataset, out: Path) -> Figures:
    """AUC of the linear probe of each attribute."""
    encoder = load_encoder(bundle, threads=1)
    val, test = (
        embed_records(encoder, dataset.folder, dataset.records(split), out / f"embeddings-{split}", label=split)
        for split in ("val", "test")
    )
    figures = measure_attributes(AttributesConfig(), encoder, test, val)
    if figures is None:
        raise SystemExit(f"{dataset}: nothing is known of the test images")
    areas = {score.name: score.probe_auc for score in figures.groups if score.probe_auc is not None}
    return {"mean": sum(areas.values()) / len(areas), **areas}


def asked(bundle: Bundle, dataset: Dataset, out: Path) -> Figures:
    """R@1 of the descriptions of test people, and the attribute metrics there."""
    encoder = load_encoder(bundle, threads=1)
    with TemporaryDirectory(dir=out) as folder:
        test = embed_records(encoder, dataset.folder, dataset.records("test"), Path(folder) / "test", label="test")
    figures = measure_attributes(AttributesConfig(), encoder, test, None)
    if figures is None:
        raise SystemExit(f"{dataset}: nothing is known of the test images")
    ranks = rank_queries(test.text_QD, test.image_GD, test.caption_ids, test.image_ids)
    swapped = [swap.preferred for swap in figures.swaps]
    return {"r1": summarise(ranks).r1, **figures.metrics(), "swapped": sum(swapped) / len(swapped)}


def on_footage(bundle: Path, described: Path, crops: Path, out: Path) -> Figures:
    """How often a described person is found in the real clips; the clips' crops are kept for the next arm."""
    files = FootageFiles(described, described.parent, crops, gallery_in)
    return evaluate_footage(IngestConfig(), bundle, files, out, threads=1).metrics()


def table(rows: dict[str, list[Figures]]) -> Table:
    """Arms by figures."""
    first = next(iter(rows.values()))[0]
    columns = {name: label for name, label in WORD_COLUMNS.items() if name in first} or {
        name: name for name in first if name != "seconds"
    }
    printed = Table("arm", "CPU s", *columns.values())
    for arm, found in rows.items():
        seconds = sum(one["seconds"] for one in found) / len(found)
        printed.add_row(arm, f"{seconds:.0f}", *(spread([one.get(name) for one in found]) for name in columns))
    return printed


def spread(values: list[float | None]) -> str:
    """The mean, and half of the range where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    digits = 3 if max(known) <= 1 else 1
    half = f" ± {(max(known) - min(known)) / 2:.{digits}f}" if len(known) > 1 else ""
    return f"{sum(known) / len(known):.{digits}f}{half}"


if __name__ == "__main__":
    main()
