"""The interfaces of vector indexes and collection stores, implemented in memory and by Milvus.

Shapes: N crops, Q queries, D embedding dimension. Scores are cosine similarities.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.quantised import FLOAT32, Coding

LIVE_ALIAS = "persons"
SCORE_DECIMALS = 6  # engines sum floats in different orders, so scores closer than this count as equal


@dataclass(frozen=True, slots=True)
class Hit:
    """A crop and its cosine similarity to the query."""

    crop: Crop
    score: float


@dataclass(frozen=True, slots=True)
class CollectionProperties:
    """Properties of a collection: which model made its vectors, from which data, and how they are stored."""

    model_name: str
    model_version: str
    fingerprint: str
    dataset_hash: str
    embedding_dim: int
    coding: Coding = FLOAT32


class VectorIndex(Protocol):
    """Crops with unit vectors. Vectors of the wrong dimension, not finite or not of unit length are refused
    with ValueError before anything is written.
    """

    def upsert(self, crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> None:
        """Add crops, or replace those whose `crop_id` is present. Durable when it returns."""
        ...

    def flush(self) -> None:
        """Flush and seal what was written, so that reads are fast; called before a collection counts as complete."""
        ...

    def delete(self, crop_filter: CropFilter) -> int:
        """Remove what the filter admits; an empty filter is refused. Returns how many were removed."""
        ...

    def search(self, vectors_QD: NDArray[np.float32], k: int, crop_filter: CropFilter = EVERYTHING) -> list[list[Hit]]:
        """For each query its best crops, best first; equal scores in the order of `crop_id`."""
        ...

    def count(self, crop_filter: CropFilter = EVERYTHING) -> int: ...

    def iterate(self, batch_size: int = 1000) -> Iterator[tuple[list[Crop], NDArray[np.float32]]]:
        """Everything stored, in batches, each crop once, in the order of `crop_id`."""
        ...

    def crop_ids(self) -> Iterator[str]:
        """The ids of everything stored, in order."""
        ...

    def fetch(self, crop_ids: Sequence[str]) -> tuple[list[Crop], NDArray[np.float32]]:
        """Those of the crops that are stored, with their vectors, in the order of `crop_id`."""
        ...


class CollectionStore(Protocol):
    """Named collections and aliases. Raises UserError if a name does not exist or the store cannot be reached."""

    def create(self, name: str, properties: CollectionProperties) -> VectorIndex: ...

    def open(self, name_or_alias: str) -> VectorIndex: ...

    def properties(self, name_or_alias: str) -> CollectionProperties: ...

    def names(self) -> list[str]: ...

    def alias_target(self, alias: str) -> str | None:
        """The collection that an alias names, None if there is no such alias."""
        ...

    def switch_alias(self, alias: str, name: str) -> None:
        """Point `alias` at `name` atomically, creating it if it does not exist."""
        ...

    def drop(self, name: str) -> None:
        """Remove a collection; one that an alias names is refused with UserError."""
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
