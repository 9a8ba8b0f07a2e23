"""Searches one live collection, or a mirror of it in memory if memory suffices.

The mirror follows the gallery's sequence of changes: erased crops leave it at once, added ones enter it once the
collection has their vectors. A request reads `_searcher` once, and a mirror's search reads the rows of the moment at
which it began.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from personsearch.encoders.encoder import Encoder
from personsearch.search.calibration import CalibratedCurve, Reference
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties, VectorIndex
from personsearch.search.mirror import Mirror, mirror_bytes
from personsearch.search.query import Query
from personsearch.search.searcher import Answer, Searcher
from personsearch.tracing import step

logger = logging.getLogger(__name__)

FETCH_ROWS = 1000
FOLLOWED_ROWS = 200  # that are asked for between two refreshes; more have waited longer than another second matters

Batch = tuple[list[Crop], NDArray[np.float32]]


class Changes(Protocol):
    """The changes of a gallery, by number; a Gallery is one."""

    def last_sequence(self) -> int: ...

    def crops_since(self, sequence: int) -> Iterator[Crop]: ...

    def erased_since(self, sequence: int) -> Iterator[str]: ...

    def erased_among(self, crop_ids: Sequence[str]) -> list[str]: ...


class IndexSearch:
    """A LiveSearch over any VectorIndex.

    Crops erased up to change number `sequence` of the gallery are no longer in memory. At every refresh the calibration
    that `site` gives replaces the searcher's own; None leaves it. A mirror that would take more than `mirror_memory`
    bytes is not made.
    """

    def __init__(
        self,
        collection: str,
        properties: CollectionProperties,
        searcher: Searcher,
        changes: Changes,
        *,
        mirror_memory: int = 0,
        site: Callable[[], CalibratedCurve | None] = lambda: None,
    ) -> None:
        self.collection = collection
        self.properties = properties
        self.sequence = 0
        self._stored = searcher
        self._searcher = searcher
        self._changes = changes
        self._mirror: Mirror | None = None
        self._mirror_memory = mirror_memory
        self._site = site
        self._calibration = searcher.calibration
        self._pending: dict[str, None] = {}  # added to the gallery, oldest first; not yet found in the collection
        self._grown = False  # since the searcher counted and measured the mirror
        self._crops = -1

    @property
    def encoder(self) -> Encoder:
        """The model that made the collection's vectors."""
        return self._stored.encoder

    def refresh(self) -> int:
        """Catch up with the gallery and the collection. Returns the collection's number of crops."""
        crops = self._stored.index.count()
        if mirror_bytes(crops, self.properties.embedding_dim, self.properties.coding) > self._mirror_memory:
            self._follow_unmirrored(crops)
        elif self._mirror is None:
            self._copy()
        else:
            self._follow(self._mirror, crops)
        self._crops = crops
        self._calibrate()
        return crops

    def take_over(self, before: object) -> None:
        """Use the mirror of a collection that has the same properties."""
        if isinstance(before, IndexSearch) and before.properties == self.properties and before._mirror is not None:
            self._mirror, self.sequence, self._pending = before._mirror, before.sequence, dict(before._pending)
            self._search_in(self._mirror)

    def follow(self) -> None:
        """Take the gallery's changes into the mirror, if there is one."""
        if self._mirror is None or not (self._learn(self._mirror) or self._pending):
            return
        newest = list(self._pending)[-FOLLOWED_ROWS:]
        self._grown |= self._fetch(self._mirror, newest) > 0

    def search_for(self, query: Query, *, k: int, crop_filter: CropFilter, group_by_track: bool) -> Answer:
        """Candidates, best first, and whether the best one is reliable."""
        with step("search", {"mirrored": self._mirror is not None}):
            return self._searcher.answer_query(query, k=k, crop_filter=crop_filter, group_by_track=group_by_track)

    def vector_of(self, crop_id: str) -> tuple[Crop, NDArray[np.float32]] | None:
        """A crop of the collection with its vector, None if it holds none."""
        crops, vectors_ND = self.vectors_of([crop_id])
        return (crops[0], vectors_ND[0]) if crops else None

    def vectors_of(self, crop_ids: Sequence[str]) -> Batch:
        """Those of these crops that the collection holds, with their vectors [N, D]."""
        return self._searcher.index.fetch(crop_ids)

    def stored(self, crop_ids: Sequence[str]) -> Batch:
        """The same of what the collection itself holds, which is ahead of a mirror."""
        return self._stored.index.fetch(crop_ids)

    @property
    def is_calibrated(self) -> bool:
        """Whether candidates have a confidence."""
        return self._calibration is not None

    def confidences(
        self, text: str, crops: Sequence[Crop], vectors_ND: NDArray[np.float32], crop_filter: CropFilter
    ) -> list[tuple[float, float]]:
        """The score of each of these crops, and the confidence that a search for `text` shows for it."""
        return self._searcher.confidences(text, crops, vectors_ND, crop_filter)

    @property
    def reference(self) -> Reference | None:
        """The pictures that the model was calibrated on."""
        return self._calibration.reference if self._calibration else None

    def _calibrate(self) -> None:
        by_site = self._site()
        calibration = by_site.with_curves_of(self._stored.calibration) if by_site else self._stored.calibration
        if calibration != self._calibration:
            self._calibration = calibration
            self._search_in(self._searcher.index)
            logger.info("%s: calibrated by %s", self.collection, "the site" if by_site else "the model")

    def _follow_unmirrored(self, crops: int) -> None:
        latest = self._changes.last_sequence()
        if self._mirror is not None or crops != self._crops or latest != self.sequence:
            self._search_in(self._stored.index)
            logger.info("%s: %d crops, not mirrored", self.collection, crops)
        self._mirror, self.sequence = None, latest

    def _follow(self, mirror: Mirror, crops: int) -> None:
        """Apply the gallery's changes to the mirror."""
        changed = self._learn(mirror)
        if not (changed or self._pending or self._grown) and crops == self._crops:
            return
        if sum(self._fetch(mirror, batch) for batch in _batches(self._pending)) or self._grown:
            self._search_in(mirror)
            logger.info("%s: %d crops, mirrored in memory", self.collection, mirror.count())
        # Rows that came or went without a change of the gallery: somebody else wrote to the collection.
        explained = crops <= mirror.count() <= self._stored.index.count()
        if crops != self._crops and not explained:
            self._copy()

    def _learn(self, mirror: Mirror) -> bool:
        """Remove what was erased since the last time, and note what was added. Returns whether there was either."""
        latest = self._changes.last_sequence()
        if latest == self.sequence:
            return False
        erased = list(self._changes.erased_since(self.sequence))
        self._pending |= dict.fromkeys(crop.crop_id for crop in self._changes.crops_since(self.sequence))
        for crop_id in erased:
            self._pending.pop(crop_id, None)
        if sum(mirror.delete(CropFilter(crop_ids=tuple(batch))) for batch in _batches(erased)):
            self._search_in(mirror)  # at once: no statistic may keep an erased vector
        self.sequence = latest
        return True

    def _fetch(self, mirror: Mirror, crop_ids: Sequence[str]) -> int:
        """Add those of the crops that the collection now holds. Returns their number."""
        found, vectors_ND = self._stored.index.fetch(crop_ids)
        mirror.upsert(found, vectors_ND)
        for crop in found:
            self._pending.pop(crop.crop_id, None)
        return len(found)

    def _copy(self) -> None:
        """Copy the whole collection, without what the gallery has erased."""
        latest = self._changes.last_sequence()
        properties = self.properties
        self._mirror = Mirror.of_batches(self._held(), properties.embedding_dim, properties.coding)
        self._search_in(self._mirror)
        logger.info("%s: %d crops, mirrored in memory", self.collection, self._mirror.count())
        self.sequence, self._pending = latest, {}

    def _held(self) -> Iterator[Batch]:
        for crops, vectors_ND in self._stored.index.iterate():
            erased = set(self._changes.erased_among([crop.crop_id for crop in crops]))
            rows = [row for row, crop in enumerate(crops) if crop.crop_id not in erased]
            yield [crops[row] for row in rows], vectors_ND[rows]

    def _search_in(self, index: VectorIndex) -> None:
        """Search an index that has changed; a searcher counts and measures its index only once."""
        self._searcher = Searcher(self._stored.encoder, index, self._calibration, self._changes.erased_among)
        self._grown = False


def _batches(crop_ids: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(list(crop_ids))
    while batch := list(islice(iterator, FETCH_ROWS)):
        yield batch
