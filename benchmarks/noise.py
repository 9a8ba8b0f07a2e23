"""Claim: the division of noisy pairs keeps most right pairs and few wrong ones, even in a model trained with TAL.

Run: `python benchmarks/noise.py [DATASET] [--losses tal] [--epochs 3]`; trains the tiny recipe on prepared data, or on
synthetic people at night, with 40 % of the captions shuffled. Before each epoch it compares the division with the
truth, once with TAL's margin, as in RDE, and once without, as in training. A row shows how many of all pairs are called
noisy, uncertain and clean, and how many of those are wrong; then the share of the trust that wrong pairs get, and the
share of right pairs that is kept.

Shapes: P pairs of the data set, D embedding dimension.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from support.people import prepare_people

from personsearch.data.dataset import Dataset
from personsearch.data.records import read_manifest
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.torch import TorchEncoder
from personsearch.losses.tal import tal_per_pair
from personsearch.training.loop import Loop, Run
from personsearch.training.noise import (
    PAIR_LOSSES,
    VERDICTS,
    NoiseConfig,
    clean_probability,
    consensus,
    per_pair_losses,
)
from personsearch.training.recipe import read_recipe
from personsearch.training.train import make_run

RECIPE = Path(__file__).parents[1] / "recipes/tiny/tbps-clip-simplified.yaml"
SETTINGS = ("caption_noise=0.4", "precision=bf16", "optimiser.lr=2e-4", "threads=1", "device=cpu")
NIGHT = SynthesizeConfig(
    identities_train=600, identities_val=20, identities_test=1, images_per_identity=3, domain="night", workers=1
)
TAL = {"with margin": partial(tal_per_pair, margin=0.1), "without": PAIR_LOSSES["tal"]}

PairLoss = Callable[..., torch.Tensor]
Encoded = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def main() -> None:
    """Train, and divide before each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--losses", default="tal", help="Comma-separated names: tal, or n_itc,r_itc.")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    losses = ", ".join(f"{name}: 1.0" for name in options.losses.split(","))
    config = read_recipe(RECIPE, [*SETTINGS, f"objective.losses={{{losses}}}", f"epochs={options.epochs}"])
    table = Table("epochs done", "TAL", *VERDICTS, "trust in wrong", "right kept")
    with tempfile.TemporaryDirectory() as folder:
        dataset = options.dataset or prepare_people(NIGHT, Path(folder) / "people")
        run = make_run(config, Dataset.open(dataset), Path(folder), identity="", device=torch.device("cpu"))
        loop, wrong_P = Loop(run), wrong_pairs(run, dataset)
        for epoch in range(options.epochs):
            features = encode(run)
            for name, tal in TAL.items():
                table.add_row(str(epoch), name, *verdicts([tal, PAIR_LOSSES["info_nce"]], features, wrong_P))
            for batch in run.source.epoch(epoch):
                loop.step(batch)
    Console(width=110).print(table)


def wrong_pairs(run: Run, dataset: Path) -> NDArray[np.bool_]:
    """Which pairs have a caption that was not written about their person [P]."""
    own: dict[str, set[int]] = {}
    for record in read_manifest(dataset, "train"):
        for caption in record.captions:
            own.setdefault(caption, set()).add(record.person_id)
    return np.array([r.person_id not in own[caption] for r in run.source.records for caption in r.captions])


def encode(run: Run) -> Encoded:
    """Vectors of images and captions [P, D] of all pairs by the current model, and their person ids [P]."""
    built, source = run.built, run.source
    built.model.eval()
    encoder, images_P = TorchEncoder(built, source.device), source.pairs.image_P
    image_GD = encoder.encode_images(source.pixels_GHW3[source.pixel_rows_G])
    text_PD = encoder.encode_texts([caption for record in source.records for caption in record.captions])
    person_ids_G = np.array([record.person_id for record in source.records], dtype=np.int64)
    return image_GD[images_P], text_PD, person_ids_G[images_P]


def verdicts(losses: Sequence[PairLoss], features: Encoded, wrong_P: NDArray[np.bool_]) -> list[str]:
    """A row of the table."""
    probabilities = []
    for view, loss in enumerate(losses):
        given = {"chunk_size": NoiseConfig().chunk_size, "generator": np.random.default_rng(view)}
        probabilities.append(clean_probability(per_pair_losses(*features, loss, **given)))
    votes_P = consensus(probabilities, NoiseConfig().threshold)
    cells = []
    for vote in range(len(VERDICTS)):
        there_P = votes_P == vote
        cells.append(f"{there_P.mean():.0%}, {wrong_P[there_P].mean() if there_P.any() else 0:.0%} wrong")
    trust_P = votes_P / 2
    return [*cells, f"{trust_P[wrong_P].sum() / trust_P.sum():.0%}", f"{trust_P[~wrong_P].mean():.0%}"]


if __name__ == "__main__":
    main()
