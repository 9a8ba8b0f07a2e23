"""Random numbers that belong to a sample, not to a process: the same in any batch, on any rank, after any resume.

A process-wide generator would give other numbers after a resume or with another number of workers. Philox is
counter-based: (seed, epoch, stream) is its key and the pair its counter, so any sample's numbers can be had directly.

Shapes: N samples, K numbers of a sample.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IMAGE_STREAM, TEXT_STREAM = 0, 1


def sample_generator(seed: int, epoch: int, pair: int, stream: int) -> np.random.Generator:
    """The generator of one pair in one epoch; each view of the pair has its own stream (0 to 255)."""
    key = np.array([seed, (epoch << 8) | stream], dtype=np.uint64)
    # the pair is the counter's highest word and draws count up the lowest, so pairs never share numbers
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, pair], dtype=np.uint64)))


def uniform_rows(
    seed: int, epoch: int, pairs_N: Sequence[int] | NDArray[np.int64], count: int, stream: int = IMAGE_STREAM
) -> NDArray[np.float32]:
    """`count` numbers in [0, 1) for one view of the image of each pair: float32 [N, K]."""
    rows = [sample_generator(seed, epoch, int(pair), stream).random(count, dtype=np.float32) for pair in pairs_N]
    return np.stack(rows) if rows else np.empty((0, count), dtype=np.float32)
