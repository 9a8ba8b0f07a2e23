"""The exact index: every vector compared with every query, in memory. The oracle of every other index.

Shapes: N crops, Q queries, B crops of one block, D embedding dimension, K best crops.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.guards import check_crop, check_k, check_vectors, latest_of_each
from personsearch.search.index import SCORE_DECIMALS, CollectionProperties, Hit, VectorIndex

BLOCK_ROWS = 8192
BLOCK_QUERIES = 64


class ExactIndex:
    """A VectorIndex in memory, ordered by `crop_id`; never holds a whole query × gallery matrix."""

    def __init__(self, embedding_dim: int) -> None:
        self.embedding_dim = embedding_dim
        self._crops: list[Crop] = []
        self._vectors_ND = np.empty((0, embedding_dim), dtype=np.float32)
        self._columns: _Columns | None = None

    @classmethod
    def mirror(cls, index: VectorIndex, embedding_dim: int) -> "ExactIndex":
        """A copy in memory of everything that another index holds."""
        mirrored = cls(embedding_dim)
        batches = list(index.iterate())
        mirrored._replace(
            [crop for crops, _ in batches for crop in crops],
            np.concatenate([mirrored._vectors_ND, *(vectors for _, vectors in batches)]),
        )
        return mirrored

    def upsert(self, crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> None:
        check_vectors(vectors_ND, len(crops), self.embedding_dim)
        for crop in crops:
            check_crop(crop)
        crops, vectors_ND = latest_of_each(crops, vectors_ND)
        incoming = {crop.crop_id for crop in crops}
        kept = [row for row, crop in enumerate(self._crops) if crop.crop_id not in incoming]
        self._replace(
            [self._crops[row] for row in kept] + list(crops), np.concatenate([self._vectors_ND[kept], vectors_ND])
        )

    def delete(self, crop_filter: CropFilter) -> int:
        if crop_filter == EVERYTHING:
            raise ValueError("an empty filter would delete every crop; drop the collection instead")
        admitted = set(self._admitted(crop_filter).tolist())
        kept = [row for row in range(len(self._crops)) if row not in admitted]
        self._replace([self._crops[row] for row in kept], self._vectors_ND[kept])
        return len(admitted)

    def flush(self) -> None:
        """Nothing is buffered."""

    def search(self, vectors_QD: NDArray[np.float32], k: int, crop_filter: CropFilter = EVERYTHING) -> list[list[Hit]]:
        check_k(k)
        check_vectors(vectors_QD, len(vectors_QD), self.embedding_dim)
        rows_N = np.arange(len(self._crops)) if crop_filter == EVERYTHING else self._admitted(crop_filter)
        hits = []
        for start in range(0, len(vectors_QD), BLOCK_QUERIES):
            for rows_K, scores_K in _best(vectors_QD[start : start + BLOCK_QUERIES], self._vectors_ND, rows_N, k):
                hits.append([Hit(self._crops[row], float(score)) for row, score in zip(rows_K, scores_K, strict=True)])
        return hits

    def count(self, crop_filter: CropFilter = EVERYTHING) -> int:
        return len(self._crops) if crop_filter == EVERYTHING else len(self._admitted(crop_filter))

    def iterate(self, batch_size: int = 1000) -> Iterator[tuple[list[Crop], NDArray[np.float32]]]:
        crops, vectors_ND = self._crops, self._vectors_ND
        for start in range(0, len(crops), batch_size):
            yield crops[start : start + batch_size], vectors_ND[start : start + batch_size]

    def crop_ids(self) -> Iterator[str]:
        return iter([crop.crop_id for crop in self._crops])

    def _admitted(self, crop_filter: CropFilter) -> NDArray[np.int64]:
        """Rows that a filter admits: cameras and times by columns, what is rarer crop by crop."""
        if self._columns is None:
            self._columns = _Columns.of(self._crops)
        rows = self._columns.admitted(crop_filter)
        if crop_filter.tracks is None and crop_filter.crop_ids is None:
            return rows
        rarer = CropFilter(tracks=crop_filter.tracks, crop_ids=crop_filter.crop_ids)
        return np.array([row for row in rows if rarer.admits(self._crops[row])], dtype=np.int64)

    def _replace(self, crops: list[Crop], vectors_ND: NDArray[np.float32]) -> None:
        order = sorted(range(len(crops)), key=lambda row: crops[row].crop_id)
        self._crops = [crops[row] for row in order]
        self._vectors_ND = vectors_ND[order]
        self._columns = None


@dataclass(frozen=True, slots=True)
class _Columns:
    """What filters ask for most, as arrays: a hundred thousand crops are sifted in a millisecond."""

    cameras: dict[str, int]
    camera_N: NDArray[np.int64]
    captured_N: NDArray[np.datetime64]

    @classmethod
    def of(cls, crops: Sequence[Crop]) -> "_Columns":
        cameras = {name: code for code, name in enumerate(sorted({crop.camera_id for crop in crops}))}
        camera_N = np.fromiter((cameras[crop.camera_id] for crop in crops), dtype=np.int64)
        return cls(cameras, camera_N, np.array([_moment(crop.captured_at) for crop in crops], dtype="datetime64[us]"))

    def admitted(self, crop_filter: CropFilter) -> NDArray[np.int64]:
        """Rows whose camera and time pass."""
        mask_N = np.ones(len(self.camera_N), dtype=bool)
        if crop_filter.cameras is not None:
            mask_N &= np.isin(self.camera_N, [self.cameras.get(name, -1) for name in crop_filter.cameras])
        if crop_filter.after is not None:
            mask_N &= self.captured_N >= _moment(crop_filter.after)
        if crop_filter.before is not None:
            mask_N &= self.captured_N < _moment(crop_filter.before)
        return np.flatnonzero(mask_N)


def _moment(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _best(
    vectors_QD: NDArray[np.float32], vectors_ND: NDArray[np.float32], rows_N: NDArray[np.int64], k: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Rows and scores of each query's k best among `rows_N`, block by block; of equal scores the earlier rows."""
    best = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)) for _ in vectors_QD]
    whole = len(rows_N) == len(vectors_ND)
    for start in range(0, len(rows_N), BLOCK_ROWS):
        rows_B = rows_N[start : start + BLOCK_ROWS]
        vectors_BD = vectors_ND[start : start + BLOCK_ROWS] if whole else vectors_ND[rows_B]
        scores_QB = np.round(vectors_QD @ vectors_BD.T, SCORE_DECIMALS)
        best = [
            _keep_best(np.concatenate([rows, rows_B]), np.concatenate([scores, scores_B]), k)
            for (rows, scores), scores_B in zip(best, scores_QB, strict=True)
        ]
    return best


def _keep_best(
    rows: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if len(scores) > k:
        candidates = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        rows, scores = rows[candidates], scores[candidates]
    order = np.argsort(-scores, kind="stable")[:k]
    return rows[order], scores[order]


class ExactStore:
    """A CollectionStore in memory."""

    def __init__(self) -> None:
        self._collections: dict[str, tuple[CollectionProperties, ExactIndex]] = {}
        self._aliases: dict[str, str] = {}

    def create(self, name: str, properties: CollectionProperties) -> ExactIndex:
        if name in self._collections or name in self._aliases:
            raise UserError(f"collection {name!r} exists already")
        self._collections[name] = properties, ExactIndex(properties.embedding_dim)
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
            raise UserError(f"collection {name!r} is in use: alias {', '.join(naming) or name} names it")
        del self._collections[name]

    def _find(self, name_or_alias: str) -> tuple[CollectionProperties, ExactIndex]:
        name = self._aliases.get(name_or_alias, name_or_alias)
        if name not in self._collections:
            raise UserError(f"collection or alias {name_or_alias!r} does not exist")
        return self._collections[name]
