"""Brings a collection up to date with the gallery: encodes missing crops, removes those that it does not hold."""

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from personsearch.gallery.encoding import CropEncoder, Encoded, batches
from personsearch.gallery.store import Gallery
from personsearch.progress import track
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from personsearch.search.index import VectorIndex

logger = logging.getLogger(__name__)

DELETE_BATCH = 1000
WRITE_CROPS = 1000  # in one call of the engine, which costs about as much as a call for 64
WRITE_SECONDS = 1.0  # that encoded crops wait for others; who is killed loses so much work


@dataclass(frozen=True, slots=True)
class Part:
    """One of `of` equal parts of all crop ids, by their hash."""

    number: int = 0
    of: int = 1

    def holds(self, crop_id: str) -> bool:
        """Whether an id belongs to this part."""
        return self.of == 1 or zlib.crc32(crop_id.encode()) % self.of == self.number


WHOLE = Part()


@dataclass
class Synchroniser:
    """Keeps one part of a collection in step with a gallery. If killed at any moment, the next one resumes from what is
    stored.

    Crops are added up to change `sequence` of the gallery, and erased ones removed up to change `erased`. `feeding` is
    held whenever crops are written, several batches of the encoder in one call, and no crop is written that was erased
    by then. `before_writing` may refuse, by raising, and `between` is called after each batch, while earlier ones may
    be written in another thread.
    """

    gallery: Gallery
    encoder: CropEncoder
    index: VectorIndex
    batch_size: int
    part: Part = WHOLE
    feeding: Callable[[], AbstractContextManager[object]] = nullcontext
    between: Callable[[], None] = lambda: None
    before_writing: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    encoded: int = 0
    removed: int = 0
    read: int = 0  # crops to encode; counted apart from `settled`, because they are read and written in threads
    settled: int = 0  # of them, those that were written or left out
    unreadable: set[str] = field(default_factory=set)
    sequence: int = 0
    erased: int = 0

    @property
    def waiting(self) -> int:
        """Crops that were read to be encoded and are not stored yet."""
        return self.read - self.settled

    def compare_all(self) -> None:
        """Compare every crop of gallery and collection, and repair the differences."""
        sequence = self.gallery.last_sequence()
        self.compare()
        self.sequence = self.erased = sequence

    def compare(
        self,
        first: str = "",
        end: str | None = None,
        *,
        what: str = "crops",
        total: int | None = None,
        passed: Callable[[], None] = lambda: None,
    ) -> None:
        """Compare the crops with ids from `first` to before `end`, and repair the differences.

        Both sides are read in the order of ids, a page at a time, so memory does not grow with the gallery. `passed` is
        called after each crop.
        """
        count = self.gallery.count() if total is None else total
        surplus = _Surplus(self.remove)
        crops = track(_counted(self.gallery.crops_between(first, end), passed), f"index: {what}", total=count)
        held = self._own(crops)
        stored = filter(self.part.holds, self.index.crop_ids(first, end))
        self._add(_missing(held, stored, surplus.add))
        surplus.remove()

    def catch_up(self) -> None:
        """Apply the gallery's changes since the last call, until there are no more."""
        while not self.step():
            pass

    def step(self, changes: int | None = None) -> bool:
        """Remove what was erased since the last call, then add crops of so many changes, by default of all.

        Returns whether that was everything.
        """
        latest = self.gallery.last_sequence()
        self.remove_erased()
        until = latest if changes is None else min(latest, self.sequence + changes)
        self._add(self._own(self.gallery.crops_since(self.sequence, until)))
        self.sequence = until
        return until == self.gallery.last_sequence()

    def remove_erased(self) -> None:
        """Remove what was erased since the last call."""
        latest = self.gallery.last_sequence()
        self.remove(filter(self.part.holds, self.gallery.erased_since(self.erased)))
        self.erased = latest

    def remove(self, crop_ids: Iterable[str]) -> None:
        """Remove crops from the collection."""
        for batch in batches(crop_ids, DELETE_BATCH):
            with self.feeding():
                self.removed += self.index.delete(CropFilter(crop_ids=tuple(batch)))
            self.unreadable.difference_update(batch)

    def _own(self, crops: Iterable[Crop]) -> Iterator[Crop]:
        return (crop for crop in crops if self.part.holds(crop.crop_id))

    def _add(self, crops: Iterable[Crop]) -> None:
        """Encode and write crops; many are written in another thread while the next ones are encoded."""
        together: list[Encoded] = []
        written_at = self.clock()
        self.settled = self.read  # what an attempt that failed had read is read again
        with ThreadPoolExecutor(1, thread_name_prefix="write") as thread:
            writing = thread.submit(lambda: None)
            for encoded in self.encoder.encode(batches(self._reading(crops), self.batch_size)):
                together.append(encoded)
                full = (len(together) + 1) * self.batch_size > WRITE_CROPS
                if full or self.clock() - written_at >= WRITE_SECONDS:
                    writing.result()
                    writing = thread.submit(self._write, together)
                    together, written_at = [], self.clock()
                self.between()
            writing.result()
        if together:
            self._write(together)

    def _reading(self, crops: Iterable[Crop]) -> Iterator[Crop]:
        for crop in crops:
            self.read += 1
            yield crop

    def _write(self, together: list[Encoded]) -> None:
        """Write batches in one call, without what was erased by now."""
        crops = [crop for encoded in together for crop in encoded.crops]
        unreadable = {crop_id: error for encoded in together for crop_id, error in encoded.unreadable.items()}
        with self.feeding():
            erased = set(self.gallery.erased_among([*(crop.crop_id for crop in crops), *unreadable]))
            for crop_id, reason in unreadable.items():
                if crop_id not in erased | self.unreadable:
                    logger.warning("crop %s is left out: %s", crop_id, reason)
                    self.unreadable.add(crop_id)
            self.before_writing()
            kept = [place for place, crop in enumerate(crops) if crop.crop_id not in erased]
            if kept:
                vectors_ND = np.concatenate([encoded.vectors_BD for encoded in together])
                self.index.upsert([crops[place] for place in kept], vectors_ND[kept])
        self.encoded += len(kept)
        self.settled += len(crops) + len(unreadable)


def _counted(crops: Iterable[Crop], passed: Callable[[], None]) -> Iterator[Crop]:
    for crop in crops:
        yield crop
        passed()


class _Surplus:
    """Ids to remove, which are removed when they are many: it never holds more than a batch."""

    def __init__(self, remove: Callable[[list[str]], None]) -> None:
        self._remove = remove
        self._crop_ids: list[str] = []

    def add(self, crop_id: str) -> None:
        self._crop_ids.append(crop_id)
        if len(self._crop_ids) == DELETE_BATCH:
            self.remove()

    def remove(self) -> None:
        self._remove(self._crop_ids)
        self._crop_ids = []


def _missing(crops: Iterable[Crop], stored: Iterator[str], surplus: Callable[[str], None]) -> Iterator[Crop]:
    """Crops that are not stored; both are in the order of ids. Ids that no crop has are given to `surplus`."""
    next_id = next(stored, None)
    for crop in crops:
        while next_id is not None and next_id < crop.crop_id:
            surplus(next_id)
            next_id = next(stored, None)
        if next_id == crop.crop_id:
            next_id = next(stored, None)
        else:
            yield crop
    while next_id is not None:
        surplus(next_id)
        next_id = next(stored, None)
