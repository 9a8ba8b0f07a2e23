"""Calibration on queries whose probabilities are known."""

import numpy as np
import pytest

from personsearch.data.records import ImageRecord
from personsearch.evaluation.calibration import (
    expected_calibration_error,
    find_candidates,
    fit_calibration,
    fit_curve,
    fit_logistic,
    probabilities,
    shift_to_mean,
)
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.search.calibration import DEPTH, lead_over


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


def three_people() -> SplitEmbeddings:
    """Images at cosines 1, .8 and 0 from the caption of the first person, who has the first and the last of them."""
    image_GD = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    records = [ImageRecord(str(i), "", person, "val", [], "t") for i, person in enumerate((7, 8, 7))]
    return SplitEmbeddings(records, ["x"], np.array([0]), image_GD, np.array([[1, 0]], dtype=np.float32))


def test_candidates_by_hand() -> None:
    """Leads: 1 − mean(.8, 0) = .6, .8 − mean(1, 0) = .3, 0 − mean(1, .8) = −.9."""
    found = find_candidates(three_people(), absent=False, parts=(1,))
    assert found.there_QK.sum() == 3
    assert found.features() == pytest.approx(
        np.array([[1, 0.6, np.log(3)], [0.8, 0.3, np.log(3)], [0, -0.9, np.log(3)]])
    )
    assert found.rightness().tolist() == [True, False, True]
    assert found.searched_Q.tolist() == [3]


def test_an_absent_person_is_not_searched() -> None:
    found = find_candidates(three_people(), absent=True, parts=(1,))
    assert found.features() == pytest.approx(np.array([[0.8, 0.0, 0.0]]))
    assert found.rightness().tolist() == [False]
    assert found.searched_Q.tolist() == [1]


def test_galleries_of_every_size_hold_the_person_asked_for() -> None:
    """12 people with 3 images: all 36, halves of 18, quarters of 9; each caption once in each size."""
    embeddings = make_embeddings(noise=0.0, people=12)
    found = find_candidates(embeddings, absent=False)
    assert sorted(found.searched_Q.tolist()) == [9] * 36 + [18] * 36 + [36] * 36
    assert found.right_QK[:, :3].all()
    assert not found.right_QK[:, 3:].any()
    assert sorted(find_candidates(embeddings, absent=True).searched_Q.tolist()) == [6] * 36 + [15] * 36 + [33] * 36


def test_a_shift_to_a_mean_by_hand() -> None:
    """Odds 1 and 3 become 3 and 9: (.75 + .9) / 2."""
    assert shift_to_mean(np.array([0.5, 0.75]), 0.825) == pytest.approx(np.log(3))


def test_the_best_candidates_are_right_as_often_as_is_said() -> None:
    embeddings = make_embeddings(noise=1.0)
    parts = [find_candidates(embeddings, absent=absent) for absent in (False, True)]
    curve = fit_curve(parts)
    stated = np.mean([probabilities(curve, part)[:, 0].mean() for part in parts])
    assert stated == pytest.approx(np.mean([part.right_QK[:, 0].mean() for part in parts]), abs=1e-3)


def test_the_same_similarity_says_less_in_a_larger_gallery() -> None:
    calibration = fit_calibration(make_embeddings(noise=1.0, people=160), "val", 0.5)
    assert calibration.curve.log_tracks < 0 < calibration.curve.score
    assert calibration.galleries == (480, 240, 120)


def test_probabilities_are_what_serving_states() -> None:
    calibration = fit_calibration(make_embeddings(noise=1.0, people=20), "val", 0.5)
    found = find_candidates(make_embeddings(noise=1.0, people=20), absent=False, parts=(1,))
    stated = probabilities(calibration.curve, found)
    row = found.score_QK[0].tolist()
    eleventh = (sum(row) - row[0]) / (DEPTH - 1)  # not among the candidates: recovered from the first one's lead
    eleventh = DEPTH * (row[0] - found.lead_QK[0, 0]) - eleventh * (DEPTH - 1)
    for rank in range(DEPTH):
        others = [*row[:rank], *row[rank + 1 :], eleventh]
        lead = lead_over(row[rank], others)
        assert calibration.confidence(row[rank], lead, 60) == pytest.approx(stated[0, rank])
