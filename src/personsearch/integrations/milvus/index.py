"""One Milvus collection as a VectorIndex.

Where Milvus Lite silently behaves differently from a server, this class refuses the call on both, so that whatever
works on one machine works on a cluster. Shapes: N crops, Q queries, D embedding dimension.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

from personsearch.integrations.milvus.connection import readable_errors
from personsearch.integrations.milvus.filters import between, expressions
from personsearch.integrations.milvus.rows import CROP_FIELDS, crop_of, row_of
from personsearch.integrations.milvus.vectors import VECTOR, VectorLayout
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.index import (
    MAX_K,
    SCORE_DECIMALS,
    Hit,
    check_crop,
    check_k,
    check_vectors,
    latest_of_each,
    rank,
)
from personsearch.tracing import step

WRITE_ROWS = 1000
QUERY_ROWS = 100
FETCHED_ROWS = 20_000  # of candidates with their vectors, in one call


class MilvusIndex:
    """A VectorIndex in one Milvus collection. Get one from MilvusStore."""

    def __init__(
        self,
        client: MilvusClient,
        uri: str,
        name: str,
        embedding_dim: int,
        layout: VectorLayout,
        *,
        is_lite: bool,
    ) -> None:
        self._client = client
        self.uri = uri
        self.name = name
        self.embedding_dim = embedding_dim
        self._layout = layout
        self._is_lite = is_lite

    def upsert(self, crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> None:
        check_vectors(vectors_ND, len(crops), self.embedding_dim)
        for crop in crops:
            check_crop(crop)
        crops, vectors_ND = latest_of_each(crops, vectors_ND)
        columns = self._layout.columns(vectors_ND)
        rows = [row_of(crop) | vector for crop, vector in zip(crops, columns, strict=True)]
        for start in range(0, len(rows), WRITE_ROWS):
            with self._called("upsert", f"write to {self.name!r}"):
                self._client.upsert(self.name, rows[start : start + WRITE_ROWS])

    def flush(self) -> None:
        with self._called("flush", f"flush {self.name!r}"):
            self._client.flush(self.name)

    def delete(self, crop_filter: CropFilter) -> int:
        if crop_filter == EVERYTHING:
            raise ValueError("an empty filter would delete every crop; drop the collection instead")
        removed = self.count(crop_filter)  # engines disagree on what their delete returns
        for expression in expressions(crop_filter):
            with self._called("delete", f"delete from {self.name!r}"):
                self._client.delete(self.name, filter=expression)
        return removed

    def search(self, vectors_QD: NDArray[np.float32], k: int, crop_filter: CropFilter = EVERYTHING) -> list[list[Hit]]:
        check_k(k)
        check_vectors(vectors_QD, len(vectors_QD), self.embedding_dim)
        found: list[list[Hit]] = [[] for _ in vectors_QD]
        step = QUERY_ROWS
        if self._layout.rescored:
            step = max(1, min(step, FETCHED_ROWS // self._layout.candidates(k)))
        for expression in expressions(crop_filter):
            for start in range(0, len(vectors_QD), step):
                part = self._best(vectors_QD[start : start + step], k, expression)
                for query, hits in enumerate(part, start=start):
                    found[query].extend(hits)
        return [rank(hits, k) for hits in found]

    def count(self, crop_filter: CropFilter = EVERYTHING) -> int:
        return sum(
            self._query(expression, output_fields=["count(*)"])[0]["count(*)"]
            for expression in expressions(crop_filter)
        )

    def iterate(self, batch_size: int = 1000) -> Iterator[tuple[list[Crop], NDArray[np.float32]]]:
        crop_ids = self.crop_ids()
        while batch := tuple(islice(crop_ids, batch_size)):
            yield self.fetch(batch)

    def fetch(self, crop_ids: Sequence[str]) -> tuple[list[Crop], NDArray[np.float32]]:
        rows: list[dict[str, Any]] = []
        for expression in expressions(CropFilter(crop_ids=tuple(crop_ids))):
            rows += self._query(expression, output_fields=[*CROP_FIELDS, *self._layout.vector_fields])
        rows.sort(key=lambda row: row["crop_id"])
        return [crop_of(row) for row in rows], self._layout.decoded(rows)

    def crop_ids(self, first: str = "", end: str | None = None) -> Iterator[str]:
        """The ids of everything stored from `first` to before `end`, in order.

        pymilvus' own iterator does not escape its cursor, so a quote in a key breaks it. On Milvus Lite, which applies
        a limit without sorting first, it silently loses rows.
        """
        return self._all_ids(first, end) if self._is_lite else self._ids_by_cursor(first, end)

    def _all_ids(self, first: str, end: str | None) -> Iterator[str]:
        rows = self._query(between(first, end), output_fields=["crop_id"])
        return iter(sorted(row["crop_id"] for row in rows))

    def _ids_by_cursor(self, first: str, end: str | None) -> Iterator[str]:
        expression = between(first, end)
        while rows := self._query(expression, output_fields=["crop_id"], limit=MAX_K, reduce_stop_for_best=True):
            crop_ids = sorted(row["crop_id"] for row in rows)
            yield from crop_ids
            expression = between(crop_ids[-1], end, after=True)

    def _best(self, vectors_QD: NDArray[np.float32], k: int, expression: str) -> list[list[Hit]]:
        """At least the k best of each query and all that tie with the last one, so that we break ties ourselves."""
        count = self._layout.candidates(k)
        limit = min(self._layout.first_limit(count), MAX_K)
        while True:
            found = self._search(vectors_QD, limit, expression)
            if limit == MAX_K or not any(_tied(results, count, limit) for results in found):
                within = [_within(results, count) for results in found]
                return [self._hits(query_D, results) for query_D, results in zip(vectors_QD, within, strict=True)]
            limit = min(2 * limit, MAX_K)

    def _search(self, vectors_QD: NDArray[np.float32], limit: int, expression: str) -> list[list[Any]]:
        """The raw results of the engine's search."""
        with self._called("search", f"search {self.name!r}"):
            found = self._client.search(
                self.name,
                data=self._layout.queries(vectors_QD),
                limit=limit,
                filter=expression,
                anns_field=VECTOR,
                output_fields=CROP_FIELDS + (self._layout.vector_fields if self._layout.rescored else []),
                search_params=self._layout.search_parameters(limit),
            )
        return [list(results) for results in found]

    def _hits(self, query_D: NDArray[np.float32], results: Sequence[Any]) -> list[Hit]:
        """Results as hits, scored by the engine or, if the vectors were fetched too, by their cosine."""
        rows = [result["entity"] for result in results]
        scores = self._layout.scores(query_D, rows) if self._layout.rescored else map(_distance, results)
        return [Hit(crop_of(row), round(float(score), SCORE_DECIMALS)) for row, score in zip(rows, scores, strict=True)]

    def _query(self, expression: str, **options: Any) -> list[dict[str, Any]]:
        with self._called("query", f"read {self.name!r}"):
            rows = self._client.query(self.name, filter=expression, consistency_level="Strong", **options)
        return list(rows)

    @contextmanager
    def _called(self, operation: str, doing: str) -> Iterator[None]:
        """A call of Milvus: its span, and its errors in words."""
        attributes = {"db.system.name": "milvus", "db.operation.name": operation, "db.collection.name": self.name}
        with step(f"milvus {operation}", attributes), readable_errors(self.uri, doing):
            yield


def _tied(results: Sequence[Any], count: int, limit: int) -> bool:
    """Whether the engine may have cut off results that tie with the last one."""
    return len(results) == limit and _distance(results[-1]) == _distance(results[min(count, limit) - 1])


def _within(results: Sequence[Any], count: int) -> Sequence[Any]:
    """The first `count` results and everything that ties with the last of them."""
    last = {_distance(result) for result in results[count - 1 : count]}
    return [*results[:count], *(result for result in results[count:] if _distance(result) in last)]


def _distance(result: Any) -> float:
    return round(float(result["distance"]), SCORE_DECIMALS)
