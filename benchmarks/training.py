"""Claim: a training step costs little more than the encoder passes that its losses need.

Run: `python benchmarks/training.py [--recipe recipes/tiny/cskt.yaml …] [--rounds 5] [--json]`; prints one row per
recipe. Each round times, one after the other, a step of the library, a step of the same recipe as its paper reads
(`baselines/literal_training.py`), and a matrix product; figures are medians over the rounds.

The *floor* of a step is the arithmetic of its passes ÷ the speed of the image tower's feed-forward product. The
arithmetic is counted on a model on the meta device: forward and backward of one image and of one caption of each
length, with the recipe's frozen parts, times the passes that `personsearch describe` reports.

On a CPU everything runs on one thread and is timed in CPU seconds, which other processes hardly affect. On a GPU times
are wall-clock seconds, including the loader, and the recipes are those of the papers (with random weights if theirs are
missing).
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from baselines.literal_training import LiteralTraining
from paper_scale import without_weights
from rich.console import Console
from rich.table import Table
from support.people import prepare_people
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from personsearch.data.dataset import Dataset
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.models.encoder import text_lengths
from personsearch.training.batches import Batch
from personsearch.training.config import TrainConfig
from personsearch.training.cpu import flushed_denormals, kept_memory
from personsearch.training.describe import describe, outline, passes
from personsearch.training.loop import Loop, Run
from personsearch.training.recipe import read_recipe
from personsearch.training.train import make_run

ROOT = Path(__file__).parent.parent
METHODS = ("tbps-clip-simplified", "tbps-clip", "cskt", "ctlg")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRODUCTS, MLP_RATIO = 5, 4


@dataclass(frozen=True, slots=True)
class Measurement:
    """Seconds are per step; `ratio` is step ÷ floor and `gain` is literal ÷ step, both medians over the rounds."""

    recipe: str
    precision: str
    batch_size: int
    step_seconds: float
    loader_seconds: float
    floor_seconds: float
    ratio: float
    literal_seconds: float
    gain: float
    samples_per_second: float
    product_gflops: float
    peak_gib: float | None


def main() -> None:
    """Measure each recipe on a small synthetic data set and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    on_gpu = torch.cuda.is_available()
    recipes = [ROOT / "recipes" / ("paper" if on_gpu else "tiny") / f"{name}.yaml" for name in METHODS]
    parser.add_argument("--recipe", type=Path, nargs="+", default=recipes)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20 if on_gpu else 1, help="steps per round")
    parser.add_argument("--identities", type=int, default=2000 if on_gpu else 160)
    parser.add_argument(
        "--random", action="store_true", default=on_gpu, help="start from random weights if a recipe's are missing"
    )
    parser.add_argument("--set", action="append", default=[], help="dotted.key=YAML value, for all recipes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not on_gpu:
        torch.set_num_threads(1)
    with flushed_denormals(), kept_memory(), tempfile.TemporaryDirectory() as scratch:
        dataset = make_dataset(options.identities, Path(scratch))
        found = []
        for path in options.recipe:
            weights = without_weights(path) if options.random else ()
            config = read_recipe(path, [f"cache={scratch}/cache", *weights, *options.set])
            out_dir = Path(scratch) / "-".join(path.with_suffix("").parts[-2:])
            found.append(measure(config, path, dataset, out_dir, rounds=options.rounds, steps=options.steps))
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
    else:
        show(found)


def make_dataset(identities: int, folder: Path) -> Path:
    """Synthetic people, two images of each and two captions of each image."""
    counts = SynthesizeConfig(
        identities_train=identities, identities_val=4, identities_test=4, images_per_identity=2, workers=1
    )
    return prepare_people(counts, folder)


def measure(config: TrainConfig, recipe: Path, dataset: Path, out_dir: Path, *, rounds: int, steps: int) -> Measurement:
    """Rounds of the library, the literal implementation and a matrix product, after one warm-up of each."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = make_run(config, Dataset.open(dataset), out_dir, identity="", device=device)
    arithmetic, product = Arithmetic(config), MatrixProduct(config, device)
    ours = Product(run)
    ours(steps)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
    literal = LiteralTraining(run, dataset, ours.loop.autocast)
    timed(literal.step, 1, device)
    step, waited, written_literally, floor, speed = [], [], [], [], []
    for _ in range(rounds):
        seconds, loader_seconds, batch = ours(steps)
        step.append(seconds)
        waited.append(loader_seconds)
        written_literally.append(timed(literal.step, steps, device))
        speed.append(product.flops_per_second())
        floor.append(arithmetic.flops(batch) / speed[-1])
    return Measurement(
        recipe=f"{recipe.parent.name}/{recipe.stem}",
        precision=product.precision,
        batch_size=config.batch_size,
        step_seconds=median(step),
        loader_seconds=median(waited),
        floor_seconds=median(floor),
        ratio=median(ours / least for ours, least in zip(step, floor, strict=True)),
        literal_seconds=median(written_literally),
        gain=median(theirs / ours for theirs, ours in zip(written_literally, step, strict=True)),
        samples_per_second=config.batch_size / median(step),
        product_gflops=median(speed) / 1e9,
        peak_gib=peak,
    )


class Product:
    """Training as in `personsearch train`, a few steps at a time."""

    def __init__(self, run: Run) -> None:
        self.run, self.loop, self.batches = run, Loop(run), self._forever(run)

    def __call__(self, steps: int) -> tuple[float, float, Batch]:
        """Seconds per step, seconds of these spent waiting for the batch, and the last batch."""
        device, waited = self.run.source.device, 0.0
        start = clock(device)
        for _ in range(steps):
            asked = clock(device, wait=False)
            batch = next(self.batches)
            waited += clock(device, wait=False) - asked
            self.loop.step(batch)
        return (clock(device) - start) / steps, waited / steps, batch

    @staticmethod
    def _forever(run: Run) -> Iterator[Batch]:
        for epoch in itertools.count():
            yield from run.source.epoch(epoch)


class Arithmetic:
    """Floating-point operations of a step, given its batch."""

    def __init__(self, config: TrainConfig) -> None:
        self.model, self.passes = outline(config.model).train(), passes(config)
        pixels = torch.empty(1, 3, *config.model.image_size, device="meta")
        forward, backward = count_flops(self.model.encode_image, pixels)
        self.image = self.passes.image_forward * forward + self.passes.image_backward * backward
        self.by_length: dict[int, tuple[int, int]] = {}

    def flops(self, batch: Batch) -> float:
        """Operations of all passes of all pairs, each text at its own length."""
        texts = sum(self._text(int(length)) for ids_NL in batch.texts.values() for length in text_lengths(ids_NL))
        return len(batch) * self.image + texts / max(1, len(batch.texts))

    def _text(self, length: int) -> int:
        if length not in self.by_length:
            ids_1L = torch.ones(1, length, dtype=torch.long, device="meta")
            self.by_length[length] = count_flops(self.model.encode_text, ids_1L)
        forward, backward = self.by_length[length]
        return self.passes.text_forward * forward + self.passes.text_backward * backward


def count_flops(encode: Callable[[Tensor], Tensor], example: Tensor) -> tuple[int, int]:
    """Operations of matrix products and convolutions, forward, and backward to all trained parameters."""
    with FlopCounterMode(display=False) as counter:
        features = encode(example)
        forward = counter.get_total_flops()
        if features.requires_grad:
            features.sum().backward()
    return forward, counter.get_total_flops() - forward


class MatrixProduct:
    """The image tower's feed-forward product [tokens of a batch, C] · [C, 4C] in the recipe's precision."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        description, self.device = describe(config), device
        reduced = config.precision == "bf16" or device.type == "cuda"
        self.precision = config.precision if reduced else "fp32"
        width = description.architecture["vision_cfg"]["width"]
        rows = (description.image_tokens or 1) * min(config.batch_size, config.chunk_size or config.batch_size)
        self.left = torch.randn(rows, width, device=device).to(DTYPES[self.precision])
        self.right = torch.randn(width, MLP_RATIO * width, device=device).to(DTYPES[self.precision])

    def flops_per_second(self) -> float:
        """The fastest of a few products."""
        flops = 2 * self.left.numel() * self.right.shape[1]
        return flops / min(timed(lambda: self.left @ self.right, 4, self.device) for _ in range(PRODUCTS))


def timed(action: Callable[[], object], times: int, device: torch.device) -> float:
    """Mean seconds."""
    start = clock(device)
    for _ in range(times):
        action()
    return (clock(device) - start) / times


def clock(device: torch.device, *, wait: bool = True) -> float:
    """Seconds: CPU time of this process on a CPU; wall-clock time on a GPU, by default after its work has finished."""
    if device.type == "cpu":
        return time.process_time()
    if wait:
        torch.cuda.synchronize(device)
    return time.perf_counter()


def show(found: list[Measurement]) -> None:
    """One row per recipe."""
    table = Table("recipe", "batch", "step s", "loader s", "floor s", "ratio", "literal s", "gain", "samples/s")
    table.add_column("product GFLOP/s")
    table.add_column("utilisation")
    table.add_column("peak GiB")
    for each in found:
        times = (
            each.step_seconds,
            each.loader_seconds,
            each.floor_seconds,
            each.ratio,
            each.literal_seconds,
            each.gain,
        )
        table.add_row(
            f"{each.recipe} {each.precision}",
            str(each.batch_size),
            *(f"{figure:.2f}" for figure in times),
            f"{each.samples_per_second:.0f}",
            f"{each.product_gflops:.0f}",
            f"{1 / each.ratio:.0%}",
            "–" if each.peak_gib is None else f"{each.peak_gib:.1f}",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
