"""Which training pairs make which step, from (seed, epoch) alone: nothing to store, any step can be resumed.

Shapes: P pairs of the data set, N pairs of one step's global batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.data.records import ImageRecord


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every (image, caption) of a split, as two parallel arrays [P]."""

    image_P: NDArray[np.int64]
    caption_P: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> "Pairs":
        counts = [len(record.captions) for record in records]
        captions = [np.arange(count) for count in counts]
        return cls(np.repeat(np.arange(len(records)), counts), np.concatenate([np.empty(0, np.int64), *captions]))

    def __len__(self) -> int:
        return len(self.image_P)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Deterministic epochs of whole batches; the rest of a permutation that fills none is left for other epochs."""

    pairs: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return self.pairs // self.batch_size

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The permutation of one epoch, [P]."""
        return np.random.default_rng((self.seed, epoch)).permutation(self.pairs)

    def batch(self, order_P: NDArray[np.int64], step: int) -> NDArray[np.int64]:
        """The global batch of a step of the epoch whose permutation is `order_P`, [N]."""
        return order_P[step * self.batch_size : (step + 1) * self.batch_size]


def shard(batch_N: NDArray[np.int64], rank: int, world_size: int) -> NDArray[np.int64]:
    """One process's contiguous part of a global batch; parts joined in rank order give the batch again."""
    if len(batch_N) % world_size:
        raise ValueError(f"batch of {len(batch_N)} for {world_size} processes; a multiple expected")
    size = len(batch_N) // world_size
    return batch_N[rank * size : (rank + 1) * size]
