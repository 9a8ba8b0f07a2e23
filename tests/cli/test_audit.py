"""`personsearch audit` checks and exports the log, and keeps its head, on both databases."""

import errno
import getpass
import json
import os
from pathlib import Path

import pytest

from personsearch.cli import main
from personsearch.installation.api_keys import open_keys
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.settings import Settings
from tests.audit import refused, tamper


@pytest.fixture(autouse=True)
def head(tmp_path: Path, database_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of an installation with two searches."""
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PERSONSEARCH_DATABASE", database_address)
    log = open_audit(Settings())
    return [log.append("search", {"query": query}) for query in ("red", "blue")][-1]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["personsearch", "audit", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_verify_reads_the_database(
    database_address: str, head: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["intact"], report["records"], report["head"], report["anchors"]) == (True, 2, head, 0)
    assert run(monkeypatch, "verify", "--head", "f" * 64) == 1
    tamper(database_address, "UPDATE audit_records SET record = replace(record, 'red', 'green') WHERE sequence = 1")
    assert run(monkeypatch, "verify", "--json") == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["broken_at"] == 1


def test_a_head_that_was_kept_shows_a_cut_end(
    tmp_path: Path,
    database_address: str,
    head: str,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PERSONSEARCH_AUDIT_ANCHOR", str(tmp_path / "elsewhere"))
    assert run(monkeypatch, "anchor", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"sequence": 2, "head": head, "kept": str(tmp_path / "elsewhere")}
    assert run(monkeypatch, "verify", "--json") == 0
    assert json.loads(capsys.readouterr().out)["anchors"] == 1
    tamper(database_address, "DELETE FROM audit_records WHERE sequence = 2")
    assert run(monkeypatch, "verify", "--json") == 1
    assert "was kept of record 2: records were cut off" in json.loads(capsys.readouterr().out)["reason"]


def test_an_export_is_a_record_and_a_file_that_verify_reads(
    tmp_path: Path, head: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "export.jsonl"
    assert run(monkeypatch, "export", str(file), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    last = json.loads(file.read_text().splitlines()[-1])
    assert (told["records"], told["head"]) == (3, last["hash"])
    assert (last["event"], last["file"], last["who"]) == ("export", "export.jsonl", f"local:{getpass.getuser()}")
    assert run(monkeypatch, "verify", str(file), "--head", head, "--json") == 0
    assert json.loads(capsys.readouterr().out)["head"] == told["head"]
    file.write_text(file.read_text().replace("red", "green"))
    assert run(monkeypatch, "verify", str(file), "--json") == 1
    assert json.loads(capsys.readouterr().out)["broken_at"] == 1
    assert run(monkeypatch, "verify", str(tmp_path / "absent")) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_an_export_replaces_an_earlier_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "export.jsonl"
    for _ in range(2):
        assert run(monkeypatch, "export", str(file)) == 0
    assert len(file.read_text().splitlines()) == 4
    for content in (b"SQLite format 3\0", b"[]\n", b"notes\n" + file.read_bytes()):
        other = tmp_path / "other"
        other.write_bytes(content)
        assert run(monkeypatch, "export", str(other)) == 2
        assert "other: holds something else, which would be lost" in capsys.readouterr().err
        assert other.read_bytes() == content
    assert run(monkeypatch, "export", str(tmp_path)) == 2
    assert "is a folder; a file expected" in capsys.readouterr().err
    assert run(monkeypatch, "export", str(tmp_path / "home" / "audit.jsonl")) == 2
    assert "would be taken for the log of an earlier version" in capsys.readouterr().err
    assert run(monkeypatch, "export", str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["records"] == 5


def test_an_export_that_cannot_be_recorded_writes_nothing(
    tmp_path: Path, database_address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with refused(database_address):
        assert run(monkeypatch, "export", str(tmp_path / "export.jsonl")) == 2
    assert "cannot be recorded, so nothing is written" in capsys.readouterr().err
    assert not (tmp_path / "export.jsonl").exists()


def test_where_nothing_was_searched_there_is_no_log_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PERSONSEARCH_DATABASE")
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "new"))
    for command in (["anchor"], ["verify"], ["export", str(tmp_path / "export.jsonl")]):
        assert run(monkeypatch, *command) == 2
        assert "new: no audit log yet; the first search begins it" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    open_keys(Settings())
    assert run(monkeypatch, "anchor", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sequence"], told["kept"]) == (0, None)
    assert not (tmp_path / "new" / "audit-heads").exists()
    assert run(monkeypatch, "verify", "--json") == 0


def test_an_export_to_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write says it, without a name

    monkeypatch.setattr("personsearch.installation.audit.files.export_file", refuse)
    assert run(monkeypatch, "export", str(tmp_path / "out.jsonl")) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "personsearch: the disk is full; free space on it"
