"""Bad days of real engines: each failure says what to do and is counted, and nothing that was acknowledged is lost.

Other tests have the rest of the table in docs/bad-days.md: objects/test_outage.py and test_pictures.py (S3),
database/test_schema.py (older schemas), mlflow/test_connection.py, serving/test_webhooks.py (clocks).
"""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pymilvus import MilvusException

from personsearch.errors import EngineFailed, engine_failures, with_advice
from personsearch.gallery.store import Gallery
from personsearch.integrations.database import patience
from personsearch.integrations.database.advice import POSTGRESQL, SQLITE, UNREACHABLE
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.milvus.connection import ADVICE as MILVUS_ADVICE
from personsearch.integrations.milvus.connection import readable_errors
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.integrations.mlflow.connection import ADVICE as MLFLOW_ADVICE
from personsearch.integrations.mlflow.connection import connect
from personsearch.integrations.mlflow.registry import ModelRegistry
from personsearch.integrations.objects.open import open_pictures
from personsearch.integrations.objects.s3 import REASONS
from personsearch.search.filters import CropFilter
from tests.docs.pages import ROOT
from tests.gallery.builds import crop, jpeg
from tests.servers.milvus_lite_server import start_server
from tests.servers.s3 import S3Server


class Acknowledged:
    """A gallery, and the crops that it has acknowledged."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.numbers: list[int] = []

    def add(self) -> None:
        number = 1 + max(self.numbers, default=0)
        self.gallery.add([(crop(number), jpeg(number))])
        self.numbers.append(number)

    def fails(self, words: str) -> None:
        """A crop more is refused with words that say what to do, and is counted."""
        before = engine_failures()["database"]
        with pytest.raises(EngineFailed, match=words) as refused:
            self.add()
        assert refused.value.engine == "database"
        assert "secret" not in str(refused.value)
        assert engine_failures()["database"] > before

    def check(self) -> None:
        """Everything that was acknowledged is there, and crops can be added again."""
        self.add()
        assert {each.crop_id for each in self.gallery.crops()} == {crop(number).crop_id for number in self.numbers}
        assert all(self.gallery.picture(each) for each in self.gallery.crops())


@pytest.fixture
def address(new_prepared_postgresql: Callable[[], str]) -> str:
    return new_prepared_postgresql()


@pytest.fixture
def owner(address: str) -> Iterator[Callable[[str], object]]:
    """Runs a statement as the owner of the server."""
    engine = sa.create_engine(sa.make_url(address).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")

    def run(statement: str) -> object:
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return result.scalar() if result.returns_rows else None

    yield run
    engine.dispose()


@pytest.fixture
def acknowledged(address: str, tmp_path: Path) -> Acknowledged:
    opened = Acknowledged(gallery_in(tmp_path / "gallery", address))
    opened.add()
    return opened


def refusal(act: Callable[[], object]) -> str | None:
    """What an engine says if it refuses."""
    try:
        act()
    except EngineFailed as error:
        return str(error)
    return None


def end_connections(owner: Callable[[str], object]) -> None:
    """As a server does that is told to change for everybody."""
    owner(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_a_read_only_server(acknowledged: Acknowledged, owner: Callable[[str], object], address: str) -> None:
    name = sa.make_url(address).database
    owner(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    end_connections(owner)
    acknowledged.fails("read-only transaction; the server is read-only, as a standby is: let PERSONSEARCH_DATABASE")
    owner("SET default_transaction_read_only = off")
    owner(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    end_connections(owner)
    acknowledged.check()


def test_connections_that_the_server_ends_are_made_again(
    acknowledged: Acknowledged, owner: Callable[[str], object]
) -> None:
    for _ in range(3):
        end_connections(owner)
        acknowledged.check()


def test_a_server_that_is_killed_and_started_again(acknowledged: Acknowledged, owner: Callable[[str], object]) -> None:
    """Kill -9 of the process that writes: PostgreSQL ends every connection, recovers, and answers again."""
    writer = int(str(owner("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")))
    os.kill(writer, signal.SIGKILL)
    refusals = []
    while (error := refusal(acknowledged.add)) is not None:
        refusals.append(error)
        assert len(refusals) < 600
        time.sleep(0.2)
    assert all(words in error for error in refusals for words in (str(acknowledged.gallery.rows.place), "; "))
    acknowledged.check()


@contextmanager
def stopped(owner: Callable[[str], object]) -> Iterator[None]:
    """The server and all its processes are stopped, as on a machine that hangs; they continue afterwards."""
    server = int((Path(str(owner("SHOW data_directory"))) / "postmaster.pid").read_text().split()[0])
    os.kill(server, signal.SIGSTOP)
    children = [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]
    try:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in (*children, server):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_a_server_that_is_stopped_is_not_waited_for_and_used_again(
    acknowledged: Acknowledged, owner: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.5)
    with stopped(owner):
        for words in ("the server does not answer|no answer for", "connection timeout expired|no answer for"):
            start = time.monotonic()
            acknowledged.fails(f"({words}).*; start the server, or correct address, user and password in PERSON")
            assert time.monotonic() - start < 60
    monkeypatch.undo()
    time.sleep(patience.KNOWN_SECONDS)
    acknowledged.check()


def test_a_lock_is_waited_for_as_long_as_the_server_answers_others(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    answers = patience.Server.answers

    def counted(*arguments: Any) -> bool:
        asked.append(answers(*arguments))
        return asked[-1]

    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(patience.Server, "answers", counted)
    one, two = Database(address), Database(address)
    taken = threading.Event()

    def wait() -> None:
        with two.held("build"):
            taken.set()

    waiting = threading.Thread(target=wait)
    with one.held("build"):
        waiting.start()
        deadline = time.monotonic() + 120
        while len(asked) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not taken.is_set()
    waiting.join()
    assert taken.is_set()
    assert all(asked)
    for database in (one, two):
        database.close()


def test_a_user_who_may_not_write(acknowledged: Acknowledged, owner: Callable[[str], object], address: str) -> None:
    name = f"reader_{sa.make_url(address).database}"
    owner(f"CREATE ROLE {name} LOGIN")
    owner(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    theirs = sa.make_url(address).set(username=name).render_as_string(hide_password=False)
    reader = Acknowledged(gallery_in(acknowledged.gallery.folder, theirs))
    reader.numbers = [1]
    reader.fails("permission denied for table pending_pictures; grant this user SELECT and INSERT, and UPDATE")
    acknowledged.check()


def test_a_changed_password(acknowledged: Acknowledged, owner: Callable[[str], object], address: str) -> None:
    """Connections that are open stay; the next one is refused, and the new password is believed at once."""
    name = f"site_{sa.make_url(address).database}"
    owner(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'first-secret'")
    hba = Path(str(owner("SHOW hba_file")))
    before = hba.read_text()
    try:
        hba.write_text(f"local all {name} scram-sha-256\n{before}")
        owner("SELECT pg_reload_conf()")
        theirs = {
            secret: sa.make_url(address).set(username=name, password=secret).render_as_string(hide_password=False)
            for secret in ("first-secret", "second-secret")
        }
        site = Acknowledged(gallery_in(acknowledged.gallery.folder, theirs["first-secret"]))
        site.numbers = acknowledged.numbers
        site.add()
        owner(f"ALTER ROLE {name} PASSWORD 'second-secret'")
        site.add()
        end_connections(owner)
        site.fails("password authentication failed.*; .*correct address, user and password in PERSONSEARCH_DATABASE")
        site.gallery = gallery_in(acknowledged.gallery.folder, theirs["second-secret"])
        site.check()
    finally:
        hba.write_text(before)
        owner("SELECT pg_reload_conf()")


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of so many MiB."""
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted: root is needed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(acknowledged: Acknowledged, owner: Callable[[str], object], address: str) -> None:
    hba = Path(str(owner("SHOW hba_file")))
    name = f"small_{sa.make_url(address).database}"
    with small_disk(hba.parent / name, 16) as disk:
        os.chown(disk, hba.stat().st_uid, hba.stat().st_gid)
        owner(f"CREATE TABLESPACE {name} LOCATION '{disk}'")
        owner(f"ALTER TABLE crops SET TABLESPACE {name}")
        filling = disk / "filling"
        fill(filling)
        while (error := refusal(acknowledged.add)) is None:
            assert len(acknowledged.numbers) < 1000
        assert "No space left on device; free disk space on the server" in error
        filling.unlink()
        acknowledged.check()
        owner("ALTER TABLE crops SET TABLESPACE pg_default")
        owner(f"DROP TABLESPACE {name}")


