"""Describes a person by the colours of head, torso and legs, to tell crossing people apart.

Shapes: H height, W width, A appearance dimension.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.gallery.ingest.video import Pixels

Appearance = NDArray[np.float32]

BINS = (6, 6, 6)
BANDS = ((0.0, 0.2), (0.2, 0.52), (0.52, 0.9))
CORE = 0.8
LEAST_ALIKE = 0.45
# Of the colour axes a and b (grey is 128): more vivid colours count as these.
LOWEST, HIGHEST = 88, 167


def describe(pixels_HW3: Pixels, box: NDArray[np.float64]) -> Appearance:
    """Square roots of colour histograms (CIELAB), so that a dot product is their Bhattacharyya coefficient: float32
    [3, A], a row of unit length each for head, torso and legs.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    columns = _within(left + (1 - CORE) / 2 * width, right - (1 - CORE) / 2 * width, pixels_HW3.shape[1])
    bands = [_within(top + first * height, top + last * height, pixels_HW3.shape[0]) for first, last in BANDS]
    return np.stack([_histogram(pixels_HW3[rows, columns]) for rows in bands])


def similarity(first: Appearance, second: Appearance) -> float:
    """1 for equal colours; 0 for none in common, or if torso or legs can hardly be the same person's."""
    alike = (first * second).sum(axis=1)
    return float(alike.mean()) if alike[1:].min() >= LEAST_ALIKE else 0.0


def blend(old: Appearance, new: Appearance, share: float) -> Appearance:
    """Move an appearance towards a newer one, keeping it of unit length."""
    mixed = (1 - share) * old + share * new
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), dtype=np.float32)


def _within(low: float, high: float, size: int) -> slice:
    first = int(np.clip(low, 0, size - 1))
    return slice(first, int(np.clip(np.ceil(high), first + 1, size)))


def _histogram(region: Pixels) -> Appearance:
    lab = cv2.cvtColor(np.ascontiguousarray(region), cv2.COLOR_BGR2LAB)
    lab[..., 1:] = lab[..., 1:].clip(LOWEST, HIGHEST)
    ranges = [0, 256, LOWEST, HIGHEST + 1, LOWEST, HIGHEST + 1]
    counts = cv2.calcHist([lab], [0, 1, 2], None, list(BINS), ranges).ravel() + 1e-3
    return np.asarray(np.sqrt(counts / counts.sum()), dtype=np.float32)
