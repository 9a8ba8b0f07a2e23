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
    ("query", "kind"),
    [
        (Query(("red",)), "description"),
        (Query(("red",), picture_weight=0.9), "description"),
        (Query(("red",), picture_D=A, picture_weight=0.0), "description"),
        (Query(("red", "green")), "descriptions"),
        (Query(("red",), without=("a hat", "a bag")), "exclusion"),
        (Query(("red",), picture_D=A), "picture_and_words"),
        (Query(("red", "green"), picture_D=A, picture_weight=1.0), "picture"),
        (Query(picture_D=A, picture_weight=0.2, other_than=("camera", "track", "")), "picture"),
        (Query(("red", "green"), picture_D=A), None),
        (Query(("red", "green"), without=("a hat",)), None),
        (Query(without=("a hat",), picture_D=A), None),
    ],
)
def test_each_kind_of_query_is_calibrated_apart(query: Query, kind: str | None) -> None:
    assert query.kind == kind
