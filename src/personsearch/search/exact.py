"""The exact index, in memory: compares every query with every vector. All other indexes are tested against it.

Shapes: N crops, Q queries, B crops of one block, D embedding dimension, K best crops.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, Columns, CropFilter
from personsearch.search.index import (
    MAX_K,
    SCORE_DECIMALS,
    CollectionProperties,
    Hit,
    VectorIndex,
    check_crop,
    check_k,
    check_vectors,
    latest_of_each,
)
from personsearch.search.quantised import FLOAT32, BinaryVectors, Coding, StoredVectors, stored_vectors

BLOCK_ROWS = 8192  # a block of scores (64 × 8192 floats, 2 MiB) stays in the cache while its best are kept
BLOCK_QUERIES = 64


class ExactIndex:
    """A VectorIndex in memory, ordered by `crop_id`; it never builds the whole query × gallery matrix."""

    def __init__(self, embedding_dim: int, coding: Coding = FLOAT32) -> None:
        self.embedding_dim = embedding_dim
        self.coding = coding
        self._crops: list[Crop] = []
        self._vectors = stored_vectors(np.empty((0, embedding_dim), dtype=np.float32), coding)
        self._columns: Columns | None = None

    @classmethod
    def mirror(cls, index: VectorIndex, embedding_dim: int, coding: Coding = FLOAT32) -> "ExactIndex":
        """A copy of another index in memory."""
        return cls.of_batches(index.iterate(), embedding_dim, coding)

    @classmethod
    def of_batches(
        cls, batches: Iterable[tuple[list[Crop], NDArray[np.float32]]], embedding_dim: int, coding: Coding = FLOAT32
    ) -> "ExactIndex":
        """Build an index from another one's batches, coding each batch as it comes."""
        made = cls(embedding_dim, coding)
        crops: list[Crop] = []
        parts: list[StoredVectors] = []
        for batch, vectors_ND in batches:
            crops += batch
            parts.append(stored_vectors(vectors_ND, coding))
        made._replace(crops, made._vectors.joined(parts))
        return made

    @property
    def vector_bytes(self) -> int:
        """Bytes of the vectors in memory, without the crops."""
        return self._vectors.nbytes

    def upsert(self, crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> None:
        check_vectors(vectors_ND, len(crops), self.embedding_dim)
        for crop in crops:
            check_crop(crop)
        crops, vectors_ND = latest_of_each(crops, vectors_ND)
        incoming = {crop.crop_id for crop in crops}
        kept = [row for row, crop in enumerate(self._crops) if crop.crop_id not in incoming]
        unchanged = self._vectors.take(np.array(kept, dtype=np.int64))
        self._replace(
            [self._crops[row] for row in kept] + list(crops),
            unchanged.joined([stored_vectors(vectors_ND, self.coding)]),
        )

    def delete(self, crop_filter: CropFilter) -> int:
        if crop_filter == EVERYTHING:
            raise ValueError("an empty filter would delete every crop; drop the collection instead")
        admitted = set(self._admitted(crop_filter).tolist())
        kept = [row for row in range(len(self._crops)) if row not in admitted]
        self._replace([self._crops[row] for row in kept], self._vectors.take(np.array(kept, dtype=np.int64)))
        return len(admitted)

    def flush(self) -> None:
        """Nothing is buffered."""

    def search(self, vectors_QD: NDArray[np.float32], k: int, crop_filter: CropFilter = EVERYTHING) -> list[list[Hit]]:
        check_k(k)
        check_vectors(vectors_QD, len(vectors_QD), self.embedding_dim)
        rows_N = np.arange(len(self._crops)) if crop_filter == EVERYTHING else self._admitted(crop_filter)
        hits = []
        for start in range(0, len(vectors_QD), BLOCK_QUERIES):
            block_QD = vectors_QD[start : start + BLOCK_QUERIES]
            for rows_K, scores_K in _best(self._vectors, self.coding, block_QD, rows_N, k):
                hits.append([Hit(self._crops[row], float(score)) for row, score in zip(rows_K, scores_K, strict=True)])
        return hits

    def count(self, crop_filter: CropFilter = EVERYTHING) -> int:
        return len(self._crops) if crop_filter == EVERYTHING else len(self._admitted(crop_filter))

    def iterate(self, batch_size: int = 1000) -> Iterator[tuple[list[Crop], NDArray[np.float32]]]:
        crops, vectors = self._crops, self._vectors
        for start in range(0, len(crops), batch_size):
            yield crops[start : start + batch_size], vectors.decoded(slice(start, start + batch_size))

    def crop_ids(self, first: str = "", end: str | None = None) -> Iterator[str]:
        ids = [crop.crop_id for crop in self._crops]
        return iter(ids[bisect_left(ids, first) : len(ids) if end is None else bisect_left(ids, end)])

    def fetch(self, crop_ids: Sequence[str]) -> tuple[list[Crop], NDArray[np.float32]]:
        places = {crop_id: self._row_at_or_after(crop_id) for crop_id in crop_ids}
        rows = np.array(sorted(row for crop_id, row in places.items() if self._holds(row, crop_id)), dtype=np.int64)
        return [self._crops[row] for row in rows], self._vectors.decoded(rows)

    def _row_at_or_after(self, crop_id: str) -> int:
        return bisect_left(self._crops, crop_id, key=lambda crop: crop.crop_id)

    def _holds(self, row: int, crop_id: str) -> bool:
        return row < len(self._crops) and self._crops[row].crop_id == crop_id

    def _admitted(self, crop_filter: CropFilter) -> NDArray[np.int64]:
        """The rows that a filter admits: cameras and times as columns, rarer conditions crop by crop."""
        if self._columns is None:
            self._columns = Columns.of(self._crops)
        rows = self._columns.admitted(crop_filter)
        if crop_filter.tracks is None and crop_filter.crop_ids is None:
            return rows
        rarer = CropFilter(tracks=crop_filter.tracks, crop_ids=crop_filter.crop_ids)
        return np.array([row for row in rows if rarer.admits(self._crops[row])], dtype=np.int64)

    def _replace(self, crops: list[Crop], vectors: StoredVectors) -> None:
        order = sorted(range(len(crops)), key=lambda row: crops[row].crop_id)
        self._crops = [crops[row] for row in order]
        self._vectors = vectors.take(np.array(order, dtype=np.int64))
        self._columns = None


def _best(
    vectors: StoredVectors, coding: Coding, queries_QD: NDArray[np.float32], rows_N: NDArray[np.int64], k: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Rows and scores of each query's k best among `rows_N`; on a tie, the earlier row comes first."""
    if not isinstance(vectors, BinaryVectors):
        return _scan(vectors, queries_QD, rows_N, k)
    # Hamming distance is coarse, so it only chooses candidates; their int8 codes give the scores and the order
    count = coding.candidates(k, MAX_K)
    nearest = (vectors.nearest(query_D, rows_N, count) for query_D in queries_QD)
    return [
        best
        for query_D, rows in zip(queries_QD, nearest, strict=True)
        for best in _scan(vectors, query_D[None], rows, k)
    ]


def _scan(
    vectors: StoredVectors, queries_QD: NDArray[np.float32], rows_N: NDArray[np.int64], k: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """The best rows by score, block by block."""
    best = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)) for _ in queries_QD]
    whole = len(rows_N) == len(vectors)  # then a slice reads the vectors in place, where an index array would copy them
    for start in range(0, len(rows_N), BLOCK_ROWS):
        rows_B = rows_N[start : start + BLOCK_ROWS]
        scores_QB = vectors.scores(queries_QD, slice(start, start + BLOCK_ROWS) if whole else rows_B)
        best = [
            _keep_best(np.concatenate([rows, rows_B]), np.concatenate([scores, scores_B]), k)
            for (rows, scores), scores_B in zip(best, np.round(scores_QB, SCORE_DECIMALS), strict=True)
        ]
    return best


