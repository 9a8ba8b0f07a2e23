"""The parts of a query add up to one vector, whose scores are the sum of theirs."""

import numpy as np
import pytest

from personsearch.search.query import WITHOUT_WEIGHT, Query, combined

NONE_ND = np.empty((0, 4), dtype=np.float32)
A, B, C = np.eye(4, dtype=np.float32)[:3]


def one(_: object) -> float:
    return 1.0


def test_one_part_is_itself() -> None:
    np.testing.assert_allclose(combined(A[None], NONE_ND, None, 0.5, one), A)
    np.testing.assert_allclose(combined(NONE_ND, NONE_ND, B, 0.2, one), B)


def test_scores_are_the_weighted_sum_of_the_parts_over_their_spread() -> None:
    spreads = {0: 0.5, 1: 2.0, 2: 1.0}
    vector_D = combined(A[None], C[None], B, 0.25, lambda part: spreads[int(part.argmax())])
    expected_D = 0.75 * A / 0.5 + 0.25 * B / 2.0 - WITHOUT_WEIGHT * C
    np.testing.assert_allclose(vector_D, expected_D / np.linalg.norm(expected_D), atol=1e-6)


def test_several_texts_and_terms_are_averaged() -> None:
    expected_D = (A + B) / 2 - WITHOUT_WEIGHT * C
    vector_D = combined(np.stack([A, B]), np.stack([C, C]), None, 0.5, one)
    np.testing.assert_allclose(vector_D, expected_D / np.linalg.norm(expected_D), atol=1e-6)


@pytest.mark.parametrize(
    ("query", "is_description"),
    [
        (Query(("red",)), True),
        (Query(("red",), picture_weight=0.9), True),
        (Query(("red", "green")), False),
        (Query(("red",), without=("a hat",)), False),
        (Query(("red",), picture_D=A), False),
        (Query(picture_D=A, other_than=("camera", "track", "")), False),
    ],
)
def test_only_one_description_alone_is_calibrated(query: Query, is_description: bool) -> None:
    assert query.is_description == is_description
