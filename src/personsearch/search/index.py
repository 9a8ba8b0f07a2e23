"""The interfaces of vector indexes and collection stores, in memory and in Milvus, and the input checks they share.

Shapes: N crops, Q queries, D embedding dimension. Scores are cosine similarities.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from personsearch.errors import shortened
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.quantised import FLOAT32, Coding

LIVE_ALIAS = "persons"
SCORE_DECIMALS = 6  # engines sum floats in different orders, so scores closer than this count as equal
MAX_K = 16384
UNIT_TOLERANCE = 1e-3
MAX_BYTES = {"crop_id": 512, "camera_id": 512, "track_id": 512, "image_uri": 4096, "frame_uri": 4096}
TIMES = ("captured_at", "ingested_at")


@dataclass(frozen=True, slots=True)
class Hit:
    """A crop and its cosine similarity to the query."""

    crop: Crop
    score: float


@dataclass(frozen=True, slots=True)
class CollectionProperties:
    """Which model made a collection's vectors, what data trained it, and how the vectors are stored."""

    model_name: str
    model_version: str
    fingerprint: str
    dataset_hash: str
    embedding_dim: int
    coding: Coding = FLOAT32


class VectorIndex(Protocol):
    """Crops with unit vectors.

    A vector of the wrong dimension, not finite or not of unit length raises ValueError before anything is written.
    """

    def upsert(self, crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> None:
        """Add crops; one whose `crop_id` is present replaces it. The change is durable when this returns."""
        ...

    def flush(self) -> None:
        """Flush and seal what was written, so that reads are fast; called once a collection is complete."""
        ...

    def delete(self, crop_filter: CropFilter) -> int:
        """Remove what the filter admits; an empty filter is refused. Returns how many were removed."""
        ...

    def search(self, vectors_QD: NDArray[np.float32], k: int, crop_filter: CropFilter = EVERYTHING) -> list[list[Hit]]:
        """The k best crops of each query, best first; equal scores in the order of `crop_id`."""
        ...

    def count(self, crop_filter: CropFilter = EVERYTHING) -> int: ...

    def iterate(self, batch_size: int = 1000) -> Iterator[tuple[list[Crop], NDArray[np.float32]]]:
        """Everything stored, in batches, each crop once, in the order of `crop_id`."""
        ...

    def crop_ids(self, first: str = "", end: str | None = None) -> Iterator[str]:
        """The ids of everything stored from `first` to before `end`, in order."""
        ...

    def fetch(self, crop_ids: Sequence[str]) -> tuple[list[Crop], NDArray[np.float32]]:
        """Those of the crops that are stored, with their vectors, in the order of `crop_id`."""
        ...


class CollectionStore(Protocol):
    """Named collections and aliases. Raises UserError if a name does not exist or the store cannot be reached."""

    def create(self, name: str, properties: CollectionProperties, *, crops: int = 0) -> VectorIndex:
        """An empty collection; its index is chosen for so many crops."""
        ...

    def open(self, name_or_alias: str) -> VectorIndex: ...

    def properties(self, name_or_alias: str) -> CollectionProperties: ...

    def names(self) -> list[str]: ...

    def alias_target(self, alias: str) -> str | None:
        """The collection that an alias names; None if there is no such alias."""
        ...

    def switch_alias(self, alias: str, name: str) -> None:
        """Point `alias` at `name` atomically; create it if it does not exist."""
        ...

    def drop(self, name: str) -> None:
        """Remove a collection; UserError if an alias names it."""
        ...

    @property
    def purges_by_copying(self) -> bool:
        """Whether `purge` replaces a collection by a copy, which nobody may be writing to meanwhile."""
        ...

    def purge(self, name: str, *, spare: str) -> str:
        """Remove deleted rows from the engine's files too, not only from its answers.

        Returns the collection's name afterwards: `spare`, with the same aliases, if the engine can only do it by
        copying the collection.
        """
        ...


def rank(hits: Iterable[Hit], k: int) -> list[Hit]:
    """The k best hits by score; ties are ordered by `crop_id`."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.crop.crop_id))[:k]


def check_vectors(vectors_ND: NDArray[np.float32], count: int, embedding_dim: int) -> None:
    """Refuse vectors that an engine would store or compare wrongly without a word (Milvus Lite, for one).

    Raises:
        ValueError: the shape is not [count, embedding_dim], a value is not finite, or a length is not 1.
    """
    if vectors_ND.shape != (count, embedding_dim):
        raise ValueError(f"vectors of shape {list(vectors_ND.shape)}; [{count}, {embedding_dim}] expected")
    if not np.isfinite(vectors_ND).all():
        raise ValueError("vectors hold NaN or infinity; finite values expected")
    lengths_N = np.linalg.norm(vectors_ND, axis=1)
    if (np.abs(lengths_N - 1) > UNIT_TOLERANCE).any():
        worst = float(lengths_N[np.abs(lengths_N - 1).argmax()])
        raise ValueError(f"a vector of length {worst:.4g}; unit length expected")


def check_k(k: int) -> None:
    """Raise ValueError if some engine cannot return `k` results."""
    if not 1 <= k <= MAX_K:
        raise ValueError(f"k={k}; 1 to {MAX_K} expected")


def latest_of_each(crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> tuple[list[Crop], NDArray[np.float32]]:
    """Keep the last of the crops that share a `crop_id`: engines differ on duplicate keys in one call."""
    rows = sorted({crop.crop_id: row for row, crop in enumerate(crops)}.values())
    return [crops[row] for row in rows], vectors_ND[rows]


def check_crop(crop: Crop) -> None:
    """Refuse metadata that an engine would truncate, round or fail on.

    Raises:
        ValueError: an empty or too long string, a time without a zone or finer than a millisecond.
    """
    for name, max_bytes in MAX_BYTES.items():
        length = len(getattr(crop, name).encode())
        if length > max_bytes:
            raise ValueError(
                f"crop {shortened(repr(crop.crop_id))}: {name} of {length} bytes; at most {max_bytes} expected"
            )
    if not crop.crop_id:
        raise ValueError("a crop without crop_id")
    for name in TIMES:
        moment = getattr(crop, name)
        if moment.tzinfo is None or moment.microsecond % 1000:
            raise ValueError(f"crop {crop.crop_id!r}: {name}={moment}; whole milliseconds with a zone expected")
