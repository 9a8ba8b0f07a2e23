"""The linear probe on vectors whose content is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.evaluation.attributes import probe
from personsearch.evaluation.attributes.probe import fit_probe
from personsearch.evaluation.attributes.ranking import area_under_curve


def vectors(count: int, *, strength: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Noise that holds the thing in one direction, as strongly as told."""
    numbers = np.random.default_rng(seed)
    has_it = numbers.random(count) < 0.3
    image = numbers.normal(size=(count, 16)).astype(np.float32)
    image[:, 3] += strength * has_it
    return image, has_it


@pytest.mark.parametrize(("strength", "least", "most"), [(6.0, 0.99, 1.0), (0.0, 0.4, 0.6)])
def test_it_finds_what_the_vectors_hold_and_nothing_else(strength: float, least: float, most: float) -> None:
    image, has_it = vectors(400, strength=strength, seed=1)
    others, others_have_it = vectors(400, strength=strength, seed=2)
    assert least <= area_under_curve(fit_probe(image, has_it).scores(others), others_have_it) <= most


def test_it_points_where_the_thing_is_whatever_the_scale() -> None:
    image, has_it = vectors(400, strength=3.0, seed=1)
    image[:, 5] *= 1000
    assert np.abs(fit_probe(image, has_it).weight_D).argmax() == 3


def test_the_same_input_gives_the_same_probe() -> None:
    image, has_it = vectors(100, strength=1.0, seed=1)
    assert np.array_equal(fit_probe(image, has_it).weight_D, fit_probe(image, has_it).weight_D)


def test_it_is_fitted_on_a_bounded_number_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    image, has_it = vectors(100, strength=1.0, seed=1)
    spread = np.arange(0, 99, 98 / 49).astype(int)
    monkeypatch.setattr(probe, "MOST_FIT", 50)
    few = fit_probe(image, has_it)
    monkeypatch.setattr(probe, "MOST_FIT", 1000)
    rows = np.unique(np.linspace(0, 99, 50).astype(int))
    assert len(spread) == len(rows) == 50
    assert np.array_equal(few.weight_D, fit_probe(image[rows], has_it[rows]).weight_D)
