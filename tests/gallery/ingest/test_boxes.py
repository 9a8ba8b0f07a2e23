"""Box arithmetic against hand-counted examples and a slow oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from personsearch.gallery.ingest.boxes import coverage, overlap, suppress
from personsearch.gallery.ingest.scoring import Agreement, agreement

whole = arrays(np.int64, (5, 4), elements=st.integers(0, 12)).map(lambda boxes: np.sort(boxes.reshape(5, 2, 2), axis=1))
boxes = whole.map(lambda corners: corners.reshape(5, 4).astype(float))


def pixels(box: np.ndarray) -> set[tuple[int, int]]:
    left, top, right, bottom = box.astype(int)
    return {(x, y) for x in range(left, right) for y in range(top, bottom)}


def test_half_covered_boxes_overlap_by_a_third() -> None:
    first, second = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])
    assert overlap(first, second)[0, 0] == pytest.approx(1 / 3)
    assert coverage(first, second)[0, 0] == pytest.approx(1 / 2)


@given(boxes, boxes)
def test_overlap_counts_pixels(first: np.ndarray, second: np.ndarray) -> None:
    for n, one in enumerate(first):
        for m, other in enumerate(second):
            shared, union = len(pixels(one) & pixels(other)), len(pixels(one) | pixels(other))
            assert overlap(first, second)[n, m] == pytest.approx(shared / union if union else 0.0)


@given(boxes)
def test_suppressed_boxes_overlap_a_better_one(candidates: np.ndarray) -> None:
    scores = np.arange(5.0)
    kept = suppress(candidates, scores, most_overlap=0.4)
    shared = overlap(candidates, candidates)
    for n in range(5):
        better = [k for k in kept if scores[k] > scores[n]]
        assert (n in kept) == all(shared[n, k] <= 0.4 for k in better)


def test_agreement_pairs_people_and_boxes_once() -> None:
    people = np.array([[0.0, 0, 10, 20], [8.0, 0, 18, 20], [50.0, 50, 60, 70]])
    found = np.array([[4.0, 0, 14, 20], [100.0, 100, 110, 120]])
    assert agreement(people, found, least_overlap=0.4) == Agreement(people=3, found=2, right=1)
    total = agreement(people, found) + Agreement(1, 1, 1)
    assert (total.recall, total.precision) == (0.5, pytest.approx(2 / 3))
    assert agreement(np.zeros((0, 4)), np.zeros((0, 4))).recall == 1.0
