"""The log as a file of JSON Lines: exported, checked, and carried into the database from an earlier version.

An earlier version appended to `<home>/audit.jsonl`. A writer of it that was killed left a torn last line; the next one
ended that line with a mark and sealed it.
"""

import logging
from collections.abc import Iterable, Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import BinaryIO

from personsearch.errors import UserError, explain
from personsearch.files import hash_file, locked, replacing
from personsearch.installation.audit.chain import (
    SEAL,
    START,
    AuditReport,
    ChainCheck,
    Entry,
    make_record,
    parse,
    seal_of,
)
from personsearch.installation.audit.log import AuditLog, continued, to_stored
from personsearch.integrations.database.audit import AuditTurn, StoredRecord

logger = logging.getLogger(__name__)

TORN_MARK = b" (torn)\n"  # a seal follows it, so even a line that lacked only its newline must not count as a record
EARLIER_LOG = "earlier_log"
ROWS = 500
LONGEST_LINE = 16_777_216


def verify_file(path: Path, *, expected_head: str | None = None) -> AuditReport:
    """Check every record of a file against its own hash and the one before it.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _verify(file, ChainCheck(expected_head=expected_head))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {explain(error)}") from error


def check_free(path: Path) -> None:
    """Refuse a file for an export that holds anything but an earlier one: a database, say.

    Raises:
        UserError: it does, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(LONGEST_LINE)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {explain(error)}") from error
    if first and parse(first.removesuffix(b"\n")) is None:
        raise UserError(f"{path}: holds something else, which would be lost; a new file or an earlier export expected")


def export_file(log: AuditLog, path: Path) -> int:
    """Write every record to a file that only its owner can read; returns how many there are.

    Raises:
        UserError: the database cannot be read, or the file cannot be written.
    """
    records = 0
    try:
        with replacing(path, mode=0o600) as temporary, temporary.open("wb") as file:
            for stored in log.stored.records():
                torn = stored.torn + TORN_MARK if stored.torn else b""
                file.write(torn + stored.record.encode() + b"\n")
                records += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {explain(error)}") from error
    return records


def carry_file(log: AuditLog, path: Path) -> int:
    """Carry the log of an earlier version into the database, where its chain continues; returns its records.

    All of them are written in one transaction, so a killed migration has changed nothing. A log that is there already
    is not carried again. One whose chain is another than the database's is only named in it, with its hash. The file
    stays, under another name.

    Raises:
        UserError: a record of it was changed, removed or inserted, or the database cannot be written.
    """
    try:
        with locked(path):  # an older version that still runs appends under the same lock
            if path.exists() and path.stat().st_size:
                return _carry(log, path)
            path.unlink(missing_ok=True)  # another process was faster: the lock has made this empty file
            return 0
    except OSError as error:
        raise UserError(f"{path}: cannot be carried into the database: {explain(error)}") from error


def _carry(log: AuditLog, path: Path) -> int:
    report = verify_file(path)
    if not report.intact:
        line = f"line {report.broken_at}: " if report.broken_at else ""
        raise UserError(
            f"{path}: {line}{report.reason}. Keep the file as evidence under another name; "
            "the database then begins a log of its own"
        )
    kept, told = _beside(path, "migrated"), f"its {report.records:,} records are in the database now"
    with log.stored.turn() as turn:
        if turn.last is None:
            _copy(turn, path)
        elif not _holds(log, report):
            kept = _beside(path, report.head[:8])
            told = "the database has another log, which names this one; its records and verdicts stay in the file"
            _name_in(turn, path, kept, report)
    path.rename(kept)
    logger.warning("%s: %s. The file is %s from now on", path, told, kept.name)
    return report.records


def _copy(turn: AuditTurn, path: Path) -> None:
    torn = b""

    def rows() -> Iterator[StoredRecord]:
        nonlocal torn
        for line, entry in _entries(file):
            torn = line if entry is None else b""
            if entry is not None:
                yield to_stored(entry.record, line.decode().removesuffix("\n"), entry.torn)

    with path.open("rb") as file:
        remaining = rows()
        while page := list(islice(remaining, ROWS)):
            turn.add(page)
    if torn := torn.removesuffix(TORN_MARK):
        turn.add([to_stored(make_record(continued(turn), SEAL, seal_of(torn)), torn=torn)])


def _holds(log: AuditLog, report: AuditReport) -> bool:
    """Whether the database's chain contains the file's."""
    stored = log.stored.at(report.records)
    record = None if stored is None else parse(stored.record)
    return report.head == START.hash or (record is not None and record["hash"] == report.head)


def _name_in(turn: AuditTurn, path: Path, kept: Path, report: AuditReport) -> None:
    values = {"file": kept.name, "sha256": hash_file(path), "records": report.records, "head": report.head}
    turn.add([to_stored(make_record(continued(turn), EARLIER_LOG, values))])


def _beside(path: Path, word: str) -> Path:
    """A name for the file that no other has."""
    words = chain([word], (f"{word}-{number}" for number in count(2)))
    return next(free for each in words if not (free := path.with_name(f"{path.stem}.{each}{path.suffix}")).exists())


def _verify(file: BinaryIO, check: ChainCheck) -> AuditReport:
    torn = b""
    for line, entry in _entries(file):
        torn = line if entry is None else b""
        if entry is not None and (reason := check.follow(entry)):
            return check.report(broken_at=entry.number, reason=reason)
    if b"\n" in torn.replace(TORN_MARK, b""):  # a writer ends a line as the last thing it does
        reason = "what follows the last record is no part of a log"
        return check.report(torn_end=True, broken_at=check.head.sequence + 1, reason=reason)
    return check.report(torn_end=bool(torn))


def _entries(lines: Iterable[bytes]) -> Iterator[tuple[bytes, Entry | None]]:
    """Each record with its line; at last, without one, the bytes that follow the last record."""
    torn = b""
    for number, line in enumerate(lines, start=1):
        record = parse(line) if line.endswith(b"\n") else None
        if record is None:
            torn += line
        else:
            yield line, Entry(number, record, torn.removesuffix(TORN_MARK))
            torn = b""
    if torn:
        yield torn, None
