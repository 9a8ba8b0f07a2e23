"""Images decoded once, at training size, into one memory-mapped array.

A cache is a folder of `pixels.npy` (uint8 [N, H, W, 3], rows in the manifest's order) and `index.json`. The index is
written last, so a folder without it is an unfinished cache, which the next call continues. A lock keeps two processes
apart. Every use touches `index.json`, and `prune` goes by that time.

Shapes: N images, H height, W width.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.data.dataset import Dataset
from personsearch.data.records import ImageRecord, Split
from personsearch.errors import UserError
from personsearch.files import alone, user_cache, write_json
from personsearch.images import DEFAULT_INTERPOLATION, Interpolation, open_image, resize
from personsearch.progress import track

PIXELS, INDEX, DONE, LOCK = "pixels.npy", "index.json", "done.json", ".lock"
IMAGES_PER_ADVANCE = 512
DECODING_THREADS = 4
CACHE_NAME = re.compile(r"[0-9a-f]{1,16}-(train|val|test)-\d+x\d+(-bilinear)?")
SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class CachedPixels:
    """One cache on disk; `used_at` in seconds since 1970."""

    folder: Path
    bytes: int
    used_at: float


def default_cache_folder() -> Path:
    """Where pixels are kept unless a recipe names another folder."""
    return user_cache("pixels")


def open_cache(
    dataset: Dataset,
    folder: Path,
    split: Split,
    size: tuple[int, int],
    interpolation: Interpolation = DEFAULT_INTERPOLATION,
) -> NDArray[np.uint8]:
    """The pixels of one split, read-only uint8 [N, H, W, 3]; decoded first where `folder` lacks them.

    The cache is named by data set hash, split, size and, unless it is the default, interpolation. A process killed
    while decoding loses at most IMAGES_PER_ADVANCE images.

    Raises:
        UserError: an image of the data set cannot be decoded.
    """
    kind = "" if interpolation == DEFAULT_INTERPOLATION else f"-{interpolation}"
    home = folder / f"{dataset.hash[:16]}-{split}-{size[0]}x{size[1]}{kind}"
    if not (home / INDEX).is_file():
        with alone(home / LOCK):  # another process may be filling it
            if not (home / INDEX).is_file():
                _fill(dataset, home, dataset.records(split), size, interpolation)
    with suppress(OSError):  # somebody else's cache, or one on a disk that is mounted read-only
        (home / INDEX).touch()
    return np.load(home / PIXELS, mmap_mode="r")  # type: ignore[no-any-return]


def cached_pixels(folder: Path) -> list[CachedPixels]:
    """The caches in a folder, finished or not, the longest unused first."""
    homes = [path for path in folder.iterdir() if CACHE_NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(map(_measured, homes), key=lambda cache: cache.used_at)


def prune(folder: Path, *, unused_days: float, most_bytes: float) -> list[CachedPixels]:
    """Remove caches unused for `unused_days`, then the longest unused until the rest fits into `most_bytes`.

    Returns the removed ones. A cache that is being filled stays. A training that reads a removed one continues: its
    file lives until it is closed.
    """
    caches = cached_pixels(folder)
    kept, oldest = sum(cache.bytes for cache in caches), time.time() - unused_days * SECONDS_PER_DAY
    removed = []
    for cache in caches:
        if (cache.used_at < oldest or kept > most_bytes) and _remove(cache.folder):
            kept -= cache.bytes
            removed.append(cache)
    return removed


def _measured(home: Path) -> CachedPixels:
    files = [path for path in (home / PIXELS, home / INDEX) if path.is_file()]
    states = [path.stat() for path in files or [home]]
    return CachedPixels(home, sum(state.st_size for state in states), max(state.st_mtime for state in states))


def _remove(home: Path) -> bool:
    try:
        with alone(home / LOCK, wait=False):
            (home / INDEX).unlink(missing_ok=True)  # first: what a kill leaves is an unfinished cache
            shutil.rmtree(home)
    except BlockingIOError:
        return False
    return True


def _fill(
    dataset: Dataset,
    home: Path,
    records: Sequence[ImageRecord],
    size: tuple[int, int],
    interpolation: Interpolation,
) -> None:
    pixels_NHW3, start = _open_for_writing(home, (len(records), *size, 3))
    decoded = _decode(dataset, records[start:], size, interpolation)
    for offset, picture in enumerate(track(decoded, "decode images", total=len(records) - start), start=start):
        pixels_NHW3[offset] = picture
        if (offset + 1) % IMAGES_PER_ADVANCE == 0:
            pixels_NHW3.flush()  # before the count, which must never promise pixels that are not on disk
            write_json(home / DONE, offset + 1)
    pixels_NHW3.flush()
    write_json(home / INDEX, [record.image_id for record in records])
    (home / DONE).unlink(missing_ok=True)


def _open_for_writing(
    home: Path, shape: tuple[int, ...]
) -> tuple["np.memmap[tuple[int, ...], np.dtype[np.uint8]]", int]:
    """The array, and how many images it already holds."""
    path, done = home / PIXELS, home / DONE
    if done.is_file() and path.is_file():
        return np.lib.format.open_memmap(path, mode="r+"), int(json.loads(done.read_text()))
    done.unlink(missing_ok=True)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape), 0


def _decode(
    dataset: Dataset, records: Sequence[ImageRecord], size: tuple[int, int], interpolation: Interpolation
) -> Iterator[NDArray[np.uint8]]:
    """Images in order, decoded by threads (PIL releases the interpreter lock), a bounded number ahead."""

    def decode(record: ImageRecord) -> NDArray[np.uint8]:
        try:
            return resize(open_image(dataset.picture(record)), *size, interpolation)
        except UserError as error:
            raise UserError(f"{dataset.image_path(record)}: {error}; run `personsearch data prepare` again") from error

    remaining = iter(records)
    with ThreadPoolExecutor(DECODING_THREADS) as threads:
        while group := list(islice(remaining, IMAGES_PER_ADVANCE)):
            yield from threads.map(decode, group)
