"""Predicts a person's height in the image: linear in the row of the feet if the camera looks down on flat ground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from personsearch.gallery.ingest.boxes import Boxes

SAMPLES_FOR_A_LINE = 12
SAMPLES_FOR_A_CONSTANT = 3
LEAST_SPREAD = 0.15


@dataclass(frozen=True, slots=True)
class HeightModel:
    """Expected height = slope × foot row + intercept, in pixels, never below `lowest`."""

    slope: float
    intercept: float
    lowest: float

    def at_foot(self, foot: float) -> float:
        """Height of a person whose feet are at this row."""
        return max(self.slope * foot + self.intercept, self.lowest)

    def at_head(self, head: float) -> float:
        """Height of a person whose head's top is at this row: h = slope × (head + h) + intercept."""
        return max((self.slope * head + self.intercept) / (1 - self.slope), self.lowest)


def fit_heights(people_N4: Boxes) -> HeightModel | None:
    """A robust fit to boxes of single people; None if there are too few."""
    if len(people_N4) < SAMPLES_FOR_A_CONSTANT:
        return None
    feet: NDArray[np.float64] = people_N4[:, 3]
    heights = feet - people_N4[:, 1]
    slope, intercept = 0.0, float(np.median(heights))
    if len(people_N4) >= SAMPLES_FOR_A_LINE and np.ptp(feet) > LEAST_SPREAD * feet.max():
        slope, intercept, _, _ = theilslopes(heights, feet)
    slope = float(np.clip(slope, 0.0, 0.8))
    intercept = float(np.median(heights - slope * feet))
    return HeightModel(slope, intercept, lowest=0.6 * float(heights.min()))
