"""Machines that share a database do not watch one camera twice."""

import threading
import time
from pathlib import Path

import pytest

from personsearch.errors import LeaseLost, UserError
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.gallery.watch.health import read_health
from personsearch.gallery.watch.streams import StreamConfig
from personsearch.gallery.watch.watch import watch
from personsearch.installation.settings import Settings
from personsearch.installation.watching import watched_here
from personsearch.integrations.database.gallery import gallery_in

ON_A_SERVER = pytest.mark.parametrize("database_address", ["postgresql"], indirect=True)


@pytest.fixture
def settings(tmp_path: Path, database_address: str) -> Settings:
    return Settings(home=tmp_path / "home", database=database_address)


@ON_A_SERVER
def test_a_camera_that_another_machine_watches_is_refused(settings: Settings) -> None:
    with watched_here(settings, ["gate 3"], seconds=30):
        with watched_here(settings, ["gate 4"], seconds=30) as renew:
            renew()
        with (
            pytest.raises(UserError, match=r"gate 3: .+ watches it already"),
            watched_here(settings, ["gate 3"], seconds=0.5),
        ):
            raise AssertionError("both watch it")
    with watched_here(settings, ["gate 3"], seconds=0.5) as renew:
        renew()


@ON_A_SERVER
def test_the_lease_of_a_killed_process_is_waited_for_and_its_return_refused(settings: Settings) -> None:
    with watched_here(settings, ["gate 3"], seconds=1.0) as renew:
        time.sleep(1.5)  # as if it were stopped
        with watched_here(settings, ["gate 3"], seconds=30), pytest.raises(LeaseLost, match="gate 3: another process"):
            renew()


def test_who_loses_the_lease_stores_what_it_has_and_ends(tmp_path: Path) -> None:
    def lose() -> None:
        raise LeaseLost("gate 3: another process watches it now")

    stream, stopping = StreamConfig(address="rtsp://127.0.0.1:1/stream"), threading.Event()
    with pytest.raises(LeaseLost):
        watch(IngestConfig(), {"gate 3": stream}, gallery_in(tmp_path), tmp_path / "w", stopping=stopping, renew=lose)
    assert stopping.is_set()
    assert [health.state for health in read_health(tmp_path / "w")] == ["stopped"]
