"""The log keeps every acknowledged record, however many write at once, and shows every change made afterwards."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from personsearch.errors import UserError
from personsearch.installation.audit.chain import GENESIS, Head, hash_record, make_record, to_line
from personsearch.installation.audit.log import AuditLog, AuditUnavailable
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.schema import migrate, open_database
from tests.audit import refused, run, tamper

OPEN = (
    "import sys, time\n"
    "from personsearch.installation.audit.log import AuditLog\n"
    "from personsearch.integrations.database.audit import DatabaseAudit\n"
    "from personsearch.integrations.database.schema import open_database\n"
    "log = AuditLog(DatabaseAudit(open_database(sys.argv[1])))\n"
)


@pytest.fixture
def database(database_address: str) -> Iterator[Database]:
    opened = open_database(database_address)
    yield opened
    opened.close()


@pytest.fixture
def address(new_postgresql: Callable[[], str]) -> str:
    """That of a database in a PostgreSQL."""
    return new_postgresql()


@pytest.fixture
def migrated(address: str) -> Iterator[Database]:
    database = Database(address)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def log(database: Database) -> AuditLog:
    return AuditLog(DatabaseAudit(database))


def append(log: AuditLog, *queries: str) -> list[str]:
    return [log.append("search", {"request_id": query, "query": query}) for query in queries]


@contextmanager
def round_trips(database: Database, trace: Path) -> Iterator[Callable[[], int]]:
    """Counts how often the server has said that it is ready for the next message, on connections opened from now on."""
    with trace.open("w") as file:

        def follow(connection: Any, _: object) -> None:
            connection.pgconn.trace(file.fileno())

        database.close()
        sa.event.listen(sa.pool.Pool, "connect", follow)
        try:
            yield lambda: trace.read_text().count("ReadyForQuery")
        finally:
            sa.event.remove(sa.pool.Pool, "connect", follow)
            database.close()


def rows(log: AuditLog) -> list[dict[str, Any]]:
    return list(log.records())


def test_records_form_a_chain(log: AuditLog) -> None:
    hashes = append(log, "a red coat", "灰色夹克 🧥", "")
    written = rows(log)
    assert [record["sequence"] for record in written] == [1, 2, 3]
    assert [record["previous"] for record in written] == [GENESIS, *hashes[:2]]
    assert written[1]["query"] == "灰色夹克 🧥"
    report = log.verify(expected_head=hashes[1])
    assert (report.records, report.head, report.intact) == (3, hashes[2], True)
    assert log.head() == Head(3, hashes[2])


def test_an_empty_log_is_intact(log: AuditLog) -> None:
    assert log.head() == Head(0, GENESIS)
    assert log.verify().intact
    assert rows(log) == []
    assert log.find("search", "a") is None


def test_a_record_is_found_by_its_event_and_request_id(log: AuditLog) -> None:
    for event, request_id, n in (("search", "a", 1), ("verdict", "a", 2), ("search", "b", 3), ("search", "a", 4)):
        log.append(event, {"request_id": request_id, "n": n})
    log.append("calibration", {"change": "fitted"})
    found = [log.find(event, request_id) for event, request_id in (("search", "a"), ("verdict", "a"), ("search", "b"))]
    assert [record and record["n"] for record in found] == [4, 2, 3]
    for absent in ("c", "", "a\0", "'; DROP TABLE audit_records; --"):
        assert log.find("search", absent) is None
    assert [record["n"] for record in log.records("search")] == [1, 3, 4]


def test_the_searches_that_somebody_judged(log: AuditLog) -> None:
    append(log, "a", "b", "c")
    for search, verdict in (("c", "confirmed"), ("a", "rejected"), ("c", "withdrawn")):
        log.append("verdict", {"request_id": f"v-{search}", "search_request_id": search, "verdict": verdict})
    assert [search["request_id"] for search in log.judged_searches()] == ["a", "c"]


def test_a_long_log_is_read_page_by_page(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personsearch.integrations.database.audit.PAGE_ROWS", 3)
    append(log, *(f"query {n}" for n in range(8)))
    assert [record["query"] for record in log.records("search")] == [f"query {n}" for n in range(8)]
    assert log.verify().records == 8


@pytest.mark.parametrize("statement", ["UPDATE audit_records SET record = '{}'", "DELETE FROM audit_records"])
def test_the_database_itself_refuses_to_change_a_record(log: AuditLog, database_address: str, statement: str) -> None:
    append(log, "red")
    with pytest.raises(UserError, match="never changed or removed"):
        run(database_address, statement)
    assert log.verify().records == 1


REPEATED = """INSERT INTO audit_records (sequence, event, request_id, record)
SELECT 3, event, request_id, record FROM audit_records WHERE sequence = 2"""


def swap(first: int, second: int) -> list[str]:
    steps = ((first, -1), (second, first), (-1, second))
    return [f"UPDATE audit_records SET sequence = {to} WHERE sequence = {at}" for at, to in steps]


@pytest.mark.parametrize(
    ("statements", "broken_at"),
    [
        (["UPDATE audit_records SET record = replace(record, 'blue', 'grey') WHERE sequence = 2"], 2),
        (["UPDATE audit_records SET record = 'no record' WHERE sequence = 2"], 2),
        (["UPDATE audit_records SET request_id = 'red' WHERE sequence = 2"], 2),
        (["UPDATE audit_records SET event = 'image' WHERE sequence = 2"], 2),
        (["UPDATE audit_records SET search_request_id = 'red' WHERE sequence = 2"], 2),
        (["DELETE FROM audit_records WHERE sequence = 2"], 3),
        (["DELETE FROM audit_records WHERE sequence = 1"], 2),
        (swap(2, 3), 2),
        (
            [
                "UPDATE audit_records SET sequence = 5 WHERE sequence = 4",
                "UPDATE audit_records SET sequence = 4 WHERE sequence = 3",
                REPEATED,
            ],
            3,
        ),
    ],
    ids=["changed", "overwritten", "request", "event", "search", "removed", "first removed", "reordered", "inserted"],
)
def test_every_change_breaks_the_chain(
    log: AuditLog, database_address: str, statements: list[str], broken_at: int
) -> None:
    append(log, "red", "blue", "green", "white")
    tamper(database_address, *statements)
    report = log.verify()
    assert not report.intact
    assert report.broken_at == broken_at
    assert report.reason


def test_a_cut_end_and_a_chain_written_again_are_missed_by_who_kept_a_head(
    log: AuditLog, database: Database, database_address: str
) -> None:
    first = Head(1, append(log, "red")[0])
    append(log, "blue")
    last = Head(3, append(log, "green")[0])
    assert log.verify([first, last]).anchors == 2
    tamper(database_address, "DELETE FROM audit_records WHERE sequence = 3")
    assert log.verify().intact
    assert "was kept of record 3: records were cut off" in log.verify([first, last]).reason
    assert "does not contain" in log.verify(expected_head=last.hash).reason
    tamper(database_address, "DELETE FROM audit_records")
    append(AuditLog(DatabaseAudit(database)), "nothing", "at", "all", "happened")
    assert log.verify().intact
    report = log.verify([first, last])
    assert (report.broken_at, report.intact) == (1, False)
    assert "was kept of record 1: it was replaced" in report.reason


def test_a_changed_last_record_is_not_built_upon(log: AuditLog, database: Database, database_address: str) -> None:
    append(log, "red")
    tamper(database_address, "UPDATE audit_records SET record = replace(record, 'red', 'blu')")
    for each in (log, AuditLog(DatabaseAudit(database))):
        with pytest.raises(AuditUnavailable, match="last record of the audit log was changed; run `personsearch audit"):
            append(each, "green")


def test_a_writer_notices_that_the_end_was_cut_off(log: AuditLog, database_address: str) -> None:
    append(log, "red", "blue")
    tamper(database_address, "DELETE FROM audit_records WHERE sequence = 2")
    with pytest.raises(AuditUnavailable, match="ends before record 2, which this process has seen"):
        append(log, "green")


def test_a_full_disk_refuses_and_recovers(log: AuditLog, database_address: str) -> None:
    append(log, "red")
    with refused(database_address), pytest.raises(AuditUnavailable, match="full"):
        append(log, "blue")
    append(log, "green")
    assert [record["query"] for record in rows(log)] == ["red", "green"]
    assert log.verify().intact


def test_what_cannot_be_written_is_refused_alone(log: AuditLog) -> None:
    with pytest.raises(AuditUnavailable, match="cannot be written"):
        append(log, "\ud800")
    append(log, "red")
    assert log.verify().records == 1


def test_threads_share_a_transaction(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one flushes, the others wait together, and the next transaction is theirs."""
    turns, started = 0, threading.Event()
    turn = DatabaseAudit.turn

    def counted(stored: DatabaseAudit) -> Any:
        nonlocal turns
        turns += 1
        if turns == 1:
            started.set()
            deadline = time.monotonic() + 30
            while len(log._waiting) < 7 and time.monotonic() < deadline:
                time.sleep(0.01)
        return turn(stored)

    monkeypatch.setattr(DatabaseAudit, "turn", counted)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(append, log, "0")
        started.wait(30)
        others = [pool.submit(append, log, str(n)) for n in range(1, 8)]
        hashes = {each.result()[0] for each in (first, *others)}
    assert turns == 2
    assert {record["hash"] for record in rows(log)} == hashes
    assert log.verify().records == 8


