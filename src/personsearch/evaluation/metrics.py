"""Retrieval metrics by the protocol of text-based person search; numpy only, chunked over queries.

The protocol: similarity is the float32 dot product of unit vectors; a gallery item matches if it shows the query's
identity; items of equal similarity rank in gallery order. A query whose identity is not in the gallery has no rank: it
is left out of every mean and counted in `queries_without_match`.

Shapes: Q queries, C queries of one chunk, G gallery items, D embedding dimension, M matches of one query.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CMC_LENGTH = 50
FEW_PEOPLE = 10
SAME_PERCENTAGE = 9  # decimals to which percentages are compared, so that floating-point error does not decide


@dataclass(frozen=True, slots=True)
class RetrievalMetrics:
    """Metrics in percent. `cmc[k - 1]` is R@k, the share of queries with a match among the k best."""

    r1: float
    r5: float
    r10: float
    map: float
    minp: float
    cmc: tuple[float, ...]
    queries: int
    queries_without_match: int


@dataclass(frozen=True, slots=True)
class QueryRanks:
    """What the metrics need to know about each query, arrays [Q].

    `first_rank` is the 1-based rank of the best match, 0 without one; `average_precision` is the mean over the matches
    of the precision at each; `inverse_penalty` is the number of matches over the rank of the last.
    """

    first_rank: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    inverse_penalty: NDArray[np.float64]

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "QueryRanks":
        """The ranks of some of the queries."""
        return QueryRanks(self.first_rank[chosen], self.average_precision[chosen], self.inverse_penalty[chosen])


def retrieval_metrics(
    query_QD: NDArray[np.float32],
    gallery_GD: NDArray[np.float32],
    query_ids_Q: NDArray[np.int64],
    gallery_ids_G: NDArray[np.int64],
    *,
    chunk: int = 1024,
) -> RetrievalMetrics:
    """R@k, mAP and mINP of queries against a gallery.

    Raises:
        ValueError: shapes disagree, embeddings are not finite, or no query has a match.
    """
    return summarise(rank_queries(query_QD, gallery_GD, query_ids_Q, gallery_ids_G, chunk=chunk))


def too_few_people(gallery: str, people: int) -> str | None:
    """What to say about figures that were measured on so few people; None from FEW_PEOPLE on."""
    if people == 1:
        return f"{gallery} shows one person only: every search finds them, so R@1 is 100 % whatever the model"
    if people < FEW_PEOPLE:
        return f"{gallery} shows only {people} people: too few for R@1 to tell a good model from a bad one"
    return None


def points_lost(before: float, after: float) -> float:
    """How much lower a percentage is, without floating-point error: 64.4 - 63.9 is 0.5, not a bit more."""
    return round(before - after, SAME_PERCENTAGE) + 0.0  # -0.0 becomes 0.0


def rank_queries(
    query_QD: NDArray[np.float32],
    gallery_GD: NDArray[np.float32],
    query_ids_Q: NDArray[np.int64],
    gallery_ids_G: NDArray[np.int64],
    *,
    chunk: int = 1024,
) -> QueryRanks:
    """Rank every query's matches; at most two chunk × G matrices of similarities are in memory.

    Raises:
        ValueError: shapes disagree or embeddings are not finite.
    """
    _check(query_QD, gallery_GD, query_ids_Q, gallery_ids_G)
    matches = _matches_by_identity(gallery_ids_G)
    none = np.empty(0, dtype=np.int64)
    first_Q = np.zeros(len(query_QD), dtype=np.int64)
    precision_Q = np.zeros(len(query_QD))
    penalty_Q = np.zeros(len(query_QD))
    for start, similarity_CG in similarity_chunks(query_QD, gallery_GD, chunk):
        for query, row_G, sorted_G in zip(
            range(start, start + len(similarity_CG)), similarity_CG, np.sort(similarity_CG, axis=1), strict=True
        ):
            # one sorted row answers all of the query's matches by binary search: no full ranking is needed
            matches_M = matches.get(int(query_ids_Q[query]), none)
            if len(matches_M) == 0:
                continue
            ranks_M = _ranks(matches_M, row_G, sorted_G)
            first_Q[query] = ranks_M[0]
            precision_Q[query] = (np.arange(1, len(ranks_M) + 1) / ranks_M).mean()
            penalty_Q[query] = len(ranks_M) / ranks_M[-1]
    return QueryRanks(first_Q, precision_Q, penalty_Q)


def summarise(ranks: QueryRanks) -> RetrievalMetrics:
    """Means over the queries that have a match.

    Raises:
        ValueError: no query has one.
    """
    has_match_Q = ranks.first_rank > 0
    if not has_match_Q.any():
        raise ValueError(f"none of {len(has_match_Q)} queries has a match in the gallery")
    matched = ranks.select(has_match_Q)
    within = np.bincount(np.minimum(matched.first_rank, CMC_LENGTH + 1), minlength=CMC_LENGTH + 2)[1:-1]
    cmc = 100.0 * np.cumsum(within) / len(matched.first_rank)
    return RetrievalMetrics(
        r1=float(cmc[0]),
        r5=float(cmc[4]),
        r10=float(cmc[9]),
        map=100.0 * float(matched.average_precision.mean()),
        minp=100.0 * float(matched.inverse_penalty.mean()),
        cmc=tuple(float(value) for value in cmc),
        queries=len(has_match_Q),
        queries_without_match=int((~has_match_Q).sum()),
    )


def top_candidates(
    query_QD: NDArray[np.float32], gallery_GD: NDArray[np.float32], k: int, *, chunk: int = 1024
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Gallery indices and similarities [Q, min(k, G)] of the best items, best first; equal ones in gallery order."""
    k = min(k, len(gallery_GD))
    indices_QK = np.empty((len(query_QD), k), dtype=np.int64)
    scores_QK = np.empty((len(query_QD), k), dtype=np.float32)
    for start, similarity_CG in similarity_chunks(query_QD, gallery_GD, chunk):
        best_CK = np.argsort(-similarity_CG, axis=1, kind="stable")[:, :k]
        indices_QK[start : start + len(best_CK)] = best_CK
        scores_QK[start : start + len(best_CK)] = np.take_along_axis(similarity_CG, best_CK, axis=1)
    return indices_QK, scores_QK


