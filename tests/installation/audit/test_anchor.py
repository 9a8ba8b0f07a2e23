"""Heads of the chain are kept apart from the database, and a chain that differs from them is not believed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.installation.audit.anchor import AnchorSchedule, FolderAnchor, head_of, name_of, open_anchor
from personsearch.installation.audit.chain import Head
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.settings import Settings
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.schema import open_database
from tests.servers.s3 import S3Server


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    database = open_database(f"sqlite:///{tmp_path / 'gallery.db'}")
    yield AuditLog(DatabaseAudit(database))
    database.close()


def head(sequence: int) -> Head:
    return Head(sequence, f"{sequence:064x}")


def test_heads_come_back_in_their_order(tmp_path: Path) -> None:
    anchor = FolderAnchor(tmp_path / "heads")
    assert list(anchor.heads()) == []
    for sequence in (9, 10, 10**11, 2, 9):
        anchor.keep(head(sequence))
    (tmp_path / "heads" / "notes.txt").write_text("not a head")
    assert list(anchor.heads()) == [head(sequence) for sequence in (2, 9, 10, 10**11)]
    assert (tmp_path / "heads" / name_of(head(9))).stat().st_mode & 0o077 == 0


def test_other_names_are_no_heads() -> None:
    assert head_of(name_of(head(7))) == head(7)
    for name in ("", "7-abc.json", f"x-{'0' * 64}.json", f"000000000007-{'0' * 64}", ".json"):
        assert head_of(name) is None


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "heads"):
        with pytest.raises(UserError, match=r"file.*: the head of the audit log cannot be kept: .* a folder expected"):
            FolderAnchor(folder).keep(head(1))
    with pytest.raises(UserError, match="cannot be read"):
        list(FolderAnchor(tmp_path / "file").heads())


def test_the_head_is_kept_at_the_start_on_schedule_and_at_the_end(log: AuditLog, tmp_path: Path) -> None:
    anchor = FolderAnchor(tmp_path / "heads")
    log.append("search", {"query": "red"})
    schedule = AnchorSchedule(log, anchor, interval_seconds=0.05)
    schedule.start()
    heads = [log.head()]
    for query in ("blue", "green"):
        wait_for(anchor, heads)
        log.append("search", {"query": query})
        heads.append(log.head())
    wait_for(anchor, heads)
    log.append("search", {"query": "white"})
    schedule.stop()
    assert list(anchor.heads()) == [*heads, log.head()]
    assert log.verify(anchor.heads()).anchors == 4


def wait_for(anchor: FolderAnchor, heads: list[Head]) -> None:
    deadline = time.monotonic() + 30
    while list(anchor.heads()) != heads:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_head_that_cannot_be_kept_is_counted_and_kept_later(
    log: AuditLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failures = []
    (tmp_path / "heads").write_text("")
    anchor = FolderAnchor(tmp_path / "heads")
    schedule = AnchorSchedule(log, anchor, interval_seconds=60, failed=lambda: failures.append(1))
    schedule.keep()
    assert failures == []  # nothing was searched yet
    log.append("search", {"query": "red"})
    schedule.keep()
    assert failures == [1]
    assert "the head of the audit log cannot be kept" in caplog.text
    (tmp_path / "heads").unlink()
    schedule.keep()
    assert list(anchor.heads()) == [log.head()]


def test_the_place_is_a_setting(tmp_path: Path) -> None:
    assert open_anchor(Settings(home=tmp_path)).place == str(tmp_path / "audit-heads")
    assert open_anchor(Settings(home=tmp_path, audit_anchor=f"{tmp_path}/mounted")).place == f"{tmp_path}/mounted"
    for mistyped in ("ftp://host", "s3:/bucket/heads", "s3:bucket", "S3://bucket"):
        with pytest.raises(UserError, match=rf"'{mistyped}': a folder or s3://BUCKET/PREFIX expected"):
            open_anchor(Settings(home=tmp_path, audit_anchor=mistyped))


def test_heads_are_kept_in_a_bucket(log: AuditLog, s3: S3Server, tmp_path: Path) -> None:
    anchor = open_anchor(Settings(home=tmp_path, audit_anchor=f"{s3.new_place()}/heads"))
    assert list(anchor.heads()) == []
    schedule = AnchorSchedule(log, anchor, interval_seconds=60)
    heads = []
    for query in ("red", "blue"):
        log.append("search", {"query": query})
        heads.append(log.head())
        schedule.keep()
    assert list(anchor.heads()) == heads
    assert log.verify(anchor.heads()).anchors == 2
    assert log.verify([*anchor.heads(), head(9)]).reason


def test_a_bucket_that_cannot_be_used_is_named(s3: S3Server, tmp_path: Path) -> None:
    anchor = open_anchor(Settings(home=tmp_path, audit_anchor="s3://no-such-bucket/heads"))
    for use in (lambda: anchor.keep(head(1)), lambda: list(anchor.heads())):
        with pytest.raises(UserError, match="s3://no-such-bucket/heads: the bucket does not exist"):
            use()
