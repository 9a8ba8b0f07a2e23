"""Calibration on queries whose probabilities are known."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.data.records import ImageRecord
from personsearch.errors import UserError
from personsearch.evaluation.calibration import expected_calibration_error, fit_calibration, fit_logistic
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.search.calibration import DEPTH, Calibration, Logistic, read_calibration


def make_embeddings(noise: float, people: int = 120, views: int = 3) -> SplitEmbeddings:
    """Images and captions of people as noisy copies of one unit vector per person."""
    numbers = np.random.default_rng(0)

    def noisy(vectors: np.ndarray) -> np.ndarray:
        vectors = vectors + noise * numbers.normal(size=vectors.shape) / np.sqrt(vectors.shape[1])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    identity = numbers.normal(size=(people, 32))
    identity /= np.linalg.norm(identity, axis=1, keepdims=True)
    ids = np.repeat(np.arange(people), views)
    records = [ImageRecord(str(i), "", int(person), "val", ["x"], "t") for i, person in enumerate(ids)]
    return SplitEmbeddings(records, ["x"] * len(ids), np.arange(len(ids)), noisy(identity[ids]), noisy(identity[ids]))


def test_logistic_finds_the_law_that_made_the_data() -> None:
    numbers = np.random.default_rng(1)
    features = numbers.normal(size=(200_000, 2)) * [0.1, 3.0] + [0.5, -1.0]
    probability = 1 / (1 + np.exp(-(-4 + 8 * features[:, 0] + 0.5 * features[:, 1])))
    weights = fit_logistic(features, numbers.random(len(features)) < probability)
    assert weights == pytest.approx([-4, 8, 0.5], rel=0.05)


def test_expected_calibration_error_by_hand() -> None:
    """Ten at .9 of which 9 right: 0 off. Ten at .25 of which 5 right: .25 off. Mean .125."""
    probability = np.array([0.9] * 10 + [0.25] * 10)
    right = np.array([True] * 9 + [False] + [True] * 5 + [False] * 5)
    assert expected_calibration_error(probability, right) == pytest.approx(0.125)


def test_a_good_model_is_confident_and_knows_who_is_absent() -> None:
    calibration = fit_calibration(make_embeddings(noise=0.3), "val", 0.5)
    assert calibration.expected_calibration_error < 0.03
    assert calibration.reliable_when_present > 0.95
    assert calibration.reliable_when_absent < 0.05
    assert calibration.precision > 0.95


def test_a_poor_model_admits_that_it_does_not_know() -> None:
    calibration = fit_calibration(make_embeddings(noise=3.0), "val", 0.5)
    assert calibration.expected_calibration_error < 0.05
    assert calibration.reliable_when_present < 0.3


def test_one_person_is_no_error() -> None:
    calibration = fit_calibration(make_embeddings(noise=0.3, people=1), "val", 0.5)
    assert 0 <= calibration.precision <= 1


def test_confidence_is_judged_by_query_where_enough_is_known() -> None:
    calibration = Calibration(
        by_score=Logistic(intercept=0, score=1),
        by_query=Logistic(intercept=0, score=0, lead=10),
        threshold=0.6,
        split="val",
        queries=1,
        expected_calibration_error=0,
        precision=0,
        reliable_when_present=0,
        reliable_when_absent=0,
    )
    alike, outstanding = [0.5] * DEPTH, [0.8] + [0.5] * (DEPTH - 1)
    assert calibration.confidence(0.0) == 0.5
    assert calibration.confidence(0.5, alike) == 0.5
    assert calibration.confidence(0.8, outstanding) == pytest.approx(1 / (1 + np.exp(-2.7)))
    assert calibration.is_reliable(outstanding)
    assert not calibration.is_reliable(alike)
    assert not calibration.is_reliable([])


def test_a_missing_file_is_none_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) is None
    (tmp_path / "calibration.json").write_text('{"threshold": 2')
    with pytest.raises(UserError, match=r"calibration\.json"):
        read_calibration(tmp_path)
