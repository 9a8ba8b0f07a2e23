"""Claim: a full probe costs at most one pass through the probed tower per probe.

Run: `python benchmarks/probing.py [--architecture ViT-B-16] [--people 12] [--json]`; prints one row per tower: the
number of probes, their total seconds, seconds of one pass of the tower over the same batches, and passes per probe.
Both models have random weights, so only the costs mean anything; any loss of R@1 counts, which makes the bisection
long. Runs on one thread and measures CPU seconds, which other processes hardly affect.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from support.people import prepare_people

from personsearch.bundle import Bundle
from personsearch.compression.probes.towers import Tower, take_apart
from personsearch.compression.probes.walk import Batches, ImageBatches, TextBatches
from personsearch.compression.probing import JOURNAL, ProbeConfig, probe
from personsearch.data.records import read_manifest
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.models.architecture import SIDES, Side
from personsearch.models.build import load_bundle_model
from personsearch.training.config import TrainConfig
from personsearch.training.train import train

CPU = torch.device("cpu")
LEAST_LOSS = 1e-6


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds; `passes` is the cost of all probes in passes through the tower."""

    tower: Side
    items: int
    probes: int
    seconds: float
    pass_seconds: float
    passes: float
    passes_per_probe: float


def main() -> None:
    """Make two models and a data set, probe each tower, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="ViT-B-16")
    parser.add_argument("--people", type=int, default=12, help="two images each, two captions per image")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dataset = make_dataset(options.people, folder)
        bundles = [make_bundle(options.architecture, seed, dataset, folder) for seed in (0, 1)]
        found = [measure(side, *bundles, dataset, folder) for side in SIDES]
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
        return
    table = Table("tower", "items", "probes", "s", "s of a pass", "passes", "passes per probe")
    for each in found:
        times = f"{each.seconds:.1f}", f"{each.pass_seconds:.2f}", f"{each.passes:.0f}", f"{each.passes_per_probe:.2f}"
        table.add_row(each.tower, str(each.items), str(each.probes), *times)
    Console().print(table)


def make_dataset(people: int, folder: Path) -> Path:
    """A data set with as many people for training as for validation and for testing."""
    counts = SynthesizeConfig(
        identities_train=people, identities_val=people, identities_test=people, images_per_identity=2, workers=1
    )
    return prepare_people(counts, folder)


def make_bundle(architecture: str, seed: int, dataset: Path, folder: Path) -> Path:
    """A bundle of an untrained model."""
    model = {"architecture": architecture, "weights": "random", "image_size": [224, 224], "vocabulary": "clip"}
    config = TrainConfig.model_validate(
        {"model": model, "seed": seed, "epochs": 0, "batch_size": 2, "cache": str(folder / "cache")}
    )
    train(config, dataset, folder / f"run-{seed}")
    return folder / f"run-{seed}" / "bundle"


def measure(side: Side, bundle: Path, before: Path, dataset: Path, folder: Path) -> Cost:
    """Probe one tower; time a plain pass before and after it for comparison."""
    config = ProbeConfig(split="test", towers=(side,), max_loss=LEAST_LOSS)
    built, records = load_bundle_model(Bundle.open(bundle)), read_manifest(dataset, "test")
    tower, captions = take_apart(built.model, side), [caption for record in records for caption in record.captions]
    batches: Batches
    if side == "text":
        batches = TextBatches(built.tokenizer.encode(captions), config.batch_size, CPU)
    else:
        batches = ImageBatches(dataset, records, built.preprocessing, size=config.batch_size, device=CPU)
    out_dir = folder / f"probe-{side}"
    one_pass(tower, batches)
    earlier = timed(lambda: one_pass(tower, batches))
    seconds = timed(lambda: probe(config, bundle, before, dataset, out_dir))
    pass_seconds = (earlier + timed(lambda: one_pass(tower, batches))) / 2
    probes = len((out_dir / JOURNAL).read_text(encoding="utf-8").splitlines()) - 1  # the first line is its key
    passes = seconds / pass_seconds
    items = len(records) if side == "image" else len(captions)
    return Cost(side, items, probes, seconds, pass_seconds, passes, passes / probes)


@torch.inference_mode()
def one_pass(tower: Tower, batches: Batches) -> None:
    """Run the unchanged tower over everything that a probe reads."""
    for number in range(len(batches)):
        inputs = batches.read(number).inputs
        tokens_NLC, mask_LL = tower.embed(inputs), tower.mask(inputs)
        for block in tower.blocks:
            tokens_NLC = block(tokens_NLC, attn_mask=mask_LL)
        tower.pool(tokens_NLC, inputs)


def timed(action: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    action()
    return time.process_time() - start


if __name__ == "__main__":
    main()
