"""Claims: an index build encodes at .9 of the rate of the bare encoder or more, and its memory does not grow with the
gallery.

Run: `python benchmarks/indexing.py rate [--crops 1500] [--rounds 5] [--shards 1,4]`: seconds of CPU for the same
pictures, by the encoder alone (decoded, resized, encoded) and by a whole build into Milvus Lite's server (read from the
gallery, decoded, encoded, written, noted, without the verification at its end), in turns in every round. The server's
own time is not in it.

`python benchmarks/indexing.py memory [--crops 100000,1000000]`: peak memory of a process that plans, fills and compares
a build of so many crops. It covers the gallery's rows in SQLite, the merge of both sides and all bookkeeping. Pictures
and model are left out (every crop gets the same vector), and the collection keeps only ids, on disk, as its memory is
that of another process in an installation.
"""

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from promotion import NOON, SHIPPED, pictures
from rich.console import Console
from rich.table import Table

from personsearch.bundle import Bundle
from personsearch.compression.forms import build_form
from personsearch.encoders.decoding import decode
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.gallery.encoding import Encoded, batches
from personsearch.gallery.indexing import Build, IndexConfig
from personsearch.gallery.store import Gallery
from personsearch.installation.platforms import open_gallery, open_store
from personsearch.installation.services import start_services, stop_services
from personsearch.installation.settings import Settings
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties, CollectionStore

DIM = 8
BOX = BoundingBox(0, 0, 64, 128)


def main() -> None:
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, dest="command")
    of_rate = commands.add_parser("rate")
    of_rate.add_argument("--crops", type=int, default=1500)
    of_rate.add_argument("--rounds", type=int, default=5)
    of_rate.add_argument("--shards", default="1,4")
    of_memory = commands.add_parser("memory")
    of_memory.add_argument("--crops", default="100000,1000000")
    of_memory.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.command == "rate":
        rate(options.crops, options.rounds, [int(number) for number in options.shards.split(",")])
    elif options.alone:
        print(json.dumps(peak_of_a_build(int(options.crops))))
    else:
        memory([int(number) for number in options.crops.split(",")])


def rate(crops: int, rounds: int, shards: Sequence[int]) -> None:
    """Print seconds of CPU of both, and the median ratio."""
    table = Table("shards", "bare encoder, CPU s", "build, CPU s", "build's rate ÷ bare rate", title=f"{crops} crops")
    for each, pairs in measured_rates(crops, rounds, shards).items():
        medians = (median(column) for column in zip(*pairs, strict=True))
        table.add_row(str(each), *(f"{value:.2f}" for value in medians), f"{_ratio(pairs):.2f}")
    Console().print(table)


def measured_ratios(crops: int, rounds: int, shards: Sequence[int]) -> dict[int, float]:
    """The median ratio by the number of shards."""
    return {each: _ratio(pairs) for each, pairs in measured_rates(crops, rounds, shards).items()}


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return median(bare / build for bare, build in pairs)


