"""Pictures as the pixels that an encoder takes.

Shapes: N pictures, H height, W width.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Preprocessing
from personsearch.images import ImageRejected, open_image, resize

Picture = bytes | ImageRejected
T = TypeVar("T")


def pixels_of(picture: Picture, size: Preprocessing) -> NDArray[np.uint8]:
    """One picture, uint8 [H, W, 3].

    Raises:
        ImageRejected: it cannot be decoded, or is not there.
    """
    if isinstance(picture, ImageRejected):
        raise picture
    return resize(open_image(picture), size.height, size.width, size.interpolation)


def decode(
    pictures: Iterable[Picture], size: Preprocessing, *, count: int
) -> tuple[NDArray[np.uint8], dict[int, ImageRejected]]:
    """The pixels [N, H, W, 3] of at most `count` pictures that can be decoded, and why the others cannot, by place."""
    pixels_NHW3 = np.empty((count, size.height, size.width, 3), dtype=np.uint8)
    decoded = 0
    rejected: dict[int, ImageRejected] = {}
    for place, picture in enumerate(pictures):
        try:
            pixels_NHW3[decoded] = pixels_of(picture, size)
            decoded += 1
        except ImageRejected as error:
            rejected[place] = error
    return pixels_NHW3[:decoded], rejected


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, with the next one made in another thread while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