def test_a_transaction_that_fails_is_refused_to_all_of_its_threads(log: AuditLog, database_address: str) -> None:
    with refused(database_address), ThreadPoolExecutor(8) as pool:
        results = [pool.submit(append, log, str(n)) for n in range(8)]
        errors = [each.exception() for each in results]
    assert all(isinstance(error, AuditUnavailable) for error in errors)
    assert rows(log) == []


def test_processes_and_threads_share_one_chain(log: AuditLog, database_address: str) -> None:
    script = OPEN + "for n in range(30): log.append('search', {'n': n})"
    command = [sys.executable, "-c", script, database_address]
    processes = [subprocess.Popen(command) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: append(log, str(n)), range(30)))
    assert [process.wait() for process in processes] == [0] * 3
    report = log.verify()
    assert (report.records, report.intact) == (120, True)


def test_killed_writers_lose_no_acknowledged_record(log: AuditLog, database_address: str) -> None:
    script = OPEN + (
        "n = 0\nwhile True:\n    record = log.append('search', {'padding': 'x' * 5000}); print(record, flush=True)"
    )
    acknowledged: list[str] = []
    for _ in range(2):
        command = [sys.executable, "-c", script, database_address]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for process in processes:
            assert process.stdout is not None
            acknowledged.append(process.stdout.readline().strip())
        time.sleep(0.1)
        for process in processes:
            process.kill()
            assert process.stdout is not None
            acknowledged += [line for line in process.stdout.read().split() if len(line) == 64]
            process.wait()
    append(log, "after")
    assert log.verify().intact
    assert set(acknowledged) <= {record["hash"] for record in rows(log)}


