"""How far the newest crops of each camera are from the pictures that a model was calibrated on.

Shapes: N crops of a camera, D embedding dimension.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.search.calibration import Reference

NEWEST = 100  # crops of a camera that count
FEWEST = 8  # a mean of fewer says little


@dataclass(frozen=True, slots=True)
class CameraDrift:
    """`shift` is the distance of the mean vector from the reference's, in deviations of the reference's pictures,
    without what chance adds to a mean of so few; `quality` is the crops' mean quality.
    """

    shift: float
    quality: float


def shift_from(reference: Reference, image_ND: NDArray[np.float32]) -> float:
    """How far the mean of these vectors is from the reference's pictures, in their deviations; 0 is no further than
    chance.
    """
    mean_D, spread = reference.centre()
    apart = float(np.linalg.norm(image_ND.mean(axis=0) - mean_D)) / spread
    return math.sqrt(max(apart**2 - 1 / len(image_ND), 0.0))


def measure_drift(
    vectors_of_camera: Mapping[str, NDArray[np.float32]],
    quality_of_camera: Mapping[str, float],
    reference: Reference,
) -> dict[str, CameraDrift]:
    """By camera; those with fewer than FEWEST crops are left out."""
    return {
        camera: CameraDrift(shift_from(reference, image_ND), quality_of_camera[camera])
        for camera, image_ND in vectors_of_camera.items()
        if len(image_ND) >= FEWEST
    }
