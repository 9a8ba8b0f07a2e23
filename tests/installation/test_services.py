"""Services are started once, found again, restarted when dead, and only our own are stopped. Real processes."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.installation.service_records import (
    RECORDS,
    ServiceRecord,
    is_running,
    read_records,
    running_address,
    start_of_process,
    write_records,
)
from personsearch.installation.services import service_states, start_services, stop_services
from personsearch.installation.settings import Settings

NAMES = ("milvus", "serving")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("PERSONSEARCH_MILVUS_URI", "PERSONSEARCH_MLFLOW_URI", "PERSONSEARCH_API_KEYS"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "home"
    stop_services(tmp_path / "home")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_the_life_of_services(home: Path) -> None:
    services = start_services(home, NAMES)
    first = read_records(home)
    with urllib.request.urlopen(f"{services.serving_uri}/healthz") as response:
        assert response.status == 200
    assert services.mlflow_uri == ""
    assert Settings(home=home).milvus_address == services.milvus_uri

    assert start_services(home, NAMES) == services
    assert read_records(home) == first

    os.kill(first["serving"].pid, signal.SIGKILL)
    while is_running(first["serving"]):
        time.sleep(0.02)
    assert {state.name: state.state for state in service_states(home)} == {"milvus": "answers", "serving": "stopped"}
    assert start_services(home, NAMES) == services
    assert read_records(home)["milvus"] == first["milvus"]
    assert read_records(home)["serving"].pid != first["serving"].pid

    assert stop_services(home) == ["serving", "milvus"]
    assert not any(is_running(record) for record in first.values())
    assert read_records(home) == {}
    assert stop_services(home) == []


def test_a_half_sent_request_does_not_keep_a_service_from_ending_in_order(home: Path) -> None:
    services = start_services(home, ("serving",))
    log = Path(read_records(home)["serving"].log)
    address = urllib.parse.urlsplit(services.serving_uri)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80)) as stalled:
        stalled.sendall(b"POST /v1/search HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
        assert stop_services(home) == ["serving"]
    assert "Finished server process" in log.read_text()


def test_a_service_that_cannot_start_says_why(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "gallery").write_text("a file where a folder belongs")
    with pytest.raises(UserError, match=r"search ended: .*cannot hold a gallery"):
        start_services(home, ("serving",))


def test_a_service_named_elsewhere_is_not_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_MILVUS_URI", "http://milvus.example:19530")
    services = start_services(home, ("milvus",))
    assert services.milvus_uri == "http://milvus.example:19530"
    assert read_records(home) == {}


def test_a_process_that_took_over_the_number_is_left_alone(home: Path, stranger: subprocess.Popen[bytes]) -> None:
    started = start_of_process(stranger.pid)
    assert is_running(ServiceRecord(stranger.pid, started, "", ""))
    earlier = ServiceRecord(stranger.pid, "1", "http://127.0.0.1:9", str(home / "log"))
    write_records(home, {"milvus": earlier})
    assert running_address(home, "milvus") is None
    assert stop_services(home) == []
    assert stranger.poll() is None
    assert not is_running(replace(earlier, started=""))


def test_a_process_that_ended_has_no_start(stranger: subprocess.Popen[bytes]) -> None:
    stranger.kill()
    while start_of_process(stranger.pid):
        time.sleep(0.01)
    assert start_of_process(2**22 + 7) == ""


def test_a_damaged_list_is_named(home: Path) -> None:
    home.mkdir(parents=True)
    (home / RECORDS).write_text("[1]")
    with pytest.raises(UserError, match=r"services\.json"):
        read_records(home)
    (home / RECORDS).unlink()
