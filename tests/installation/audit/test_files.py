"""A log leaves the database as a file that can be checked anywhere, and comes into it from an earlier version."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.installation.audit import files
from personsearch.installation.audit.chain import Head
from personsearch.installation.audit.files import carry_file, export_file, verify_file
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.audit.opening import carry_earlier_log, open_audit
from personsearch.installation.settings import Settings
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.schema import open_database
from tests.audit import write_earlier_log

QUERIES = [{"request_id": f"s{n}", "query": text} for n, text in enumerate(("red", "灰色夹克 🧥", "green", "white"))]


@pytest.fixture
def settings(tmp_path: Path, database_address: str) -> Settings:
    return Settings(home=tmp_path / "home", database=database_address)


@pytest.fixture
def log(settings: Settings) -> Iterator[AuditLog]:
    database = open_database(settings.database_address)
    yield AuditLog(DatabaseAudit(database))
    database.close()


def test_an_export_is_checked_as_a_file(log: AuditLog, tmp_path: Path) -> None:
    hashes = [log.append("search", values) for values in QUERIES]
    file = tmp_path / "export.jsonl"
    assert export_file(log, file) == 4
    assert file.stat().st_mode & 0o777 == 0o600
    report = verify_file(file, expected_head=hashes[1])
    assert (report.records, report.head, report.intact) == (4, hashes[3], True)
    assert [json.loads(line)["query"] for line in file.read_text().splitlines()] == [each["query"] for each in QUERIES]
    (tmp_path / "absent").write_text("")
    with pytest.raises(UserError, match=r"absent/export\.jsonl: cannot be written: .* a folder expected"):
        export_file(log, tmp_path / "absent" / "export.jsonl")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace("灰", "红"), *lines[2:]], 2),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
        (lambda lines: [lines[0], "{}", *lines[1:]], 3),
        (lambda lines: [lines[0], lines[1][:20], *lines[2:]], 3),
    ],
    ids=["changed", "removed", "reordered", "repeated", "inserted", "cut"],
)
def test_every_change_of_a_file_is_seen(tmp_path: Path, change, line: int) -> None:
    path = tmp_path / "audit.jsonl"
    write_earlier_log(path, QUERIES)
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    report = verify_file(path)
    assert (report.intact, report.broken_at) == (False, line)


def test_records_cut_off_the_end_of_a_file_are_missed_by_who_kept_the_head(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    head = write_earlier_log(path, QUERIES)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert verify_file(path).intact
    assert not verify_file(path, expected_head=head.hash).intact


def test_what_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write_earlier_log(path, QUERIES)
    path.write_bytes(path.read_bytes().replace(b'"query": "white"', b'"query" "white"'))
    report = verify_file(path)
    assert (report.records, report.intact) == (3, False)
    assert "no part of a log" in report.reason
    empty = {"sequence": 1, "event": "search", "previous": "", "hash": ""}
    for text in (b"\xb3\x00 a video\nor a picture", b"[" * 100_000, json.dumps(empty | {"query": "\ud800"}).encode()):
        path.write_bytes(text + b"\n")
        assert not verify_file(path).intact
    with pytest.raises(UserError, match="cannot be read: no such file"):
        verify_file(tmp_path / "absent")


@pytest.mark.parametrize("torn_end", ["", '{"query": "cut'], ids=["clean end", "torn end"])
@pytest.mark.parametrize("torn", ["", '{"query": "to', '{"a": 1} (torn)\n{"torn_by'], ids=["whole", "torn", "twice"])
def test_an_earlier_log_is_carried_into_the_database_to_the_byte(
    settings: Settings, log: AuditLog, tmp_path: Path, torn: str, torn_end: str
) -> None:
    path = settings.audit_path
    head = write_earlier_log(path, QUERIES, torn=torn, torn_end=torn_end)
    before = path.read_bytes()
    assert carry_earlier_log(settings) == 4 + bool(torn)
    assert carry_earlier_log(settings) == 0
    report = log.verify(expected_head=head.hash)
    assert (report.intact, report.seals) == (True, bool(torn) + bool(torn_end))
    assert log.find("search", "s1") == next(record for record in log.records() if record.get("request_id") == "s1")
    log.append("search", {"query": "the next"})
    export_file(log, tmp_path / "export.jsonl")
    exported = (tmp_path / "export.jsonl").read_bytes()
    assert exported.startswith(before + (b" (torn)\n" if torn_end else b""))
    assert verify_file(tmp_path / "export.jsonl", expected_head=head.hash).intact
    assert not path.exists()
    assert path.with_name("audit.migrated.jsonl").read_bytes() == before


def test_an_embedded_database_takes_over_the_log_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(home=tmp_path)
    head = write_earlier_log(settings.audit_path, QUERIES)
    with caplog.at_level(logging.WARNING):
        log = open_audit(settings)
    assert log.head() == head
    assert "its 4 records are in the database now. The file is audit.migrated.jsonl from now on" in caplog.text
    assert open_audit(settings).head() == head


def test_a_server_waits_for_the_command(tmp_path: Path, new_postgresql) -> None:
    from personsearch.integrations.database.engine import Database
    from personsearch.integrations.database.schema import migrate

    settings = Settings(home=tmp_path, database=new_postgresql())
    migrate(Database(settings.database_address))
    head = write_earlier_log(settings.audit_path, QUERIES)
    with pytest.raises(UserError, match=r"audit\.jsonl: the audit log of an earlier version; `personsearch migrate` c"):
        open_audit(settings)
    assert carry_earlier_log(settings) == 4
    assert open_audit(settings).head() == head


def test_a_log_that_was_carried_before_its_name_changed_is_not_carried_twice(settings: Settings, log: AuditLog) -> None:
    """As a process leaves it that was killed between the two."""
    head = write_earlier_log(settings.audit_path, QUERIES)
    written = settings.audit_path.read_bytes()
    carry_file(log, settings.audit_path)
    settings.audit_path.write_bytes(written)
    log.append("search", {"query": "the next"})
    carry_file(log, settings.audit_path)
    assert [record["event"] for record in log.records()] == ["search"] * 5
    assert log.verify(expected_head=head.hash).intact
    names = {path.name for path in settings.home.glob("audit*")}
    assert names == {"audit.migrated.jsonl", "audit.migrated-2.jsonl"}


def test_a_killed_migration_has_changed_nothing_and_runs_again(settings: Settings, log: AuditLog) -> None:
    head = write_earlier_log(settings.audit_path, QUERIES * 500)
    script = (
        "import sys; from pathlib import Path\n"
        "from personsearch.installation.audit import files\n"
        "from personsearch.installation.audit.opening import carry_earlier_log\n"
        "from personsearch.installation.settings import Settings\n"
        "from personsearch.integrations.database.audit import AuditTurn\n"
        "add = AuditTurn.add\n"
        "def slow(turn, rows):\n"
        "    add(turn, rows); print('added', flush=True); import time; time.sleep(60)\n"
        "AuditTurn.add = slow\n"
        "carry_earlier_log(Settings(home=Path(sys.argv[1]), database=sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, str(settings.home), settings.database_address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "added\n"
    process.kill()
    process.wait()
    assert settings.audit_path.exists()
    deadline = time.monotonic() + 30  # until the server has noticed
    while log.head() != Head() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert log.head() == Head()
    assert carry_earlier_log(settings) == 2000
    assert log.head() == head
    assert log.verify().intact


def test_two_processes_carry_it_once(settings: Settings, log: AuditLog) -> None:
    head = write_earlier_log(settings.audit_path, QUERIES * 50)
    script = (
        "import sys; from pathlib import Path\n"
        "from personsearch.installation.audit.opening import carry_earlier_log\n"
        "from personsearch.installation.settings import Settings\n"
        "carry_earlier_log(Settings(home=Path(sys.argv[1]), database=sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, str(settings.home), settings.database_address]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert log.head() == head
    assert {path.name for path in settings.home.glob("audit*")} == {"audit.migrated.jsonl"}


def test_whoever_comes_late_finds_nothing_to_carry(settings: Settings, log: AuditLog) -> None:
    settings.home.mkdir()
    assert carry_file(log, settings.audit_path) == 0
    assert list(settings.home.glob("audit*")) == []


def test_a_damaged_log_is_refused_and_kept(settings: Settings, log: AuditLog) -> None:
    write_earlier_log(settings.audit_path, QUERIES)
    settings.audit_path.write_text(settings.audit_path.read_text().replace("red", "blu"))
    with pytest.raises(UserError, match=r"audit\.jsonl: line 1: the record was changed.*Keep the file as evidence"):
        carry_earlier_log(settings)
    assert settings.audit_path.exists()
    assert log.head() == Head()


def test_another_log_is_named_in_the_database_and_kept(
    settings: Settings, log: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    """As a second machine brings it, or a service of an earlier version that still runs."""
    log.append("search", {"query": "first"})
    head = write_earlier_log(settings.audit_path, QUERIES)
    with caplog.at_level(logging.WARNING):
        carry_earlier_log(settings)
    [record] = log.records(files.EARLIER_LOG)
    kept = settings.audit_path.with_name(record["file"])
    assert (record["records"], record["head"]) == (4, head.hash)
    assert verify_file(kept, expected_head=head.hash).intact
    assert log.verify().records == 2
    assert "its records and verdicts stay in the file" in caplog.text
