"""What a tower reads of a split, batch by batch, the same batches every time.

Shapes: N items of a batch, Q captions, L tokens, H height, W width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from personsearch.bundle import Preprocessing
from personsearch.data.records import ImageRecord
from personsearch.evaluation.embeddings import decode_records
from personsearch.images import normalise
from personsearch.tokenizer import text_lengths, trim


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows_N` are places in the split; `inputs` token ids [N, L] or standardised pixels [N, 3, H, W]."""

    rows_N: NDArray[np.int64]
    inputs: Tensor


class Batches(Protocol):
    """Numbered from 0, `size` items in each but the last, read anew when one is asked for."""

    size: int

    def __len__(self) -> int: ...

    def read(self, number: int) -> Batch:
        """One batch, on the device of the model."""


class TextBatches:
    """Captions in the order of their length, so that batches hold little padding."""

    def __init__(self, ids_QL: NDArray[np.int64], size: int, device: torch.device) -> None:
        self.size = size
        self._ids_QL, self._device = ids_QL, device
        self._order_Q = np.argsort(text_lengths(ids_QL), kind="stable")

    def __len__(self) -> int:
        return math.ceil(len(self._order_Q) / self.size)

    def read(self, number: int) -> Batch:
        rows_N = self._order_Q[number * self.size : (number + 1) * self.size]
        return Batch(rows_N, torch.from_numpy(trim(self._ids_QL[rows_N])).to(self._device))


class ImageBatches:
    """Images in the order of the manifest, decoded at each reading."""

    def __init__(
        self,
        dataset: Path,
        records: Sequence[ImageRecord],
        preprocessing: Preprocessing,
        *,
        size: int,
        device: torch.device,
    ) -> None:
        self.size = size
        self._dataset, self._records, self._preprocessing, self._device = dataset, records, preprocessing, device

    def __len__(self) -> int:
        return math.ceil(len(self._records) / self.size)

    def read(self, number: int) -> Batch:
        start, wanted = number * self.size, self._preprocessing
        part = self._records[start : start + self.size]
        pixels_NHW3 = decode_records(self._dataset, part, wanted.height, wanted.width)
        inputs = torch.from_numpy(normalise(pixels_NHW3, wanted.mean, wanted.std)).to(self._device)
        return Batch(np.arange(start, start + len(part)), inputs)
