"""A sample of a data set's training pairs as a model reads them, a batch at a time.

Shapes: N pairs of a batch, H height, W width, L tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.evaluation.embeddings import decode_records
from personsearch.images import normalise
from personsearch.models.build import BuiltModel
from personsearch.models.device import choose_device
from personsearch.tokenizer import trim


class PairSample(Config):
    """A sample of the training pairs: random images, each with one of its captions."""

    pairs: int = Field(default=2048, ge=2)
    """Images at most."""

    batch_size: int = Field(default=32, ge=2)
    """Pairs that the model sees at once."""

    seed: int = Field(default=0, ge=0)
    """The same seed draws the same pairs."""

    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`."""


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Standardised pixels [N, 3, H, W], token ids [N, L] and person ids [N]."""

    pixels: Tensor
    ids: Tensor
    person_ids: Tensor


def sample_pairs(sample: PairSample, built: BuiltModel, dataset: Dataset) -> Iterator[PairBatch]:
    """Batches of a prepared data set's training split in a random order, whole ones where there are enough pairs.

    The model and what is yielded are on the sample's device.

    Raises:
        UserError: no prepared data set, or it has no training captions.
    """
    records = [record for record in dataset.records("train") if record.captions]
    if len(records) < 2:
        raise UserError(f"{dataset}: {len(records)} training images with captions; at least two wanted")
    numbers, wanted = np.random.default_rng(sample.seed), built.preprocessing
    order = numbers.permutation(len(records))[: sample.pairs]
    size, device = min(sample.batch_size, len(order)), choose_device(sample.device)
    built.model.to(device)
    for start in range(0, len(order) - size + 1, size):
        part = [records[index] for index in order[start : start + size]]
        captions = [record.captions[numbers.integers(len(record.captions))] for record in part]
        pixels_NHW3 = decode_records(dataset.folder, part, wanted.height, wanted.width)
        yield PairBatch(
            torch.from_numpy(normalise(pixels_NHW3, wanted.mean, wanted.std)).to(device),
            torch.from_numpy(trim(built.tokenizer.encode(captions))).to(device),
            torch.tensor([record.person_id for record in part], device=device),
        )
