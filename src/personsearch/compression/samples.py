"""Samples of a data set's training pairs: whole, to fit static quantisation to, or in batches, as a model reads them.

Shapes: N pairs, H height, W width, L tokens.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from personsearch.bundle import BundleSpec, Preprocessing
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.encoders.graph import BATCH_SIZE, length_batches
from personsearch.errors import UserError
from personsearch.evaluation.embeddings import decode_records
from personsearch.images import normalise
from personsearch.models.build import BuiltModel
from personsearch.models.device import choose_device
from personsearch.tokenizer import Tokenizer, text_lengths, trim


@dataclass(frozen=True)
class Sample:
    """Images at a model's height and width, and captions."""

    pixels_NHW3: NDArray[np.uint8]
    captions: tuple[str, ...]

    def digest(self) -> str:
        """Identity of its content: SHA-256, 16 hex digits."""
        content = hashlib.sha256(self.pixels_NHW3.tobytes())
        for caption in self.captions:
            content.update(b"\0" + caption.encode())
        return content.hexdigest()[:16]

    def image_batches(self, preprocessing: Preprocessing) -> Iterator[NDArray[np.float32]]:
        """What a model's image graph takes."""
        for start in range(0, len(self.pixels_NHW3), BATCH_SIZE):
            part = self.pixels_NHW3[start : start + BATCH_SIZE]
            yield normalise(part, preprocessing.mean, preprocessing.std)

    def text_batches(self, tokenizer: Tokenizer) -> Iterator[NDArray[np.int64]]:
        """What a model's text graph takes."""
        tokens_NL = tokenizer.encode(self.captions)
        lengths_N = text_lengths(tokens_NL)
        for rows_B in length_batches(lengths_N):
            yield tokens_NL[rows_B, : lengths_N[rows_B[-1]]]


def draw_sample(dataset: Dataset, spec: BundleSpec, count: int = 256, seed: int = 0) -> Sample:
    """Draw random training images, at a model's size, and the first caption of each.

    Raises:
        UserError: the data set has no training images with captions, or one cannot be decoded.
    """
    records = [record for record in dataset.records("train") if record.captions]
    if not records:
        raise UserError(f"{dataset}: no training images with captions; static quantisation needs some")
    order = np.random.default_rng(seed).permutation(len(records))[:count]
    drawn = [records[index] for index in order]
    pixels_NHW3 = decode_records(dataset.folder, drawn, spec.preprocessing)
    return Sample(pixels_NHW3, tuple(record.captions[0] for record in drawn))


class PairSample(Config):
    """A sample of the training pairs: random images, each with one of its captions."""

    pairs: int = Field(default=2048, ge=2)
    """At most this many images."""

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
    """Yield batches of random training pairs, all of one size; pairs that do not fill a batch are left out.

    Moves the model to the sample's device, where the batches are too.

    Raises:
        UserError: the data set cannot be read, or it has no training captions.
    """
    records = [record for record in dataset.records("train") if record.captions]
    if len(records) < 2:
        raise UserError(f"{dataset}: {len(records)} training images with captions; expected at least two")
    generator, preprocessing = np.random.default_rng(sample.seed), built.preprocessing
    order = generator.permutation(len(records))[: sample.pairs]
    size, device = min(sample.batch_size, len(order)), choose_device(sample.device)
    built.model.to(device)
    for start in range(0, len(order) - size + 1, size):
        part = [records[index] for index in order[start : start + size]]
        captions = [record.captions[generator.integers(len(record.captions))] for record in part]
        pixels_NHW3 = decode_records(dataset.folder, part, preprocessing)
        yield PairBatch(
            torch.from_numpy(normalise(pixels_NHW3, preprocessing.mean, preprocessing.std)).to(device),
            torch.from_numpy(trim(built.tokenizer.encode(captions))).to(device),
            torch.tensor([record.person_id for record in part], device=device),
        )
