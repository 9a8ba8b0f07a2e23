"""What one changed crop costs the service's mirror, and what a search costs, beside the exact index that is copied.

Run: `python benchmarks/mirror.py [--crops 10000 100000]`. Vectors of 512 numbers at random; a change is one crop that
comes and one that is erased. Memory is measured in a process of its own.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.mirror import Mirror, mirror_bytes
from personsearch.search.quantised import Centres, Coding, VectorStorage

D = 512
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROUNDS = 30
BATCH = 1000
CODINGS: tuple[VectorStorage, ...] = ("float32", "int8", "binary")


def main() -> None:
    """Print one table: a row for each size and coding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=int, nargs="+", default=[10_000, 100_000])
    options = parser.parse_args()
    table = Table("crops", "vectors", "change ms", "exact index ms", "search ms", "exact index ms", "MiB", "MiB told")
    for count in options.crops:
        for vectors in CODINGS:
            told = mirror_bytes(count, D, Coding(vectors)) / 2**20
            times = [f"{1000 * each:.2f}" for each in _times(count, vectors)]
            table.add_row(f"{count:,}", vectors, *times, f"{_memory(count, vectors):.0f}", f"{told:.0f}")
    Console().print(table)


def _times(count: int, vectors: VectorStorage) -> list[float]:
    """Medians: a change of the mirror and of the exact index, a search of each."""
    coding = Coding(vectors, 10 if vectors == "binary" else 1, Centres.zero(D))
    mirror, exact = Mirror(D, coding), ExactIndex.of_batches(_batches(count), D, coding)
    for crops, vectors_ND in _batches(count):
        mirror.upsert(crops, vectors_ND)
    queries_QD = _vectors(ROUNDS, seed=1)

    def change(index: Mirror | ExactIndex) -> Callable[[int], None]:
        def run(turn: int) -> None:
            index.upsert([_crop(count + turn)], queries_QD[turn : turn + 1])
            index.delete(CropFilter(crop_ids=(_crop(turn).crop_id,)))

        return run

    def search(index: Mirror | ExactIndex) -> Callable[[int], None]:
        return lambda turn: index.search(queries_QD[turn : turn + 1], 40) and None

    few = 5 if count > 20_000 else ROUNDS  # the exact index copies everything
    return [
        _median(change(mirror), ROUNDS),
        _median(change(exact), few),
        _median(search(mirror), ROUNDS),
        _median(search(exact), ROUNDS),
    ]


def _median(run: Callable[[int], None], turns: int) -> float:
    seconds = []
    for turn in range(turns):
        start = time.perf_counter()
        run(turn)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _memory(count: int, vectors: VectorStorage) -> float:
    """MiB that a mirror takes, all of it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_filled_memory, (count, vectors))


def _filled_memory(count: int, vectors: VectorStorage) -> float:
    before = _resident()
    mirror = Mirror(D, Coding(vectors))
    for crops, vectors_ND in _batches(count):
        mirror.upsert(crops, vectors_ND)
    assert mirror.count() == count
    return _resident() - before


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def _batches(count: int) -> Iterator[tuple[list[Crop], NDArray[np.float32]]]:
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        yield [_crop(number) for number in range(start, start + size)], _vectors(size, seed=start)


def _vectors(count: int, *, seed: int) -> NDArray[np.float32]:
    vectors_ND = np.random.default_rng(seed).normal(size=(count, D)).astype(np.float32)
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


PLAIN = Crop("", "", NOON, "", "", BoundingBox(0, 0, 64, 128), "", 0.5, NOON)


def _crop(number: int) -> Crop:
    """With texts as long as those of ingested footage."""
    camera = f"camera-{number % 8}"
    crop_id = f"{camera}-20260301T120000-{number:08}"
    return replace(
        PLAIN,
        crop_id=crop_id,
        camera_id=camera,
        track_id=f"{camera}-20260301T120000-t{number // 5:06}",
        image_uri=f"images/{camera}/2026-03-01/{crop_id}.jpg",
        bbox=BoundingBox(number % 600, number % 400, 64, 128),
        frame_uri=f"footage/{camera}.mp4#{number}",
        quality=number % 100 / 100,
    )


if __name__ == "__main__":
    main()
