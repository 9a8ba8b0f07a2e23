"""The training images and captions to which static quantisation is fitted.

Shapes: N images and captions, H height, W width.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import TOKENIZER, BundleSpec
from personsearch.data.dataset import Dataset
from personsearch.encoders.graph import BATCH_SIZE, length_batches
from personsearch.errors import UserError
from personsearch.evaluation.embeddings import decode_records
from personsearch.images import normalise
from personsearch.tokenizer import Tokenizer, text_lengths


@dataclass(frozen=True)
class Sample:
    """Pixels of a model's height and width, and texts."""

    pixels_NHW3: NDArray[np.uint8]
    captions: tuple[str, ...]

    def digest(self) -> str:
        """Identity of its content: SHA-256, 16 hex digits."""
        content = hashlib.sha256(self.pixels_NHW3.tobytes())
        for caption in self.captions:
            content.update(b"\0" + caption.encode())
        return content.hexdigest()[:16]

    def image_batches(self, spec: BundleSpec) -> Iterator[NDArray[np.float32]]:
        """What a model's image graph takes."""
        for start in range(0, len(self.pixels_NHW3), BATCH_SIZE):
            part = self.pixels_NHW3[start : start + BATCH_SIZE]
            yield normalise(part, spec.preprocessing.mean, spec.preprocessing.std)

    def text_batches(self, bundle: Path, spec: BundleSpec) -> Iterator[NDArray[np.int64]]:
        """What a model's text graph takes, by its tokenizer."""
        tokens_NL = Tokenizer(bundle / TOKENIZER, spec.context_length).encode(self.captions)
        lengths_N = text_lengths(tokens_NL)
        for rows_B in length_batches(lengths_N):
            yield tokens_NL[rows_B, : lengths_N[rows_B[-1]]]


def draw_sample(dataset: Dataset, spec: BundleSpec, count: int = 256, seed: int = 0) -> Sample:
    """Random training images of a prepared data set at a model's size, the first caption of each.

    Raises:
        UserError: the data set has no training images with captions, or one cannot be decoded.
    """
    records = [record for record in dataset.records("train") if record.captions]
    if not records:
        raise UserError(f"{dataset}: no training images with captions; static quantisation is fitted to some")
    order = np.random.default_rng(seed).permutation(len(records))[:count]
    height, width = spec.preprocessing.height, spec.preprocessing.width
    drawn = [records[index] for index in order]
    return Sample(decode_records(dataset.folder, drawn, height, width), tuple(record.captions[0] for record in drawn))
