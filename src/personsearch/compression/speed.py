"""Time of one query and of one picture, for several encoders in turn so that a busy moment slows all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from personsearch.search.encoder import Encoder
from personsearch.search.golden import TEXTS

WARM_UP_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians in milliseconds, one item at a time."""

    text_ms: float
    image_ms: float


def measure_speed(encoders: Mapping[str, Encoder], rounds: int) -> dict[str, Speed]:
    """Time every encoder in each of `rounds` rounds, after a warm-up that does not count."""
    text: dict[str, list[float]] = {name: [] for name in encoders}
    image: dict[str, list[float]] = {name: [] for name in encoders}
    for turn in range(WARM_UP_ROUNDS + rounds):
        for name, encoder in encoders.items():
            size = (encoder.preprocessing.height, encoder.preprocessing.width)
            pixels_1HW3 = np.full((1, *size, 3), 127, dtype=np.uint8)
            text[name].append(_milliseconds(partial(encoder.encode_texts, [TEXTS[turn % len(TEXTS)]])))
            image[name].append(_milliseconds(partial(encoder.encode_images, pixels_1HW3)))
    return {
        name: Speed(statistics.median(text[name][WARM_UP_ROUNDS:]), statistics.median(image[name][WARM_UP_ROUNDS:]))
        for name in encoders
    }


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)