def similarity_chunks(
    query_QD: NDArray[np.float32], gallery_GD: NDArray[np.float32], chunk: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Rows of the similarity matrix, `chunk` at a time, each block with the index of its first query."""
    for start in range(0, len(query_QD), chunk):
        yield start, query_QD[start : start + chunk] @ gallery_GD.T


def _ranks(
    matches_M: NDArray[np.int64], row_G: NDArray[np.float32], sorted_G: NDArray[np.float32]
) -> NDArray[np.int64]:
    """1-based ranks of the matches, ascending; `sorted_G` is `row_G` in ascending order."""
    scores_M = row_G[matches_M]
    not_worse_M = len(row_G) - np.searchsorted(sorted_G, scores_M, side="left")
    better_M = len(row_G) - np.searchsorted(sorted_G, scores_M, side="right")
    ranks_M = better_M + 1
    for position in np.flatnonzero(not_worse_M - better_M > 1):  # a tie: items earlier in the gallery rank first
        earlier_G = row_G[: matches_M[position]]
        ranks_M[position] += np.count_nonzero(earlier_G == scores_M[position])
    return np.sort(ranks_M)


def _matches_by_identity(gallery_ids_G: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    order_G = np.argsort(gallery_ids_G, kind="stable")
    identities, starts = np.unique(gallery_ids_G[order_G], return_index=True)
    groups = np.split(order_G, starts[1:])
    return dict(zip(identities.tolist(), groups, strict=True))


def _check(
    query_QD: NDArray[np.float32],
    gallery_GD: NDArray[np.float32],
    query_ids_Q: NDArray[np.int64],
    gallery_ids_G: NDArray[np.int64],
) -> None:
    if query_QD.ndim != 2 or gallery_GD.ndim != 2 or query_QD.shape[1] != gallery_GD.shape[1]:
        raise ValueError(f"queries {query_QD.shape} and gallery {gallery_GD.shape}: [Q, D] and [G, D] expected")
    if query_ids_Q.shape != (len(query_QD),) or gallery_ids_G.shape != (len(gallery_GD),):
        raise ValueError(
            f"identities {query_ids_Q.shape} and {gallery_ids_G.shape} for {len(query_QD)} queries and "
            f"{len(gallery_GD)} gallery items; one each expected"
        )
    if len(query_QD) == 0 or len(gallery_GD) == 0:
        raise ValueError(f"{len(query_QD)} queries and {len(gallery_GD)} gallery items; at least one each expected")
    if not (np.isfinite(query_QD).all() and np.isfinite(gallery_GD).all()):
        raise ValueError("embeddings hold NaN or infinity; finite numbers expected")
