"""Ranking figures, counted by hand and against a slow count of pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.evaluation.attributes.ranking import area_under_curve, average_precision, precision_at

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
HAS_IT = np.array([True, False, True, False, False])


def test_counted_by_hand() -> None:
    assert area_under_curve(SCORES, HAS_IT) == pytest.approx(5 / 6)  # of 2 × 3 pairs only (0.7, 0.8) is wrong
    assert average_precision(SCORES, HAS_IT) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert precision_at(2, SCORES, HAS_IT) == 0.5
    assert precision_at(10, SCORES, HAS_IT) == pytest.approx(2 / 5)


def test_of_equal_scores_the_first_image_is_better() -> None:
    equal = np.zeros(4)
    assert precision_at(1, equal, np.array([True, False, False, False])) == 1
    assert average_precision(equal, np.array([False, False, False, True])) == 0.25
    assert area_under_curve(equal, np.array([True, False, False, False])) == 0.5


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_area_is_the_share_of_pairs_in_the_right_order(images: list[tuple[int, bool]]) -> None:
    scores, has_it = np.array([score for score, _ in images]), np.array([has for _, has in images])
    if has_it.all() or not has_it.any():
        with pytest.raises(ValueError, match="some of both expected"):
            area_under_curve(scores, has_it)
        return
    pairs = [(a > b) + (a == b) / 2 for a in scores[has_it] for b in scores[~has_it]]
    assert area_under_curve(scores, has_it) == pytest.approx(np.mean(pairs))
