"""Services are started once, found again, restarted when dead, and only our own are stopped. Real processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from personsearch.errors import UserError
from personsearch.installation.platforms import Platforms, open_store
from personsearch.installation.service_commands import KINDS, ServiceName
from personsearch.installation.service_records import (
    INSTALLATION_ID,
    RECORDS,
    ServiceRecord,
    holds_its_port,
    installation_id,
    is_running,
    read_records,
    running_address,
    start_of_process,
    write_records,
)
from personsearch.installation.services import service_states, start_services, stop_services
from personsearch.installation.settings import Settings
from personsearch.integrations.milvus.server import server_command
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.processes import HOST, holds_port, listen
from personsearch.search.index import CollectionProperties
from tests.servers.milvus_lite_server import start_server

NAMES = ("milvus", "serving")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """The one of most systems, which lets everybody read."""
    earlier = os.umask(0o022)
    yield
    os.umask(earlier)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("PERSONSEARCH_MILVUS_URI", "PERSONSEARCH_MLFLOW_URI", "PERSONSEARCH_API_KEYS"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "home"
    stop_services(tmp_path / "home")


def health(address: str) -> dict[str, str]:
    with urllib.request.urlopen(f"{address}/healthz") as response:
        answer: dict[str, str] = json.load(response)
        return answer


def kill(record: ServiceRecord) -> None:
    os.killpg(record.pid, signal.SIGKILL)
    while is_running(record):
        time.sleep(0.02)


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
    assert health(services.serving_uri) == {"status": "alive", "installation": installation_id(home)}
    assert services.mlflow_uri == ""
    assert Settings(home=home).milvus_address == services.milvus_uri

    assert start_services(home, NAMES) == services
    assert read_records(home) == first

    kill(first["serving"])
    assert {state.name: state.state for state in service_states(home)} == {"milvus": "answers", "serving": "stopped"}
    assert start_services(home, NAMES) == services
    assert read_records(home)["milvus"] == first["milvus"]
    assert read_records(home)["serving"].pid != first["serving"].pid

    assert stop_services(home) == ["serving", "milvus"]
    assert not any(is_running(record) for record in first.values())
    assert read_records(home) == {}
    assert stop_services(home) == []


def test_installations_that_start_at_once_keep_their_services_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each started process holds its own port, and each service answers for its own installation."""
    start_together(tmp_path, ("milvus", "serving"), installations=3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("time", range(20))
def test_installations_that_start_at_once_twenty_times(tmp_path: Path, time: int) -> None:
    start_together(tmp_path, ("mlflow", "milvus", "serving", "promoter"), installations=3)


def start_together(folder: Path, names: tuple[ServiceName, ...], *, installations: int) -> None:
    homes = [folder / str(number) for number in range(installations)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERSONSEARCH_")}
    starters = [subprocess.Popen([sys.executable, "-c", START, str(home), *names], env=environment) for home in homes]
    try:
        assert [starter.wait() for starter in starters] == [0] * installations
        seen: set[str] = set()
        for home in homes:
            records = read_records(home)
            assert sorted(records) == sorted(names)
            for name, record in records.items():
                assert record.address not in seen
                assert name == "promoter" or holds_its_port(record)
                seen |= {record.address} - {""}
            assert health(records["serving"].address)["installation"] == installation_id(home)
            assert {state.state for state in service_states(home)} == {"answers"}
            store = open_store(Settings(home=home))
            assert store.names() == []
            store.create(f"of_{home.name}", CollectionProperties("m", "1", "f", "d", embedding_dim=4))
            store.close()
        for home in homes:
            for _ in range(5):  # connections of their own, each of which a shared port would lead anywhere
                store = open_store(Settings(home=home))
                assert store.names() == [f"of_{home.name}"]
                store.close()
    finally:
        for home in homes:
            stop_services(home)


START = """
import sys
from pathlib import Path
from personsearch.installation.services import start_services
start_services(Path(sys.argv[1]), sys.argv[2:])
"""


def test_a_port_that_a_stranger_takes_while_a_service_starts_is_given_up(home: Path) -> None:
    """Milvus binds its port itself, seconds after it was found free; somebody may be faster."""
    taken: list[socket.socket] = []

    def take_its_port(line: str) -> None:
        lines.append(line)
        if not taken and "milvus" in read_records(home):
            taken.append(wait_for(lambda: listen(read_records(home)["milvus"].port)))

    lines: list[str] = []
    start_services(home, ("milvus", "serving"), report=take_its_port)
    record = read_records(home)["milvus"]
    assert record.port != taken[0].getsockname()[1]
    assert holds_its_port(record)
    assert any("somebody else took port" in line for line in lines)
    taken[0].close()


def test_a_port_that_a_stranger_took_for_a_moment_is_given_up_too(home: Path) -> None:
    """Another installation that looks for a port listens at each for a moment, which can be when Milvus binds."""

    def hold_its_port(line: str) -> None:
        lines.append(line)
        if line.startswith("search: starting"):
            record = read_records(home)["milvus"]
            with wait_for(lambda: listen(record.port)):
                wait_for(lambda: not is_running(record))

    lines: list[str] = []
    start_services(home, ("milvus", "serving"), report=hold_its_port)
    assert holds_its_port(read_records(home)["milvus"])
    assert sum("somebody else took port" in line for line in lines) == 1


def test_what_a_stranger_answers_is_not_believed(home: Path) -> None:
    """The process of a service runs, but another one listens at its address."""
    start_services(home, ("serving",))
    records = read_records(home)
    with socket.create_server((HOST, 0)) as listener:
        elsewhere = f"http://{HOST}:{listener.getsockname()[1]}"
        write_records(home, {"milvus": replace(records["serving"], address=elsewhere)} | records)
        assert {state.name: state.state for state in service_states(home)}["milvus"] == "starting"
        with pytest.raises(UserError, match="does not listen"):
            _ = Settings(home=home).milvus_address


def test_a_server_that_holds_its_port_but_does_not_answer_yet_is_starting(home: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        server = subprocess.Popen(["sleep", "60"], stdin=listener.fileno(), start_new_session=True)
    try:
        record = ServiceRecord(server.pid, start_of_process(server.pid), address, "log")
        assert holds_its_port(record)
        assert not KINDS["milvus"].answers(home, record, 0.0)
    finally:
        server.kill()
        server.wait()


def test_a_database_of_another_installation_is_refused(home: Path, tmp_path: Path) -> None:
    start_services(home, ("milvus",))
    other = tmp_path / "other"
    write_records(other, {"milvus": replace(read_records(home)["milvus"], home=str(other))})
    (other / INSTALLATION_ID).write_text("another")
    with pytest.raises(UserError, match="the Milvus of another installation"):
        open_store(Settings(home=other))
    assert open_store(Settings(home=home)).names() == []
    assert MilvusStore(read_records(home)["milvus"].address).names() == []


def test_two_servers_never_share_a_port(tmp_path: Path) -> None:
    first = start_server(tmp_path / "first.db")
    try:
        command = server_command(tmp_path / "second.db", int(first.uri.rpartition(":")[2]))
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert second.returncode != 0
        assert "bind" in second.stderr
    finally:
        first.stop()


def test_a_dead_service_is_named_instead_of_its_database_being_opened(home: Path) -> None:
    """Or a command would hold `milvus.db` when the server wants it back."""
    start_services(home, ("milvus",))
    kill(read_records(home)["milvus"])
    with pytest.raises(UserError, match=r"milvus of .* has ended .*personsearch up"):
        open_store(Settings(home=home))
    stop_services(home)
    assert Settings(home=home).milvus_address == str(home / "milvus.db")


def test_a_running_service_follows_another_to_its_new_address(home: Path) -> None:
    start_services(home, NAMES)
    platforms = Platforms(Settings(home=home))
    platforms.store().create("kept", CollectionProperties("m", "1", "f", "d", embedding_dim=4))
    before = read_records(home)
    kill(before["milvus"])
    taken = wait_for(lambda: listen(before["milvus"].port))
    try:
        start_services(home, NAMES)
        after = read_records(home)
        assert after["milvus"].address != before["milvus"].address
        assert after["serving"] == before["serving"]
        assert platforms.store().names() == ["kept"]
        wait_for(lambda: "no live collection yet" in readiness(after["serving"].address))
    finally:
        taken.close()


def readiness(address: str) -> str:
    with pytest.raises(urllib.error.HTTPError) as unready:
        urllib.request.urlopen(f"{address}/readyz")
    with unready.value as answer:
        return str(json.load(answer)["problem"])


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def test_services_that_were_told_another_address_start_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_services(home, ("serving",))
    before = read_records(home)["serving"]
    monkeypatch.setenv("PERSONSEARCH_MILVUS_URI", "http://user:secret@127.0.0.1:9")
    start_services(home, ("serving",))
    after = read_records(home)["serving"]
    assert (after.pid != before.pid, after.address) == (True, before.address)
    assert "secret" not in (home / RECORDS).read_text()


def test_a_port_is_held_by_a_session_and_not_by_whoever_asks() -> None:
    listener = listen(0)
    assert listener is not None
    with listener:
        port = listener.getsockname()[1]
        assert listen(port) is None
        command = [sys.executable, "-c", "input()"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        assert not holds_port(child.pid, port)
        child.communicate(b"\n")
        heir = subprocess.Popen(["sleep", "60"], stdin=listener.fileno(), start_new_session=True)
    assert holds_port(heir.pid, port)
    heir.kill()
    heir.wait()


def test_a_half_sent_request_does_not_keep_a_service_from_ending_in_order(home: Path) -> None:
    services = start_services(home, ("serving",))
    log = Path(read_records(home)["serving"].log)
    address = urllib.parse.urlsplit(services.serving_uri)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80)) as stalled:
        stalled.sendall(b"POST /v1/search HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
        assert stop_services(home) == ["serving"]
    assert "Finished server process" in log.read_text()


@pytest.mark.parametrize("made_before", [False, True])
def test_what_services_write_is_private(home: Path, made_before: bool) -> None:
    """Also in a folder that was made before, whose mode is its owner's choice."""
    if made_before:
        home.mkdir(mode=0o755)
    start_services(home, ("mlflow", "milvus", "serving"))
    assert oct(home.stat().st_mode & 0o777) == ("0o755" if made_before else "0o700")
    for name in ("gallery", "logs", "milvus.db"):
        assert oct((home / name).stat().st_mode & 0o777) == "0o700"
    for name in ("mlflow.db", "logs/mlflow.log", "api_key", "gallery/gallery.db"):
        assert oct((home / name).stat().st_mode & 0o777) == "0o600"


def test_what_others_can_read_already_is_said(home: Path) -> None:
    (home / "logs").mkdir(parents=True)
    home.chmod(0o755)
    lines: list[str] = []
    start_services(home, (), report=lines.append)
    assert lines == [f"logs: every user of this machine can read it; `chmod -R o= {home.resolve()}` ends that"]
    home.chmod(0o700)
    lines.clear()
    start_services(home, (), report=lines.append)
    assert lines == []


def test_a_gallery_that_cannot_be_opened_is_named_before_anything_starts(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "gallery").write_text("a file where a folder belongs")
    with pytest.raises(UserError, match="gallery: cannot hold a gallery"):
        start_services(home, ["serving"])
    assert service_states(home) == []


def test_a_service_that_cannot_start_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_WATCH_SECONDS", "-1")
    with pytest.raises(UserError, match=r"search ended: .*PERSONSEARCH_WATCH_SECONDS"):
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
    with pytest.raises(UserError, match=r"milvus of .* has ended"):
        running_address(home, "milvus")
    assert stop_services(home) == []
    assert stranger.poll() is None
    assert not is_running(replace(earlier, started=""))


def test_a_copy_of_a_home_leaves_the_services_of_the_original_alone(home: Path, tmp_path: Path) -> None:
    services = start_services(home, ("serving",))
    shutil.copytree(home, tmp_path / "copy")
    assert service_states(tmp_path / "copy") == []
    assert stop_services(tmp_path / "copy") == []
    assert start_services(tmp_path / "copy", ("serving",)).serving_uri != services.serving_uri
    assert stop_services(tmp_path / "copy") == ["serving"]
    assert health(services.serving_uri)["status"] == "alive"
    home.rename(tmp_path / "moved")
    assert stop_services(tmp_path / "moved") == ["serving"]


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
