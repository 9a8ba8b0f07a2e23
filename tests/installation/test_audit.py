"""The audit log keeps every acknowledged record, survives a killed writer, and shows every change made afterwards."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.errors import UserError
from personsearch.installation.audit import GENESIS, AuditLog, AuditUnavailable, verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_records_form_a_chain(path: Path) -> None:
    log = AuditLog(path)
    hashes = [log.append("search", {"query": text}) for text in ("a red coat", "灰色夹克 🧥", "")]
    written = records(path)
    assert [record["sequence"] for record in written] == [1, 2, 3]
    assert [record["previous"] for record in written] == [GENESIS, *hashes[:2]]
    assert written[1]["query"] == "灰色夹克 🧥"
    report = verify(path, expected_head=hashes[1])
    assert (report.records, report.head, report.intact, report.torn_end) == (3, hashes[2], True, False)


def test_a_record_is_found_by_its_event_and_request_id(path: Path) -> None:
    log = AuditLog(path)
    assert log.find("search", "a") is None
    for event, request_id, n in (("search", "a", 1), ("verdict", "a", 2), ("search", "b", 3), ("search", "a", 4)):
        log.append(event, {"request_id": request_id, "query": 'is "request_id": "c" this?', "n": n})
    with path.open("ab") as file:
        file.write(b'{"request_id": "a", "torn')
    found = [log.find(event, request_id) for event, request_id in (("search", "a"), ("verdict", "a"), ("search", "b"))]
    assert [record and record["n"] for record in found] == [4, 2, 3]
    assert log.find("search", "c") is None
    assert log.find("search", "") is None


@pytest.mark.parametrize("length", [10, 65_000, 65_536, 200_000])
def test_a_record_is_found_across_blocks(path: Path, length: int) -> None:
    log = AuditLog(path)
    for n in range(4):
        log.append("search", {"padding": "é" * (length // 2), "request_id": f"r{n}", "more": "x" * length})
    found = [log.find("search", f"r{n}") for n in range(4)]
    assert [record and record["sequence"] for record in found] == [1, 2, 3, 4]


def test_only_the_owner_may_read_it(path: Path) -> None:
    AuditLog(path).append("search", {})
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_writer_continues_the_chain(path: Path) -> None:
    first, second = AuditLog(path), AuditLog(path)
    for log in (first, second, first, AuditLog(path)):
        log.append("search", {})
    assert verify(path).records == 4


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace("blue", "grey"), *lines[2:]], 2),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
        (lambda lines: [lines[0], "{}", *lines[1:]], 3),
        (lambda lines: [lines[0], lines[1][:20], *lines[2:]], 3),
    ],
    ids=["changed", "removed", "reordered", "repeated", "inserted", "cut"],
)
def test_every_change_breaks_the_chain(path: Path, change, line: int) -> None:
    log = AuditLog(path)
    for colour in ("red", "blue", "green", "white"):
        log.append("search", {"query": colour})
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    report = verify(path)
    assert not report.intact
    assert report.broken_line == line


def test_records_cut_off_the_end_are_missed_by_who_kept_the_head(path: Path) -> None:
    log = AuditLog(path)
    head = [log.append("search", {"n": n}) for n in range(3)][-1]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert verify(path).intact
    assert not verify(path, expected_head=head).intact


@given(cut=st.integers(min_value=1, max_value=400), again=st.integers(min_value=0, max_value=300))
def test_a_torn_end_is_sealed_and_the_log_goes_on(tmp_path_factory, cut: int, again: int) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    log = AuditLog(path)
    for n in range(3):
        log.append("search", {"n": n})
    last = len(path.read_bytes().splitlines(keepends=True)[-1])
    os.truncate(path, path.stat().st_size - min(cut, last - 1))
    assert verify(path).torn_end
    AuditLog(path).append("search", {"n": 3})
    if again:  # a second kill, in the middle of the seal or of the record behind it
        torn_at = max(path.read_bytes().rfind(b'{"n": 1'), path.stat().st_size - again)
        os.truncate(path, max(torn_at, 1))
        AuditLog(path).append("search", {"n": 4})
    report = verify(path)
    assert report.intact, report.reason
    assert report.seals >= 1
    assert records_that_parse(path)[-1]["n"] == (4 if again else 3)


def records_that_parse(path: Path) -> list[dict[str, object]]:
    parsed = []
    for line in path.read_text().splitlines():
        try:
            parsed.append(json.loads(line))
        except ValueError:
            continue
    return parsed


def test_a_changed_last_record_is_not_built_upon(path: Path) -> None:
    AuditLog(path).append("search", {"query": "red"})
    path.write_text(path.read_text().replace("red", "blu"))
    with pytest.raises(AuditUnavailable, match="last record was changed"):
        AuditLog(path).append("search", {})


def test_a_full_disk_refuses_and_recovers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(path)
    log.append("search", {"n": 1})
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    with pytest.raises(AuditUnavailable, match="bytes were written"):
        log.append("search", {"n": 2})
    monkeypatch.undo()
    log.append("search", {"n": 3})
    report = verify(path)
    assert report.intact
    assert report.seals == 1


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditUnavailable):
        AuditLog(tmp_path / "file" / "audit.jsonl").append("search", {})
    with pytest.raises(UserError, match="cannot be read"):
        verify(tmp_path / "absent.jsonl")


def test_threads_and_processes_share_one_chain(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from personsearch.installation.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "for n in range(40): log.append('search', {'n': n})"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(2)]
    log = AuditLog(path)
    threads = [threading.Thread(target=lambda: [log.append("search", {"n": n}) for n in range(20)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    report = verify(path)
    assert (report.records, report.intact) == (140, True)


def test_kill_in_the_middle_of_writing_loses_no_acknowledged_record(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from personsearch.installation.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1])); n = 0\n"
        "while True:\n"
        "    log.append('search', {'n': n, 'padding': 'x' * 5000}); print(n, flush=True); n += 1"
    )
    acknowledged = -1
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)
        process.kill()
        lines = [int(line) for line in process.stdout.read().split() if line.isdigit()]
        process.wait()
        acknowledged = max([acknowledged, *lines])
    AuditLog(path).append("search", {"n": -1})
    assert verify(path).intact
    assert acknowledged in {record.get("n") for record in records_that_parse(path)}


def test_damaged_records_at_the_end_are_no_torn_line(path: Path) -> None:
    log = AuditLog(path)
    for n in range(3):
        log.append("search", {"n": n})
    path.write_bytes(path.read_bytes().replace(b'"n": 2', b'"n" 2'))
    report = verify(path)
    assert (report.records, report.intact) == (2, False)
    assert "no part of a log" in report.reason


def test_a_file_of_something_else_is_not_intact(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xb3\x00 a video\nor a picture")
    assert not verify(path).intact
