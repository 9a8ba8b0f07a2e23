"""The fast metrics against a slow, obvious oracle, and against numbers counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personsearch.evaluation.metrics import (
    CMC_LENGTH,
    points_lost,
    rank_queries,
    retrieval_metrics,
    summarise,
    top_candidates,
)


def slow_oracle(query, gallery, query_ids, gallery_ids):
    """Sort every row by (−similarity, gallery index) in Python and walk down it."""
    firsts, precisions, penalties = [], [], []
    for vector, identity in zip(query, query_ids, strict=True):
        scores = [float(np.dot(vector, item)) for item in gallery]
        order = sorted(range(len(gallery)), key=lambda index: (-scores[index], index))
        ranks = [rank for rank, index in enumerate(order, start=1) if gallery_ids[index] == identity]
        if ranks:
            firsts.append(ranks[0])
            precisions.append(sum(found / rank for found, rank in enumerate(ranks, start=1)) / len(ranks))
            penalties.append(len(ranks) / ranks[-1])
    share = [100 * sum(first <= k for first in firsts) / len(firsts) for k in range(1, CMC_LENGTH + 1)]
    return share, 100 * sum(precisions) / len(precisions), 100 * sum(penalties) / len(penalties)


@st.composite
def retrieval_problems(draw):
    """Small integers as embeddings: every product is exact in float32 and ties are frequent."""
    queries, items, width = draw(st.integers(1, 9)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0, 1, 5]))
    query = numbers.integers(-spread, spread + 1, (queries, width)).astype(np.float32)
    gallery = numbers.integers(-spread, spread + 1, (items, width)).astype(np.float32)
    return query, gallery, numbers.integers(0, 4, queries), numbers.integers(0, 4, items)


@given(problem=retrieval_problems(), chunk=st.integers(1, 10))
@settings(max_examples=300, deadline=None)
def test_equals_the_slow_oracle_in_chunks_of_any_size(problem, chunk) -> None:
    query, gallery, query_ids, gallery_ids = problem
    if not set(query_ids) & set(gallery_ids):
        with pytest.raises(ValueError, match="has a match"):
            retrieval_metrics(query, gallery, query_ids, gallery_ids, chunk=chunk)
        return
    metrics = retrieval_metrics(query, gallery, query_ids, gallery_ids, chunk=chunk)
    share, mean_precision, mean_penalty = slow_oracle(query, gallery, query_ids, gallery_ids)
    assert metrics.cmc == pytest.approx(share)
    assert (metrics.r1, metrics.r5, metrics.r10) == pytest.approx((share[0], share[4], share[9]))
    assert metrics.map == pytest.approx(mean_precision)
    assert metrics.minp == pytest.approx(mean_penalty)
    assert metrics.queries_without_match == sum(identity not in gallery_ids for identity in query_ids)


def test_counts_by_hand() -> None:
    """Matches at ranks 1 and 3 for the first query, at rank 2 for the second."""
    query = np.eye(2, dtype=np.float32)
    gallery = np.array([[0.9, 0.1], [0.8, 0.9], [0.7, 0.5]], dtype=np.float32)
    metrics = retrieval_metrics(query, gallery, np.array([7, 8]), np.array([7, 9, 7]))
    assert metrics.queries_without_match == 1
    assert (metrics.r1, metrics.map, metrics.minp) == pytest.approx((100.0, 100 * (1 + 2 / 3) / 2, 100 * 2 / 3))
    metrics = retrieval_metrics(query, gallery, np.array([7, 7]), np.array([7, 9, 7]))
    assert (metrics.r1, metrics.r5) == (50.0, 100.0)
    assert metrics.map == pytest.approx(100 * ((1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 2)


def test_equal_similarities_rank_in_gallery_order() -> None:
    ranks = rank_queries(
        np.ones((1, 1), np.float32), np.ones((4, 1), np.float32), np.array([5]), np.array([1, 2, 5, 5])
    )
    assert ranks.first_rank.tolist() == [3]
    assert ranks.inverse_penalty.tolist() == [2 / 4]


def test_a_breakdown_is_the_summary_of_its_queries() -> None:
    numbers = np.random.default_rng(0)
    query, gallery = numbers.normal(size=(20, 4)).astype(np.float32), numbers.normal(size=(9, 4)).astype(np.float32)
    query_ids, gallery_ids = numbers.integers(0, 3, 20), np.arange(9) % 3
    part = rank_queries(query, gallery, query_ids, gallery_ids).select(query_ids == 1)
    chosen = query_ids == 1
    assert summarise(part) == retrieval_metrics(query[chosen], gallery, query_ids[chosen], gallery_ids)


def test_top_candidates_are_best_first_with_ties_in_gallery_order() -> None:
    gallery = np.array([[1.0], [3.0], [3.0], [2.0]], dtype=np.float32)
    indices, scores = top_candidates(np.array([[1.0], [-1.0]], np.float32), gallery, 3, chunk=1)
    assert indices.tolist() == [[1, 2, 3], [0, 3, 1]]
    assert scores.tolist() == [[3, 3, 2], [-1, -2, -3]]
    assert top_candidates(gallery, gallery, 10)[0].shape == (4, 4)


@pytest.mark.parametrize(
    ("query", "gallery", "query_ids", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), np.arange(2), "expected"),
        (np.ones((2, 3)), np.ones((2, 3)), np.arange(3), "one each expected"),
        (np.full((2, 3), np.nan), np.ones((2, 3)), np.arange(2), "NaN"),
        (np.ones((0, 3)), np.ones((2, 3)), np.arange(0), "at least one"),
    ],
)
def test_wrong_input_is_named(query, gallery, query_ids, message) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(query.astype(np.float32), gallery.astype(np.float32), query_ids, np.arange(2))


@pytest.mark.parametrize(("before", "after", "lost"), [(64.4, 63.9, 0.5), (64.1, 61.1, 3.0), (60.0, 61.0, -1.0)])
def test_points_lost_are_what_their_decimals_say(before: float, after: float, lost: float) -> None:
    assert points_lost(before, after) == lost


def test_no_points_lost_have_no_sign() -> None:
    assert str(points_lost(16.666666666666664, 16.666666666666668)) == "0.0"
