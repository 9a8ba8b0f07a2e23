"""Brings a collection up to date with the gallery: encodes missing crops, removes erased ones.

Shapes: B crops of one batch, H height, W width, D embedding dimension.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from personsearch.encoders.encoder import Encoder
from personsearch.errors import VerificationFailed
from personsearch.gallery.store import Gallery
from personsearch.images import ImageRejected, open_image, resize
from personsearch.progress import track
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from personsearch.search.index import VectorIndex

logger = logging.getLogger(__name__)

DELETE_BATCH = 1000

T = TypeVar("T")


@dataclass
class Synchroniser:
    """Keeps a collection in step with a gallery. If killed at any moment, the next one resumes from what is stored.

    Crops are added up to change `sequence` of the gallery, and erased ones removed up to change `erased`. `between` is
    called after each batch of crops.
    """

    gallery: Gallery
    encoder: Encoder
    index: VectorIndex
    batch_size: int
    encoded: int = 0
    removed: int = 0
    unreadable: set[str] = field(default_factory=set)
    sequence: int = 0
    erased: int = 0
    between: Callable[[], None] = lambda: None

    def compare_all(self) -> None:
        """Compare every crop of gallery and collection, and repair the differences."""
        sequence = self.gallery.last_sequence()
        extra: list[str] = []
        held = track(self.gallery.crops(), "index: crops", total=self.gallery.count())
        self._add(_missing(held, self.index.crop_ids(), extra))
        self.remove(extra)
        self.sequence = self.erased = sequence

    def catch_up(self) -> None:
        """Apply the gallery's changes since the last call, until there are no more."""
        while not self.step():
            pass

    def step(self, changes: int | None = None) -> bool:
        """Remove what was erased since the last call, then add crops of so many changes, by default of all.

        Returns whether that was everything.
        """
        latest = self.gallery.last_sequence()
        self.remove(self.gallery.erased_since(self.erased))
        self.erased = latest
        until = latest if changes is None else min(latest, self.sequence + changes)
        self._add(self.gallery.crops_since(self.sequence, until))
        self.sequence = until
        return until == self.gallery.last_sequence()

    def remove(self, crop_ids: Iterable[str]) -> None:
        """Remove crops from the collection."""
        for batch in batches(crop_ids, DELETE_BATCH):
            self.removed += self.index.delete(CropFilter(crop_ids=tuple(batch)))
            self.unreadable.difference_update(batch)

    def _add(self, crops: Iterable[Crop]) -> None:
        for readable, pixels_BHW3 in ahead(map(self._read, batches(crops, self.batch_size))):
            if readable:
                self.index.upsert(readable, _finite(readable, self.encoder.encode_images(pixels_BHW3)))
                self.encoded += len(readable)
            self.between()

    def _read(self, crops: list[Crop]) -> tuple[list[Crop], NDArray[np.uint8]]:
        readable, pixels = [], []
        for crop, read in zip(crops, read_pixels(self.gallery, crops, self.encoder), strict=True):
            if isinstance(read, ImageRejected):
                if not self.gallery.is_erased(crop.crop_id):
                    logger.warning("crop %s is left out: %s", crop.crop_id, read)
                    self.unreadable.add(crop.crop_id)
            else:
                pixels.append(read)
                readable.append(crop)
        return readable, np.array(pixels, dtype=np.uint8)


def _finite(crops: list[Crop], vectors_BD: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same vectors; raises VerificationFailed for one that is not finite."""
    broken_B = ~np.isfinite(vectors_BD).all(axis=1)
    if broken_B.any():
        raise VerificationFailed(f"crop {crops[int(np.argmax(broken_B))].crop_id}: the model gives NaN or infinity")
    return vectors_BD


def read_pixels(
    gallery: Gallery, crops: Sequence[Crop], encoder: Encoder
) -> Iterator[NDArray[np.uint8] | ImageRejected]:
    """The pictures of crops at the encoder's size, uint8 [H, W, 3]; why not, for one that is missing or damaged.

    Raises:
        UserError: the store of pictures cannot be used, which says nothing of any crop.
    """
    size = encoder.preprocessing
    for read in gallery.read_pictures(crops):
        try:
            if isinstance(read, ImageRejected):
                raise read
            yield resize(open_image(read), size.height, size.width, size.interpolation)
        except ImageRejected as error:
            yield error


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, with the next one made in another thread while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _missing(crops: Iterable[Crop], stored: Iterator[str], extra: list[str]) -> Iterator[Crop]:
    """Crops that are not stored; both are in the order of ids. Ids that no crop has are appended to `extra`."""
    next_id = next(stored, None)
    for crop in crops:
        while next_id is not None and next_id < crop.crop_id:
            extra.append(next_id)
            next_id = next(stored, None)
        if next_id == crop.crop_id:
            next_id = next(stored, None)
        else:
            yield crop
    if next_id is not None:
        extra += [next_id, *stored]
