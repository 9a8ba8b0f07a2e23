"""Claim: the paper recipes can be built and trained at their published sizes, in the memory shown.

Run: `python benchmarks/paper_scale.py [--recipe recipes/paper/cskt.yaml …] [--pairs 2] [--json]`; prints one row per
recipe. Weights, pixels and tokens are random, and captions fill the context. Each recipe takes two optimiser steps in
float32 on the CPU, in its own process.
"""

import argparse
import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from personsearch.models.build import create_model, resolve_architecture
from personsearch.models.encoder import PersonEncoder
from personsearch.training.batches import Batch
from personsearch.training.config import TrainConfig
from personsearch.training.describe import count_parameters
from personsearch.training.objective import TOTAL, Objective
from personsearch.training.optimiser import make_optimiser
from personsearch.training.recipe import read_recipe
from personsearch.training.step import GradientStep

PAPER = Path(__file__).parent.parent / "recipes" / "paper"
BARE = ("model.weights=random", "model.image_weights=null", "model.text_weights=null")
QUICK_GELU = "model.architecture=ViT-B-16-quickgelu"  # what ViT-B-16 becomes with OpenAI's weights
STEPS = 2


@dataclass(frozen=True, slots=True)
class Figures:
    """Parameter counts, seconds of the second step, peak memory of the process, and the losses of both steps."""

    recipe: str
    image_size: tuple[int, int]
    trained: int
    total: int
    step_seconds: float
    peak_gib: float
    losses: list[float]


def main() -> None:
    """Train every recipe for two steps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, nargs="+", default=sorted(PAPER.glob("*.yaml")))
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        found = [processes.submit(take_steps, path, options.pairs).result() for path in options.recipe]
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
        return
    table = Table("recipe", "image", "trained", "total", "share", f"s per step of {options.pairs} pairs", "peak GiB")
    for each in found:
        size, share = " × ".join(map(str, each.image_size)), f"{each.trained / each.total:.2%}"
        counts = f"{each.trained:,}", f"{each.total:,}", share
        table.add_row(each.recipe, size, *counts, f"{each.step_seconds:.1f}", f"{each.peak_gib:.1f}")
    Console().print(table)


def without_weights(recipe: Path) -> tuple[str, ...]:
    """The settings that make a paper recipe do the same work with random weights."""
    return (*BARE, QUICK_GELU) if read_recipe(recipe).model.weights == "openai" else BARE


def take_steps(recipe: Path, pairs: int) -> Figures:
    """Two steps of a recipe on random pairs."""
    config = read_recipe(recipe, without_weights(recipe))
    torch.manual_seed(config.seed)
    model = create_model(resolve_architecture(config.model, None))
    model.set_text_attention_dropout(config.model.text_attention_dropout)
    model.freeze(config.model.frozen)
    objective = Objective(config.objective, model.embedding_dim)
    counts = count_parameters(config, model)["total"]
    losses, seconds = _steps(config, model.train(), objective, random_batch(config, model, pairs))
    return Figures(
        recipe=recipe.stem,
        image_size=config.model.image_size,
        trained=counts.trained,
        total=counts.total,
        step_seconds=seconds,
        peak_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        losses=losses,
    )


def _steps(config: TrainConfig, model: PersonEncoder, objective: nn.Module, batch: Batch) -> tuple[list[float], float]:
    optimiser = make_optimiser(config.optimiser, [*model.named_parts(), *objective.named_parameters()])
    gradient, losses, seconds = GradientStep(model, objective), [], 0.0
    for _ in range(STEPS):
        start = time.perf_counter()
        losses.append(gradient(batch, config.objective.soft_label_alpha)[TOTAL].item())
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - start
    return losses, seconds


def random_batch(config: TrainConfig, model: PersonEncoder, pairs: int) -> Batch:
    """All views that the recipe's losses need; a text ends with the highest token, as in CLIP."""
    vocabulary = model.architecture["text_cfg"].get("vocab_size", 49408)
    texts = {
        view: torch.randint(1, vocabulary - 1, (pairs, model.context_length)) for view in config.objective.text_views
    }
    for ids_NL in texts.values():
        ids_NL[:, -1] = vocabulary - 1
    images = {view: torch.randn(pairs, 3, *config.model.image_size) for view in config.objective.image_views}
    return Batch(images, texts, torch.arange(pairs))


if __name__ == "__main__":
    main()
