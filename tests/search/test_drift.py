"""Drift: crops like the reference's have none, others have as much as their mean is away."""

import numpy as np
import pytest

from personsearch.search.calibration import Reference
from personsearch.search.drift import FEWEST, CameraDrift, measure_drift, shift_from

RNG = np.random.default_rng(0)
SPREAD = 0.1


def vectors(count: int, away: float = 0.0) -> np.ndarray:
    """In eight dimensions, with a deviation of SPREAD in all together, `away` deviations from 0."""
    image_ND = RNG.normal(0, SPREAD / np.sqrt(8), (count, 8))
    image_ND[:, 0] += away * SPREAD
    return image_ND.astype(np.float32)


REFERENCE = Reference.of(vectors(5000))


@pytest.mark.parametrize("away", [0.5, 1.0, 3.0])
def test_shift_is_how_far_the_mean_is_away_in_deviations(away: float) -> None:
    assert shift_from(REFERENCE, vectors(4000, away)) == pytest.approx(away, abs=0.05)


@pytest.mark.parametrize("count", [FEWEST, 100])
def test_crops_like_the_reference_are_no_further_than_chance(count: int) -> None:
    found = [shift_from(REFERENCE, vectors(count)) for _ in range(200)]
    assert np.mean(np.square(found)) < 1.0 / count
    assert max(found) < 2.5 / np.sqrt(count)


def test_a_camera_with_few_crops_is_left_out() -> None:
    found = measure_drift(
        {"gate 3": vectors(FEWEST, 2.0), "hall": vectors(FEWEST - 1)}, {"gate 3": 0.4, "hall": 0.9}, REFERENCE
    )
    assert found == {"gate 3": CameraDrift(pytest.approx(2.0, abs=0.5), 0.4)}
