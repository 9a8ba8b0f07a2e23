"""A collection's copy in memory that follows it crop by crop while others search it.

Rows are appended to chunks that never move; the row of a changed or deleted crop is marked with the number of the
change that ended it. So a change costs the same however many crops there are, and a search copies nothing: it reads the
rows of the moment at which it began. Results are those of the exact index.

Shapes: N crops, Q queries, C rows of a chunk, B rows of a block, R chosen rows, D embedding dimension, W words of bits.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personsearch.search.crop import Crop
from personsearch.search.exact import BLOCK_QUERIES, BLOCK_ROWS
from personsearch.search.filters import EVERYTHING, CropFilter, utc_moment
from personsearch.search.index import (
    MAX_K,
    SCORE_DECIMALS,
    Hit,
    check_crop,
    check_k,
    check_vectors,
    latest_of_each,
)
from personsearch.search.quantised import (
    FLOAT32,
    BinaryVectors,
    Coding,
    FloatVectors,
    Int8Vectors,
    StoredVectors,
    as_words,
    bits_about,
    hamming,
    stored_vectors,
)

CHUNK_ROWS = 16_384
CROP_BYTES = 900  # of a crop's texts, numbers and place, beside its vector; measured
FEWEST_ENDED = 1024  # rows that ended before they are worth a copy
NEVER = np.iinfo(np.int64).max
LEFT_OUT = -2.0  # below every cosine


def mirror_bytes(crops: int, embedding_dim: int, coding: Coding) -> int:
    """Memory that a mirror of so many crops takes."""
    bits = 8 * -(-embedding_dim // 64) if coding.vectors == "binary" else 0
    vector = 4 * embedding_dim if coding.vectors == "float32" else embedding_dim + 4 + bits
    return crops * (vector + CROP_BYTES)


@dataclass(slots=True)
class _Chunk:
    """Room for CHUNK_ROWS crops: vectors, and the fields that filters ask for, as numbers."""

    vectors: StoredVectors
    camera_C: NDArray[np.int32]
    track_C: NDArray[np.int32]
    captured_C: NDArray[np.datetime64]
    ended_C: NDArray[np.int64]
    ended: int = 0

    @classmethod
    def empty(cls, embedding_dim: int, coding: Coding) -> "_Chunk":
        return cls(
            _room(embedding_dim, coding),
            np.empty(CHUNK_ROWS, dtype=np.int32),
            np.empty(CHUNK_ROWS, dtype=np.int32),
            np.empty(CHUNK_ROWS, dtype="datetime64[us]"),
            np.full(CHUNK_ROWS, NEVER, dtype=np.int64),
        )


@dataclass(slots=True)
class _Rows:
    """Everything that was appended. It only grows, so a search may read its beginning while more is written."""

    embedding_dim: int
    coding: Coding
    chunks: list[_Chunk] = field(default_factory=list)
    crops: list[Crop | None] = field(default_factory=list)
    row_of: dict[str, int] = field(default_factory=dict)
    earlier: dict[str, list[int]] = field(default_factory=dict)  # rows of a crop that was replaced
    cameras: dict[str, int] = field(default_factory=dict)
    tracks: dict[str, int] = field(default_factory=dict)

    def append(self, crops: Sequence[Crop], vectors: StoredVectors) -> None:
        start = 0
        while start < len(crops):
            place = len(self.crops) % CHUNK_ROWS
            if not place:
                self.chunks.append(_Chunk.empty(self.embedding_dim, self.coding))
            part = slice(start, start + CHUNK_ROWS - place)
            self._write(self.chunks[-1], place, crops[part], vectors.take(part))
            self.crops += crops[part]
            start = part.stop

    def _write(self, chunk: _Chunk, place: int, crops: Sequence[Crop], vectors: StoredVectors) -> None:
        rows = slice(place, place + len(crops))
        for room, values in zip(_arrays(chunk.vectors), _arrays(vectors), strict=True):
            room[rows] = values
        chunk.camera_C[rows] = [self.cameras.setdefault(crop.camera_id, len(self.cameras)) for crop in crops]
        chunk.track_C[rows] = [self.tracks.setdefault(crop.track_id, len(self.tracks)) for crop in crops]
        chunk.captured_C[rows] = [utc_moment(crop.captured_at) for crop in crops]

    def end(self, row: int, change: int) -> None:
        chunk = self.chunks[row // CHUNK_ROWS]
        chunk.ended_C[row % CHUNK_ROWS] = change
        chunk.ended += 1

    def erase(self, row: int) -> None:
        """Overwrite a row that has ended; a search that still reads it finds nothing."""
        self.crops[row] = None
        vectors, place = self.chunks[row // CHUNK_ROWS].vectors, row % CHUNK_ROWS
        for room in _arrays(vectors):
            room[place] = 0
        if not isinstance(vectors, FloatVectors):
            _arrays(vectors)[1][place] = 1  # the length, by which scores are divided


@dataclass(frozen=True, slots=True)
class _Part:
    """What a search reads of one chunk: `rows_R` of it, or with None all of them but `left_out_R`."""

    first: int
    vectors: StoredVectors
    rows_R: NDArray[np.int64] | None
    left_out_R: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.vectors) - len(self.left_out_R) if self.rows_R is None else len(self.rows_R)

    def scored(self, queries_QD: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Rows and rounded scores [Q, B], block by block."""
        stop = len(self.vectors) if self.rows_R is None else len(self.rows_R)
        for start in range(0, stop, BLOCK_ROWS):
            block = slice(start, min(start + BLOCK_ROWS, stop))
            if self.rows_R is not None:
                rows_B = self.rows_R[block]
                scores_QB = self.vectors.scores(queries_QD, rows_B)
            else:  # a slice reads the vectors in place, where an index array would copy them
                rows_B = np.arange(block.start, block.stop)
                scores_QB = self.vectors.scores(queries_QD, block)
                within = slice(*np.searchsorted(self.left_out_R, [block.start, block.stop]))
                scores_QB[:, self.left_out_R[within] - start] = LEFT_OUT
            yield self.first + rows_B, np.round(scores_QB, SCORE_DECIMALS)

    def distances(self, query_W: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        """The rows that are read, and in how many bits each differs from the query."""
        assert isinstance(self.vectors, BinaryVectors)
        words_WC = self.vectors.words_WN
        if self.rows_R is not None:
            return self.rows_R, hamming(query_W, words_WC[:, self.rows_R])
        rows_C, distance_C = np.arange(len(self.vectors)), hamming(query_W, words_WC)
        return np.delete(rows_C, self.left_out_R), np.delete(distance_C, self.left_out_R)


@dataclass(frozen=True, slots=True)
class _View:
    """The rows of one moment: those before `count` that no change up to `change` has ended."""

    rows: _Rows
    count: int
    change: int
    alive: int

    def parts(self, crop_filter: CropFilter) -> Iterator[_Part]:
        chosen = None if crop_filter.crop_ids is None else self._rows_of(crop_filter.crop_ids)
        for number in range(-(-self.count // CHUNK_ROWS)):
            first = number * CHUNK_ROWS
            chunk, used = self.rows.chunks[number], min(CHUNK_ROWS, self.count - first)
            admitted_C = self._admitted(chunk, used, crop_filter)
            if chosen is not None:
                among_C = np.zeros(used, dtype=bool)
                among_C[[row - first for row in chosen if first <= row < first + used]] = True
                admitted_C &= among_C
            few = 2 * np.count_nonzero(admitted_C) < used
            rows_R = np.flatnonzero(admitted_C) if few else None
            left_out_R = np.flatnonzero(~admitted_C) if not few else np.empty(0, dtype=np.int64)
            yield _Part(first, chunk.vectors.take(slice(0, used)), rows_R, left_out_R)

    def admitted(self, crop_filter: CropFilter) -> NDArray[np.int64]:
        """Numbers of the rows that a filter admits."""
        if crop_filter.crop_ids is not None:  # few, as a rule: no need to look at every chunk
            rows = np.array(self._rows_of(crop_filter.crop_ids), dtype=np.int64)
            rest = crop_filter.model_copy(update={"crop_ids": None})
            if rest == EVERYTHING:
                return rows
            return np.array([row for row in rows if rest.admits(self.rows.crops[row])], dtype=np.int64)
        found = [np.empty(0, dtype=np.int64)]
        for part in self.parts(crop_filter):
            rows_R = part.rows_R
            if rows_R is None:
                rows_R = np.delete(np.arange(len(part.vectors)), part.left_out_R)
            found.append(part.first + rows_R)
        return np.concatenate(found)

    def _admitted(self, chunk: _Chunk, used: int, crop_filter: CropFilter) -> NDArray[np.bool_]:
        admitted_C = chunk.ended_C[:used] > self.change if chunk.ended else np.ones(used, dtype=bool)
        if crop_filter.cameras is not None:
            admitted_C &= np.isin(
                chunk.camera_C[:used], [self.rows.cameras.get(name, -1) for name in crop_filter.cameras]
            )
        if crop_filter.tracks is not None:
            admitted_C &= np.isin(chunk.track_C[:used], [self.rows.tracks.get(name, -1) for name in crop_filter.tracks])
        if crop_filter.after is not None:
            admitted_C &= chunk.captured_C[:used] >= utc_moment(crop_filter.after)
        if crop_filter.before is not None:
            admitted_C &= chunk.captured_C[:used] < utc_moment(crop_filter.before)
        if crop_filter.time_of_day is not None:
            rows = np.flatnonzero(admitted_C)
            admitted_C[rows] = crop_filter.time_of_day.admitted(
                self.rows.cameras, chunk.camera_C[rows], chunk.captured_C[rows]
            )
        return admitted_C

    def _rows_of(self, crop_ids: Iterable[str]) -> list[int]:
        """The row of each crop in this view; a crop that was replaced since has its row among the earlier ones."""
        found = []
        for crop_id in dict.fromkeys(crop_ids):
            latest = self.rows.row_of.get(crop_id)
            rows = [*self.rows.earlier.get(crop_id, ()), *(() if latest is None else (latest,))]
            found += [row for row in rows if row < self.count and self._lives(row)]
        return found

    def _lives(self, row: int) -> bool:
        return bool(self.rows.chunks[row // CHUNK_ROWS].ended_C[row % CHUNK_ROWS] > self.change)


class Mirror:
    """A VectorIndex in memory for one writer at a time and any number of readers, who never wait."""

    def __init__(self, embedding_dim: int, coding: Coding = FLOAT32) -> None:
        self.embedding_dim = embedding_dim
        self.coding = coding
        self._writing = threading.Lock()
        self._view = _View(_Rows(embedding_dim, coding), 0, 0, 0)

    @classmethod
    def of_batches(
        cls, batches: Iterable[tuple[list[Crop], NDArray[np.float32]]], embedding_dim: int, coding: Coding = FLOAT32
    ) -> "Mirror":
        """A mirror of another index's batches, coded batch by batch."""
        made = cls(embedding_dim, coding)
        for crops, vectors_ND in batches:
            made.upsert(crops, vectors_ND)
        return made

    def upsert(self, crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> None:
        check_vectors(vectors_ND, len(crops), self.embedding_dim)
        for crop in crops:
            check_crop(crop)
        if not len(crops):
            return
        crops, vectors_ND = latest_of_each(crops, vectors_ND)
        vectors = stored_vectors(vectors_ND, self.coding)
        with self._writing:
            view, rows = self._view, self._view.rows
            first, change, replaced = len(rows.crops), view.change + 1, 0
            rows.append(crops, vectors)
            for row, crop in enumerate(crops, start=first):
                before = rows.row_of.get(crop.crop_id)
                if before is not None:
                    rows.end(before, change)
                    rows.earlier.setdefault(crop.crop_id, []).append(before)
                    replaced += 1
                rows.row_of[crop.crop_id] = row
            self._view = _View(rows, len(rows.crops), change, view.alive + len(crops) - replaced)
            self._compact()

    def delete(self, crop_filter: CropFilter) -> int:
        if crop_filter == EVERYTHING:
            raise ValueError("an empty filter would delete every crop; drop the collection instead")
        with self._writing:
            view, rows = self._view, self._view.rows
            ended = view.admitted(crop_filter).tolist()
            if not ended:
                return 0
            for row in ended:
                rows.end(row, view.change + 1)
            self._view = _View(rows, view.count, view.change + 1, view.alive - len(ended))
            for row in ended:
                crop = rows.crops[row]
                assert crop is not None
                for each in (row, *rows.earlier.pop(crop.crop_id, ())):
                    rows.erase(each)
                del rows.row_of[crop.crop_id]
            self._compact()
            return len(ended)

    def flush(self) -> None:
        """Nothing is buffered."""

    def search(self, vectors_QD: NDArray[np.float32], k: int, crop_filter: CropFilter = EVERYTHING) -> list[list[Hit]]:
        check_k(k)
        check_vectors(vectors_QD, len(vectors_QD), self.embedding_dim)
        view = self._view
        parts = [part for part in view.parts(crop_filter) if len(part)]
        found = []
        for start in range(0, len(vectors_QD), BLOCK_QUERIES):
            block_QD = vectors_QD[start : start + BLOCK_QUERIES]
            if self.coding.vectors != "binary":
                found += _scan(parts, block_QD, k)
                continue
            for query_D in block_QD:  # Hamming distance only chooses candidates; their int8 codes give the scores
                found += _scan(self._nearest(parts, query_D, self.coding.candidates(k, MAX_K)), query_D[None], k)
        return [_hits(view.rows.crops, *best, k) for best in found]

    def count(self, crop_filter: CropFilter = EVERYTHING) -> int:
        view = self._view
        return view.alive if crop_filter == EVERYTHING else len(view.admitted(crop_filter))

    def iterate(self, batch_size: int = 1000) -> Iterator[tuple[list[Crop], NDArray[np.float32]]]:
        view = self._view
        rows = _in_order(view, view.admitted(EVERYTHING))
        for start in range(0, len(rows), batch_size):
            yield _decoded(view.rows, rows[start : start + batch_size])

    def crop_ids(self, first: str = "", end: str | None = None) -> Iterator[str]:
        crops = self._view.rows.crops
        held = (crop.crop_id for row in self._view.admitted(EVERYTHING) if (crop := crops[row]))
        return iter(sorted(crop_id for crop_id in held if crop_id >= first and (end is None or crop_id < end)))

    def fetch(self, crop_ids: Sequence[str]) -> tuple[list[Crop], NDArray[np.float32]]:
        view = self._view
        return _decoded(view.rows, _in_order(view, view.admitted(CropFilter(crop_ids=tuple(crop_ids)))))

    def _nearest(self, parts: Sequence[_Part], query_D: NDArray[np.float32], count: int) -> list[_Part]:
        """The `count` rows with the fewest differing bits, and all that tie with the last of them."""
        if sum(map(len, parts)) <= count:
            return list(parts)
        vectors = parts[0].vectors
        assert isinstance(vectors, BinaryVectors)
        query_W = as_words(bits_about(query_D[None], vectors.centres.queries_D))[:, 0]
        read = [part.distances(query_W) for part in parts]
        most = np.partition(np.concatenate([distance_R for _, distance_R in read]), count - 1)[count - 1]
        nothing = np.empty(0, dtype=np.int64)
        return [
            _Part(part.first, part.vectors, rows_R[distance_R <= most], nothing)
            for part, (rows_R, distance_R) in zip(parts, read, strict=True)
        ]

    def _compact(self) -> None:
        """Copy the rows that are left once more have ended, so that each change pays for a few copied rows."""
        view = self._view
        if view.count - view.alive <= max(FEWEST_ENDED, view.alive):
            return
        made = _Rows(self.embedding_dim, self.coding)
        for part in view.parts(EVERYTHING):
            rows_R = part.rows_R
            if rows_R is None:
                rows_R = np.delete(np.arange(len(part.vectors)), part.left_out_R)
            crops = [crop for row in rows_R if (crop := view.rows.crops[part.first + row])]
            made.row_of.update((crop.crop_id, len(made.crops) + n) for n, crop in enumerate(crops))
            made.append(crops, part.vectors.take(rows_R))
        self._view = _View(made, len(made.crops), 0, view.alive)


def _room(embedding_dim: int, coding: Coding) -> StoredVectors:
    """Vectors of one chunk, not written yet; memory that is not written is not taken."""
    if coding.vectors == "float32":
        return FloatVectors(np.empty((CHUNK_ROWS, embedding_dim), dtype=np.float32))
    codes = Int8Vectors(np.empty((CHUNK_ROWS, embedding_dim), dtype=np.int8), np.empty(CHUNK_ROWS, dtype=np.float32))
    if coding.vectors == "int8":
        return codes
    words_WC = np.empty((-(-embedding_dim // 64), CHUNK_ROWS), dtype=np.uint64)
    return BinaryVectors(codes, words_WC, coding.centres_of(embedding_dim))


def _arrays(vectors: StoredVectors) -> list[NDArray[Any]]:
    """The arrays of vectors, with a row for each; writing to one writes to the vectors."""
    if isinstance(vectors, BinaryVectors):
        return [*_arrays(vectors.codes), vectors.words_WN.T]
    if isinstance(vectors, Int8Vectors):
        return [vectors.codes_ND, vectors.length_N]
    assert isinstance(vectors, FloatVectors)
    return [vectors.vectors_ND]


def _scan(
    parts: Sequence[_Part], queries_QD: NDArray[np.float32], k: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Each query's k best rows and all that tie with the last of them, in no order."""
    best = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)) for _ in queries_QD]
    for part in parts:
        for rows_B, scores_QB in part.scored(queries_QD):
            best = [
                _keep_best(np.concatenate([rows, rows_B]), np.concatenate([scores, scores_B]), k)
                for (rows, scores), scores_B in zip(best, scores_QB, strict=True)
            ]
    return best


def _keep_best(
    rows: NDArray[np.int64], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    worst = np.partition(scores, -k)[-k] if len(scores) > k else LEFT_OUT
    kept = scores >= worst if worst > LEFT_OUT else scores > LEFT_OUT
    return rows[kept], scores[kept]


def _hits(crops: Sequence[Crop | None], rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> list[Hit]:
    """The k best; equal scores in the order of `crop_id`. A crop that was deleted during the search is left out."""
    found = [
        Hit(crop, score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True) if (crop := crops[row])
    ]
    return sorted(found, key=lambda hit: (-hit.score, hit.crop.crop_id))[:k]


def _in_order(view: _View, rows: NDArray[np.int64]) -> list[int]:
    """Rows in the order of `crop_id`."""
    crops = view.rows.crops
    held = ((crop.crop_id, row) for row in rows.tolist() if (crop := crops[row]))
    return [row for _, row in sorted(held)]


def _decoded(rows: _Rows, chosen: Sequence[int]) -> tuple[list[Crop], NDArray[np.float32]]:
    vectors_ND = np.empty((len(chosen), rows.embedding_dim), dtype=np.float32)
    numbers = np.array(chosen, dtype=np.int64)
    for number in np.unique(numbers // CHUNK_ROWS):
        here = numbers // CHUNK_ROWS == number
        vectors_ND[here] = rows.chunks[number].vectors.decoded(numbers[here] % CHUNK_ROWS)
    crops = [rows.crops[row] for row in chosen]
    alive = [n for n, crop in enumerate(crops) if crop is not None]
    return [crop for crop in crops if crop is not None], vectors_ND[alive]