def test_a_writer_that_stands_still_does_not_stop_the_others(
    new_postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = new_postgresql()
    database = Database(address)
    migrate(database)
    monkeypatch.setattr("personsearch.integrations.database.audit.WAIT", "1s")
    script = OPEN + (
        "import personsearch.integrations.database.audit as audit\n"
        "audit.WAIT = '2s'\n"
        "with log.stored.turn() as turn:\n"
        "    print('mine', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, address], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        log = AuditLog(DatabaseAudit(database))
        with pytest.raises(AuditUnavailable, match="another process held the lock for too long"):
            append(log, "red")
        time.sleep(2)  # by then the server has ended its session
        append(log, "blue")
    finally:
        holder.kill()
        holder.wait()
    assert log.verify().records == 1
    database.close()


def test_a_server_that_went_away_and_came_back(new_postgresql: Callable[[], str]) -> None:
    address, elsewhere = new_postgresql(), new_postgresql()
    database = Database(address)
    migrate(database)
    log = AuditLog(DatabaseAudit(database))
    append(log, "red")
    name = sa.make_url(address).database
    gone = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
    run(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", gone)
    with pytest.raises(AuditUnavailable, match="; start the server, or correct address, user and password in PERSONS"):
        append(log, "blue")
    run(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    append(log, "green")
    run(elsewhere, f"ALTER DATABASE {name} SET default_transaction_read_only = on", gone)
    with pytest.raises(AuditUnavailable, match="read-only, as a standby is: let PERSONSEARCH_DATABASE name the primar"):
        append(log, "white")
    assert [record["query"] for record in rows(log)] == ["red", "green"]
    assert log.verify().intact
    database.close()


def test_a_record_is_what_its_hash_says() -> None:
    record = make_record(Head(4, "f" * 64), "search", {"query": "red", "sequence": 99})
    assert (record["sequence"], record["previous"], record["hash"]) == (5, "f" * 64, hash_record(record))
    assert to_line({"query": "灰\n"}) == '{"query": "灰\\n"}'


def test_a_record_costs_two_round_trips(migrated: Database, tmp_path: Path) -> None:
    """BEGIN, limits, lock and last record; INSERT and COMMIT."""
    log = AuditLog(DatabaseAudit(migrated))
    with round_trips(migrated, tmp_path / "trace") as count:
        append(log, *map(str, range(10)))  # the driver prepares a statement that it sees again and again, once
        before = count()
        append(log, *map(str, range(10)))
        assert 0 < count() - before <= 2 * 10
    assert [record["query"] for record in rows(log)] == 2 * [*map(str, range(10))]
    assert log.verify().broken_at is None


def test_a_connection_is_asked_whether_it_lives_after_a_rest(
    migrated: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(DatabaseAudit(migrated))
    with round_trips(migrated, tmp_path / "trace") as count:
        append(log, "red")
        monkeypatch.setattr("personsearch.integrations.database.patience.IDLE_SECONDS", 0.0)
        before = count()
        append(log, "blue")
        assert count() - before == 3


def test_a_session_that_ends_while_nobody_looks_loses_and_repeats_nothing(
    migrated: Database, address: str, new_postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, elsewhere = AuditLog(DatabaseAudit(migrated)), new_postgresql()
    monkeypatch.setattr("personsearch.integrations.database.patience._has_something_to_read", lambda socket: False)
    with migrated.reading() as first, migrated.reading() as second:  # two are kept
        assert first.connection.dbapi_connection is not second.connection.dbapi_connection
    append(log, "red")
    name = sa.make_url(address).database
    run(elsewhere, f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'")
    append(log, "blue")
    assert [record["query"] for record in rows(log)] == ["red", "blue"]


def test_a_connection_that_cannot_leave_its_pipeline_is_not_used_again(
    migrated: Database, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a session is ended while it commits, and the driver hears of it before the connection is closed."""

    def stay(pipeline: psycopg.Pipeline, error: BaseException | None) -> None:
        pipeline.level -= 1
        if error is None:
            raise psycopg.OperationalError("cannot exit pipeline mode while busy")

    log = AuditLog(DatabaseAudit(migrated))
    append(log, "red")
    with refused(address), monkeypatch.context() as busy:
        busy.setattr(psycopg.Pipeline, "_exit", stay)
        with pytest.raises(AuditUnavailable, match="full"):
            append(log, "green")
    append(log, "blue")
    assert [record["query"] for record in rows(log)] == ["red", "blue"]
    assert not caplog.records


def test_a_record_that_the_server_refuses_is_not_quoted_in_its_log(migrated: Database, address: str) -> None:
    log = AuditLog(DatabaseAudit(migrated))
    with migrated.reading() as connection:
        folder = Path(connection.exec_driver_sql("SHOW data_directory").scalar_one())
    with refused(address), pytest.raises(AuditUnavailable, match="full"):
        append(log, "a woman in violet")
    logged = (folder / "log").read_text(errors="replace")
    assert "INSERT INTO audit_records" in logged
    assert "a woman in violet" not in logged


def test_writers_form_one_chain_whatever_isolation_a_server_prefers(migrated: Database, address: str) -> None:
    run(
        address, f"ALTER DATABASE {sa.make_url(address).database} SET default_transaction_isolation = 'repeatable read'"
    )
    migrated.close()
    logs = [AuditLog(DatabaseAudit(migrated)) for _ in range(4)]  # each writes for itself
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda log: append(log, *map(str, range(25))), logs))
    report = logs[0].verify()
    assert (report.records, report.intact) == (100, True)