def measured_rates(crops: int, rounds: int, shards: Sequence[int]) -> dict[int, list[tuple[float, float]]]:
    """Seconds of CPU of the encoder alone and of a build, in turns, by the number of shards."""
    jpegs, numbers = pictures(crops), count(1)
    measured: dict[int, list[tuple[float, float]]] = {each: [] for each in shards}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PERSONSEARCH_HOME"] = folder
        home = Path(folder)
        build_form(Bundle.open(SHIPPED), "onnx-fp32", "onnxruntime", home / "bundle")
        encoder = load_graph_encoder(Bundle.open(home / "bundle"), threads=1)
        start_services(home, ("milvus",), report=print)
        try:
            gallery, store = open_gallery(Settings()), open_store(Settings())
            gallery.add((new_crop(n), jpeg) for n, jpeg in enumerate(jpegs))
            for each in rounds * list(shards):
                named = {"version": str(next(numbers)), "size": encoder.embedding_dim}
                build = new_build(gallery, encoder, store, shard_crops=-(-crops // each), **named)
                bare = cpu_seconds(lambda: encode_alone(encoder, jpegs))
                measured[each].append((bare, cpu_seconds(lambda build=build: fill(build))))
        finally:
            stop_services(home, report=print)
    return measured


def new_build(
    gallery: Gallery, encoder: Any, store: CollectionStore, *, shard_crops: int, version: str = "1", size: int = DIM
) -> Build:
    properties = CollectionProperties("personsearch", version, f"print{version}", "data", size)
    return Build(IndexConfig(shard_crops=shard_crops), gallery, encoder, store, properties)


def fill(build: Build) -> None:
    """Everything but the verification."""
    for shard in build.plan():
        build.fill(shard)


def encode_alone(encoder: Any, jpegs: Sequence[bytes]) -> None:
    """The same pictures in the same batches, with nothing else."""
    for batch in batches(jpegs, IndexConfig().batch_size):
        pixels, _ = decode(batch, encoder.preprocessing, count=len(batch))
        encoder.encode_images(pixels)


def cpu_seconds(action: Callable[[], object]) -> float:
    """Of this process, all threads together."""
    start = time.process_time()
    action()
    return time.process_time() - start


def new_crop(number: int) -> Crop:
    return Crop(f"crop-{number:08}", f"camera-{number % 8}", NOON, f"track-{number // 5}", "", BOX, "", 0.5, NOON)


def memory(sizes: Sequence[int]) -> None:
    """Print the peak memory of a process that does nothing but the build."""
    table = Table("crops", "build s", "peak MiB", "of the first", title="memory of a build, without pictures and model")
    first = 0.0
    for size in sizes:
        told = memory_of_a_build(size)
        first = first or told["mib"]
        table.add_row(f"{size:,}", f"{told['seconds']:.0f}", f"{told['mib']:.0f}", f"{told['mib'] / first:.2f}")
    Console().print(table)


def memory_of_a_build(crops: int) -> dict[str, float]:
    """What a process that does nothing else says of itself."""
    command = [sys.executable, __file__, "memory", "--alone", "--crops", str(crops)]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told


def peak_of_a_build(crops: int) -> dict[str, float]:
    """Fill a gallery with rows, then build; in a process of its own, whose peak is the build's."""
    with tempfile.TemporaryDirectory() as folder:
        gallery = gallery_in(Path(folder))
        insert_rows(Path(folder) / "gallery.db", crops)
        store = IdStore(Path(folder) / "ids.db")
        build = replace(new_build(gallery, None, store, shard_crops=100_000), crop_encoder=SameVector())
        start = time.monotonic()
        shards = build.plan()
        for shard in shards:
            build.fill(shard)
        build.compare(build.open(shards), shards)
        seconds = time.monotonic() - start
        assert store.index.count() == crops, store.index.count()
    return {"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def insert_rows(database: Path, crops: int) -> None:
    """Rows of crops that have no pictures, as the gallery would store them; in a process of its own."""
    script = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute('''
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST(? AS INTEGER))
    INSERT INTO crops SELECT n, printf('crop-%08d', n), printf('camera-%d', n % 8), 1772366400000 + n,
        printf('track-%d', n / 5), printf('images/%08d.jpg', n), 0, 0, 64, 128, '', 0.5, 1772366400000 FROM numbers
''', (sys.argv[2],))
connection.commit()
"""
    subprocess.run([sys.executable, "-c", script, str(database), str(crops)], check=True)


class SameVector:
    """An encoder for crops without pictures."""

    def encode(self, batches: Iterable[list[Crop]]) -> Iterator[Encoded]:
        for crops in batches:
            yield Encoded(crops, np.full((len(crops), DIM), DIM**-0.5, dtype=np.float32), {})


class IdIndex:
    """A collection that keeps only ids, in a file."""

    def __init__(self, database: Path) -> None:
        self._rows = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute("CREATE TABLE ids (crop_id TEXT PRIMARY KEY) WITHOUT ROWID")

    def upsert(self, crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> None:
        self._rows.execute("BEGIN")  # else each row is a transaction
        self._rows.executemany("INSERT OR REPLACE INTO ids VALUES (?)", [(crop.crop_id,) for crop in crops])
        self._rows.execute("COMMIT")

    def delete(self, crop_filter: CropFilter) -> int:
        raise AssertionError("nothing was erased")

    def count(self) -> int:
        return int(self._rows.execute("SELECT count(*) FROM ids").fetchone()[0])

    def crop_ids(self, first: str = "", end: str | None = None) -> Iterator[str]:
        last = ""
        query = (
            "SELECT crop_id FROM ids WHERE crop_id >= ? AND crop_id > ? AND crop_id < ? ORDER BY crop_id LIMIT 16384"
        )
        while page := self._rows.execute(query, (first, last, end or "~")).fetchall():
            yield from (crop_id for (crop_id,) in page)
            last = page[-1][0]


class IdStore(ExactStore):
    """A store whose collections keep only ids."""

    def __init__(self, database: Path) -> None:
        super().__init__()
        self.index = IdIndex(database)

    def open(self, name_or_alias: str) -> Any:
        return self.index


if __name__ == "__main__":
    main()
