"""Turns crops into vectors: reads their pictures, and decodes some while others are encoded.

Shapes: B crops of one batch, H height, W width, D embedding dimension.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from personsearch.encoders.decoding import ahead, decode, pixels_of
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.processes import EncoderProcesses
from personsearch.errors import VerificationFailed
from personsearch.gallery.store import Gallery
from personsearch.images import ImageRejected
from personsearch.search.crop import Crop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Crops with their vectors, and why others of the batch have none, by id."""

    crops: list[Crop]
    vectors_BD: NDArray[np.float32]
    unreadable: dict[str, ImageRejected]

    def __post_init__(self) -> None:
        """Raises VerificationFailed for a vector that is not finite."""
        broken_B = ~np.isfinite(self.vectors_BD).all(axis=1)
        if broken_B.any():
            crop_id = self.crops[int(np.argmax(broken_B))].crop_id
            raise VerificationFailed(f"crop {crop_id}: the model gives NaN or infinity")


class CropEncoder(Protocol):
    """Encodes crops of one gallery with one model."""

    def encode(self, batches: Iterable[list[Crop]]) -> Iterator[Encoded]:
        """Encode batches, which are read ahead; in the order in which they are ready.

        Raises:
            UserError: the store of pictures cannot be used, or the model cannot be run.
            VerificationFailed: the model gives NaN.
        """
        ...


class GalleryEncoder:
    """A CropEncoder in this process: a thread reads and decodes the next batch while one is encoded."""

    def __init__(self, gallery: Gallery, encoder: Encoder) -> None:
        self.gallery = gallery
        self.encoder = encoder

    def encode(self, batches: Iterable[list[Crop]]) -> Iterator[Encoded]:
        for crops, (pixels_BHW3, rejected) in ahead(map(self._read, batches)):
            yield _encoded(crops, self.encoder.encode_images(pixels_BHW3), rejected)

    def _read(self, crops: list[Crop]) -> tuple[list[Crop], tuple[NDArray[np.uint8], dict[int, ImageRejected]]]:
        pictures = self.gallery.read_pictures(crops)
        return crops, decode(pictures, self.encoder.preprocessing, count=len(crops))


class SharedEncoder:
    """A CropEncoder that reads pictures here and has them decoded and encoded by several processes."""

    def __init__(self, gallery: Gallery, processes: EncoderProcesses) -> None:
        self.gallery = gallery
        self._processes = processes

    def encode(self, batches: Iterable[list[Crop]]) -> Iterator[Encoded]:
        read = ((crops, list(self.gallery.read_pictures(crops))) for crops in batches)
        for crops, vectors_BD, rejected in self._processes.encode(read):
            yield _encoded(crops, vectors_BD, rejected)


def _encoded(crops: list[Crop], vectors_BD: NDArray[np.float32], rejected: dict[int, ImageRejected]) -> Encoded:
    readable = [crop for place, crop in enumerate(crops) if place not in rejected]
    return Encoded(readable, vectors_BD, {crops[place].crop_id: error for place, error in rejected.items()})


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
            yield pixels_of(read, size)
        except ImageRejected as error:
            yield error


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
