"""Speed and memory of several bundles.

They take turns at one query, one image and a batch of images, so that a busy moment of the machine slows all of them
alike. Memory is the peak of a process that does nothing else.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.golden import TEXTS
from personsearch.encoders.load import load_encoder
from personsearch.errors import UserError
from personsearch.processes import run_python

WARM_UP_ROUNDS = 3
BATCH = 16
ROUNDS_PER_BATCH = 10  # a batch takes as long as many single images


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians: milliseconds of one item at a time, images per second in batches of 16. Peak memory in MiB."""

    text_ms: float
    image_ms: float
    images_per_second: float
    memory_mib: float


def measure_speed(bundles: Mapping[str, Bundle], rounds: int, threads: int = 0) -> dict[str, Speed]:
    """Time every bundle in each of `rounds` rounds, after a warm-up that does not count; 0 threads are every core.

    Raises:
        UserError: a bundle cannot be loaded.
    """
    turns = {name: _Turns(load_encoder(bundle, threads=threads)) for name, bundle in bundles.items()}
    for turn in range(-WARM_UP_ROUNDS, rounds):
        for each in turns.values():
            each.take(turn)
    return {name: turns[name].speed(peak_memory(bundle, threads)) for name, bundle in bundles.items()}


def peak_memory(bundle: Bundle, threads: int = 0) -> float:
    """MiB of a new process that loads a bundle, encodes a text and a batch of images, and ends.

    Raises:
        UserError: it fails.
    """
    script = f"import sys; from {__name__} import print_peak_memory; print_peak_memory(sys.argv[1], int(sys.argv[2]))"
    try:
        return float(run_python("-c", script, str(bundle), str(threads)).split()[-1])
    except UserError as error:
        raise UserError(f"{bundle}: its memory cannot be measured: {error}") from error


def print_peak_memory(bundle: str, threads: int) -> None:
    """Print this process's own peak: what `peak_memory` starts."""
    encoder = load_encoder(Bundle.open(Path(bundle)), threads=threads)
    encoder.encode_texts(TEXTS[:1])
    encoder.encode_images(_pixels(encoder, BATCH))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    # not getrusage's peak, which a process inherits from the one that starts it
    (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(kib) / 1024)


class _Turns:
    """Collects the times of one encoder, turn by turn."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._one, self._batch = _pixels(encoder, 1), _pixels(encoder, BATCH)
        self._text_seconds: list[float] = []
        self._image_seconds: list[float] = []
        self._batch_seconds: list[float] = []

    def take(self, turn: int) -> None:
        """Time one of each; a negative turn warms up."""
        encoder = self._encoder
        text = _seconds(partial(encoder.encode_texts, [TEXTS[turn % len(TEXTS)]]))
        image = _seconds(partial(encoder.encode_images, self._one))
        if turn >= 0:
            self._text_seconds.append(text)
            self._image_seconds.append(image)
        if turn % ROUNDS_PER_BATCH == 0 or turn == -1:
            batch = _seconds(partial(encoder.encode_images, self._batch))
            if turn >= 0:
                self._batch_seconds.append(batch)

    def speed(self, memory_mib: float) -> Speed:
        times = (self._text_seconds, self._image_seconds, self._batch_seconds)
        text, image, batch = map(statistics.median, times)
        return Speed(1000 * text, 1000 * image, BATCH / batch, memory_mib)


def _pixels(encoder: Encoder, count: int) -> NDArray[np.uint8]:
    size = (encoder.preprocessing.height, encoder.preprocessing.width)
    return np.full((count, *size, 3), 127, dtype=np.uint8)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