def _keep_best(
    rows: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if len(scores) > k:  # keep all that tie with the k-th: the stable sort below decides between them by row
        candidates = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        rows, scores = rows[candidates], scores[candidates]
    order = np.argsort(-scores, kind="stable")[:k]
    return rows[order], scores[order]


class ExactStore:
    """A CollectionStore in memory."""

    purges_by_copying = False

    def __init__(self) -> None:
        self._collections: dict[str, tuple[CollectionProperties, ExactIndex]] = {}
        self._aliases: dict[str, str] = {}

    def create(self, name: str, properties: CollectionProperties, *, crops: int = 0) -> ExactIndex:
        if name in self._collections or name in self._aliases:
            raise UserError(f"collection {name!r} already exists")
        self._collections[name] = properties, ExactIndex(properties.embedding_dim, properties.coding)
        return self._collections[name][1]

    def open(self, name_or_alias: str) -> ExactIndex:
        return self._find(name_or_alias)[1]

    def properties(self, name_or_alias: str) -> CollectionProperties:
        return self._find(name_or_alias)[0]

    def names(self) -> list[str]:
        return sorted(self._collections)

    def alias_target(self, alias: str) -> str | None:
        return self._aliases.get(alias)

    def switch_alias(self, alias: str, name: str) -> None:
        if name not in self._collections:
            raise UserError(f"collection {name!r} does not exist")
        if alias in self._collections:
            raise UserError(f"alias {alias!r}: a collection has this name")
        self._aliases[alias] = name

    def drop(self, name: str) -> None:
        self._find(name)
        naming = sorted(alias for alias, target in self._aliases.items() if target == name)
        if naming or name in self._aliases:
            raise UserError(f"collection {name!r} is in use by alias {', '.join(naming) or name}")
        del self._collections[name]

    def purge(self, name: str, *, spare: str) -> str:
        """Deleted rows are gone from memory already."""
        self._find(name)
        return name

    def _find(self, name_or_alias: str) -> tuple[CollectionProperties, ExactIndex]:
        name = self._aliases.get(name_or_alias, name_or_alias)
        if name not in self._collections:
            raise UserError(f"collection or alias {name_or_alias!r} does not exist")
        return self._collections[name]
