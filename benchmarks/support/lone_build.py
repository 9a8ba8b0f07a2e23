"""A process that does nothing but an index build, without pictures and model, and says how much memory it held.

Run: `python benchmarks/support/lone_build.py CROPS`.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personsearch.gallery.encoding import Encoded
from personsearch.gallery.indexing import Build, IndexConfig
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.crop import Crop
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties, CollectionStore

DIM = 8


def new_build(
    gallery: Gallery, encoder: Any, store: CollectionStore, *, shard_crops: int, version: str = "1", size: int = DIM
) -> Build:
    properties = CollectionProperties("personsearch", version, f"print{version}", "data", size)
    return Build(IndexConfig(shard_crops=shard_crops), gallery, encoder, store, properties)


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
    return {"seconds": seconds, "mib": peak_mib()}


def peak_mib() -> float:
    """The most memory that this process held. `getrusage` would count what its parent held when it was started."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


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
    print(json.dumps(peak_of_a_build(int(sys.argv[1]))))
