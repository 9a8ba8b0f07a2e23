"""Two real promoters on one database: one leads, is killed during its build, and the other finishes what it began."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from personsearch.bundle import Bundle
from personsearch.gallery.add_dataset import add_dataset
from personsearch.installation.leadership import is_of_process
from personsearch.installation.part_leases import PART
from personsearch.installation.platforms import open_gallery, open_registry, open_store
from personsearch.installation.promoter import LEASE
from personsearch.installation.promoter_memory import open_memory, read_memory
from personsearch.installation.settings import Settings
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.parts import DatabaseParts
from personsearch.integrations.database.schema import open_database
from tests.onnx_bundle import make_onnx_bundle
from tests.servers.milvus_lite_server import start_server

# A build of this promoter takes long: it waits after every second crop.
PROMOTER = """
import sys, time
from pathlib import Path
from personsearch.gallery import encoding
from personsearch.installation.promoter import run_promoter
from personsearch.installation.settings import Settings
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.schema import open_database
if __name__ == "__main__":
    run_promoter(Settings(), Path("params.yaml"))
else:
    class Slow(encoding.GalleryEncoder):
        def _read(self, crops):
            time.sleep(1.0)
            return super()._read(crops)
    from personsearch.gallery import indexing
    indexing.GalleryEncoder = Slow
"""


@pytest.fixture
def settings(
    database_address: str, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """An installation on each engine, with a champion and 24 crops, of which a build encodes two a second."""
    server = start_server(tmp_path / "milvus.db")
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(tmp_path / "var"),
        "DATABASE": database_address,
        "MILVUS_URI": server.uri,
        "LEASE_SECONDS": "8",  # a busy machine may not renew a shorter one in time
    }.items():
        monkeypatch.setenv(f"PERSONSEARCH_{name}", value)
    (tmp_path / "params.yaml").write_text("index: {batch_size: 2}\n")
    (tmp_path / "slow_promoter.py").write_text(PROMOTER)
    settings = Settings()
    add_dataset(tiny_dataset, open_gallery(settings), split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC))
    registry = open_registry(settings)
    registry.register(Bundle.open(make_onnx_bundle(tmp_path / "bundle", seed=1)), metrics={}, tags={})
    registry.promote("1")
    yield settings
    server.stop()


def until(seen: Callable[[], bool], *, seconds: float = 240.0) -> float:
    """Wait; returns the seconds that it took."""
    start = time.monotonic()
    while not seen():
        assert time.monotonic() - start < seconds
        time.sleep(0.1)
    return time.monotonic() - start


def stored(settings: Settings) -> int:
    store = open_store(settings)
    try:
        return store.open("persons_v1_1").count() if "persons_v1_1" in store.names() else 0
    finally:
        store.close()


@pytest.mark.slow
def test_a_standby_finishes_the_build_of_a_killed_leader_and_encodes_nothing_twice(settings: Settings) -> None:
    leases = DatabaseLeases(open_database(settings.database_address))

    def leads(process: "subprocess.Popen[bytes]") -> bool:
        return is_of_process(leases.holder(LEASE) or "", process.pid)

    command = [sys.executable, "slow_promoter.py"]
    with subprocess.Popen(command) as first, subprocess.Popen(command) as second:
        try:
            until(lambda: len(read_memory(settings).heartbeats) == 2)
            until(lambda: stored(settings) >= 4)
            leader, standby = (first, second) if leads(first) else (second, first)
            os.kill(leader.pid, signal.SIGKILL)
            assert until(lambda: leads(standby)) < 25
            held = stored(settings)  # the killed one's worker has ended with it
            assert 4 <= held < 24
            until(lambda: open_memory(settings).live() is not None)
            live = open_memory(settings).live()
            assert live is not None
            assert (live.version, live.collection, live.sequence) == ("1", "persons_v1_1", 24)
            assert live.encoded == 24 - held
            assert stored(settings) == 24
        finally:
            for process in (first, second):
                process.kill()


@pytest.mark.slow
def test_followers_share_the_parts_and_take_over_those_of_a_killed_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONSEARCH_FOLLOWER_PARTS", "4")
    leases, gallery = DatabaseLeases(open_database(settings.database_address)), open_gallery(settings)

    def parts_of(process: "subprocess.Popen[bytes]") -> int:
        return sum(is_of_process(holder, process.pid) for holder in leases.holders(PART).values())

    def arrive(name: str, count: int) -> None:
        first = next(iter(gallery.crops()))
        [jpeg] = gallery.read_pictures([first])
        assert isinstance(jpeg, bytes)
        gallery.add([(replace(first, crop_id=f"{name}-{n}"), jpeg) for n in range(count)])

    command = [sys.executable, "-m", "personsearch", "promoter"]
    with subprocess.Popen(command) as first, subprocess.Popen(command) as second:
        try:
            until(lambda: (parts_of(first), parts_of(second)) == (2, 2))
            until(lambda: open_memory(settings).live() is not None)
            arrive("both", 20)
            until(lambda: stored(settings) == 44)
            victim, survivor = (first, second)
            os.kill(victim.pid, signal.SIGKILL)
            arrive("one", 20)
            assert until(lambda: parts_of(survivor) == 4) < 60
            until(lambda: stored(settings) == 64)
            until(lambda: (live := open_memory(settings).live()) is not None and live.sequence == 64)
            reached = DatabaseParts(open_database(settings.database_address)).reached(4, "persons_v1_1")
            assert reached is not None
            assert reached.encoded == 40  # nothing twice
        finally:
            for process in (first, second):
                process.kill()