def test_a_full_disk_of_pictures_in_a_folder(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acknowledged = Acknowledged(gallery_in(tmp_path / "gallery", address))
    acknowledged.add()
    acknowledged.add()
    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", torn_write)
        before = engine_failures()["pictures"]
        with pytest.raises(EngineFailed, match="a picture cannot be written: the disk is full; free space on it"):
            acknowledged.add()
        assert engine_failures()["pictures"] == before + 1
        acknowledged.gallery.erase(CropFilter(crop_ids=(crop(1).crop_id,)))
        acknowledged.numbers.remove(1)
    acknowledged.check()
    held = {acknowledged.gallery.pictures.address(each.image_uri) for each in acknowledged.gallery.crops()}
    assert {str(path) for path in (tmp_path / "gallery").rglob("*.jp*")} == held


def torn_write(path: Path, content: bytes) -> int:
    """What a file system does that has room for half of a file."""
    with path.open("wb") as file:
        file.write(content[: len(content) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


LOOK = """
import sys
from personsearch.integrations.objects.open import open_pictures
open_pictures(sys.argv[1]).check()
"""


def test_a_store_whose_client_has_a_clock_that_is_minutes_off(s3: S3Server) -> None:
    if shutil.which("faketime") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("faketime is missing: run infra/require_rtsp.sh as root")
        pytest.skip("faketime is missing")
    place = s3.new_place()
    open_pictures(place).check()
    ahead = ["faketime", "-f", "+40m", sys.executable, "-c", LOOK, place]
    looked = subprocess.run(ahead, capture_output=True, text=True, check=False, timeout=300)
    assert f"{place}: this machine's clock is minutes off; set it right" in looked.stderr


def test_a_store_that_stalls_is_waited_for_so_long_and_used_again(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personsearch.integrations.objects.s3.TIMEOUT_SECONDS", 2)
    monkeypatch.setattr("personsearch.integrations.objects.s3.RETRIES", 0)
    acknowledged = Acknowledged(gallery_in(tmp_path / "gallery", None, s3.new_place()))
    acknowledged.add()
    assert s3.process is not None
    s3.process.send_signal(signal.SIGSTOP)
    try:
        before = engine_failures()["pictures"]
        error = refusal(acknowledged.add)
        assert error is not None
        assert f"{s3.endpoint} did not answer within 2 s" in error
        assert engine_failures()["pictures"] > before
    finally:
        s3.process.send_signal(signal.SIGCONT)
    acknowledged.check()


def test_a_milvus_that_is_stopped_is_not_waited_for_and_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server(tmp_path / "milvus.db")
    try:
        monkeypatch.setattr("personsearch.integrations.milvus.connection.ANSWER_SECONDS", 2)
        store = MilvusStore(server.uri)
        server.process.send_signal(signal.SIGSTOP)
        try:
            error = refusal(store.names)
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert error is not None
        assert "Deadline Exceeded; the server is overloaded or stopped" in error
        deadline = time.monotonic() + 120
        while (said := refusal(store.names)) is not None:
            assert time.monotonic() < deadline, said
    finally:
        server.stop()


@pytest.fixture
def registry_file(tmp_path: Path) -> Iterator[Path]:
    """MLflow's database in a file, with a model, on a disk of 4 MiB."""
    with small_disk(tmp_path / "small", 4) as disk:
        file = disk / "mlflow.db"
        connect(f"sqlite:///{file}").create_registered_model("personsearch", {"made": "before"})
        yield file


def test_mlflow_with_a_full_disk_and_with_an_older_schema(registry_file: Path) -> None:
    address, folder = f"sqlite:///{registry_file}", registry_file.parent
    registry = ModelRegistry(address, "personsearch", cache=folder / "cache")
    fill(folder / "filling")
    before = engine_failures()["registry"]
    error = refusal(lambda: tag_again_and_again(registry))
    assert error is not None
    assert "disk is full; free disk space on MLflow's server" in error
    assert engine_failures()["registry"] > before
    (folder / "filling").unlink()
    assert registry._client.get_registered_model("personsearch").tags["made"] == "before"
    with sqlite3.connect(registry_file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    older = [sys.executable, "-m", "personsearch", "promote", "1", "--no-index"]
    environment = os.environ | {"PERSONSEARCH_HOME": str(folder / "home"), "PERSONSEARCH_MLFLOW_URI": address}
    told = subprocess.run(older, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == 2
    assert "back up MLflow's database, then run `mlflow db upgrade` on it" in told.stderr


def tag_again_and_again(registry: ModelRegistry) -> None:
    for number in range(1000):
        with registry._readable_errors("tag the model"):
            registry._client.set_registered_model_tag("personsearch", f"tag {number}", "x" * 1000)


def fill(file: Path) -> None:
    """Take what a disk has left."""
    with suppress(OSError), file.open("wb", buffering=0) as output:
        while output.write(bytes(2**12)) == 2**12:
            pass


def test_the_page_has_every_line() -> None:
    page = " ".join((ROOT / "docs/bad-days.md").read_text().replace("`", "").split())
    tables = (SQLITE, POSTGRESQL, REASONS, MILVUS_ADVICE, MLFLOW_ADVICE)
    lines = {line.replace("`", "") for table in tables for line in table.values()} | {UNREACHABLE}
    assert [line for line in sorted(lines) if line not in page] == []


@pytest.mark.parametrize(
    ("said", "do"),
    [  # what a Milvus server says (internal/proxy, pkg/util/merr)
        ("auth check failure, please check username and password are correct", "correct PERSONSEARCH_MILVUS_TOKEN"),
        ("PrivilegeUpsert: permission deny to ann in the `default` database", "grant this user"),
        ("quota exceeded[reason=disk quota exceeded, please allocate more resources]", "give it more disk"),
        ("[Errno 28] No space left on device", "free disk space where Milvus keeps its files"),
        ("quota exceeded[reason=memory quota exceeded, please allocate more resources]", "give it more memory"),
        ("request is rejected by grpc RateLimiter middleware: rate limit exceeded[rate=1]", "slower than the load"),
        ("Fail connecting to server on 10.0.0.7:19530, illegal connection params or server unavailable", "start the"),
    ],
)
def test_what_milvus_refuses_comes_with_what_to_do(said: str, do: str) -> None:
    before = engine_failures()["vectors"]
    with (
        pytest.raises(EngineFailed, match=f"Milvus cannot write to 'persons': .*; .*{do}") as refused,
        readable_errors("http://10.0.0.7:19530", "write to 'persons'"),
    ):
        raise MilvusException(message=said)
    assert (refused.value.engine, engine_failures()["vectors"]) == ("vectors", before + 1)


@pytest.mark.parametrize(
    ("said", "do"),
    [
        ("API request to /api/2.0/mlflow/registered-models/alias failed with error code 401 != 200", "PASSWORD"),
        ("API request to endpoint /x failed with error code 403 != 200. Response body: ''", "let this user edit"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "make MLflow's database writable"),
        ("(sqlite3.OperationalError) database or disk is full", "free disk space on MLflow's server"),
        ("Detected out-of-date database schema (found version a, but expected b).", "run `mlflow db upgrade` on it"),
        ("HTTPConnectionPool(host='x', port=1): Read timed out. (read timeout=120)", "overloaded or stopped"),
        ("HTTPConnectionPool(host='x', port=1): Max retries exceeded (too many 503 error responses)", "its log says"),
        ("model 'x' has no version '7'", ""),
    ],
)
def test_what_mlflow_refuses_comes_with_what_to_do(said: str, do: str) -> None:
    told = with_advice(said, MLFLOW_ADVICE)
    assert told.startswith(said.rstrip("."))
    assert do in told.removeprefix(said.rstrip("."))
    assert (told == said) == (not do)
