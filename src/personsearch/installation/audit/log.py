"""The log of an installation, in its database: a record is durable when `append` returns."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from personsearch.errors import UserError
from personsearch.installation.audit.chain import (
    START,
    AuditReport,
    ChainCheck,
    Entry,
    Head,
    hash_record,
    make_record,
    parse,
    to_line,
)
from personsearch.integrations.database.audit import AuditTurn, DatabaseAudit, StoredRecord, searchable

ADVICE = "run `personsearch audit verify`"


class AuditUnavailable(Exception):
    """The log cannot be written or read, so the action to be logged must not happen."""


@dataclass(slots=True)
class _Waiting:
    """A record that a thread wants to append; `hash` or `refused` is set once that was tried."""

    event: str
    values: Mapping[str, Any]
    hash: str = ""
    refused: str = ""


class AuditLog:
    """Appends to the one chain of a database. Any number of threads and processes may do so at once.

    Threads that append at the same time share a transaction: the first in turn writes for all that wait, because what
    an append costs is the flush to disk.
    """

    def __init__(self, stored: DatabaseAudit) -> None:
        self.stored = stored
        self.place = stored.place
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._is_writing = False
        self._seen = START

    def append(self, event: str, values: Mapping[str, Any]) -> str:
        """Add a record. Returns its hash.

        Raises:
            AuditUnavailable: the database cannot be reached or written, or its last record is not the one that it was.
        """
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except ValueError as error:
            raise AuditUnavailable(f"{self.place}: the record cannot be written: {error}") from error
        mine = _Waiting(event, values)
        if batch := self._batch_or_wait(mine):
            try:
                self._write(batch)
            finally:
                with self._changed:
                    self._is_writing = False
                    self._changed.notify_all()
        if mine.refused:
            raise AuditUnavailable(mine.refused)
        return mine.hash

    def find(self, event: str, request_id: str) -> dict[str, Any] | None:
        """The latest record of an event under a request id, None if there is none.

        Raises:
            AuditUnavailable: the database cannot be read.
        """
        try:
            found = self.stored.find(event, request_id)
        except UserError as error:
            raise AuditUnavailable(str(error)) from error
        return None if found is None else parse(found.record)

    def records(self, event: str | None = None, *, after: int = -1) -> Iterator[dict[str, Any]]:
        """The records of an event, or all, that follow the one with number `after`, oldest first.

        Raises:
            UserError: the database cannot be read.
        """
        yield from map(_content, self.stored.records(event, after=after))

    def judged_searches(self) -> Iterator[dict[str, Any]]:
        """The searches whose candidates got a verdict, oldest first.

        Raises:
            UserError: the database cannot be read.
        """
        yield from map(_content, self.stored.judged_searches())

    def head(self) -> Head:
        """The last record.

        Raises:
            UserError: the database cannot be read, or that record was changed.
        """
        return _head(self.stored.last())

    def entries(self) -> Iterator[Entry]:
        """Every record as it is stored, oldest first.

        Raises:
            UserError: the database cannot be read.
        """
        yield from map(_entry, self.stored.records())

    def verify(self, anchored: Iterable[Head] = (), *, expected_head: str | None = None) -> AuditReport:
        """Check every record against its own hash and the one before it, and the chain against heads kept elsewhere.

        Raises:
            UserError: the database cannot be read.
        """
        check = ChainCheck(anchored, expected_head=expected_head)
        for entry in self.entries():
            if reason := check.follow(entry):
                return check.report(broken_at=entry.number, reason=reason)
        return check.report()

    def _batch_or_wait(self, mine: _Waiting) -> list[_Waiting]:
        """What this thread has to write, for itself and for those that wait; nothing if another has written for it."""
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: mine.hash or mine.refused or not self._is_writing)
            if mine.hash or mine.refused:
                return []
            self._is_writing = True
            batch, self._waiting = self._waiting, []
            return batch

    def _write(self, batch: list[_Waiting]) -> None:
        """Write records in one transaction: all of them, or none."""
        refused = f"{self.place}: interrupted"
        try:
            with self.stored.turn() as turn:
                head = continued(turn, self._seen)
                records = []
                for each in batch:
                    records.append(make_record(head, each.event, each.values))
                    head = Head(records[-1]["sequence"], records[-1]["hash"])
                turn.add([to_stored(record) for record in records])
            self._seen, refused = head, ""
            for each, record in zip(batch, records, strict=True):
                each.hash = record["hash"]
        except (UserError, ValueError) as error:
            refused = str(error)
        finally:
            for each in batch:
                each.refused = refused


def continued(turn: AuditTurn, seen: Head = START) -> Head:
    """The head of the chain in a writer's turn; `seen` is one that the caller knows of.

    Raises:
        UserError: the last record was changed, or is older than what the caller has seen.
    """
    head = _head(turn.last)
    if head.sequence < seen.sequence or (head.sequence == seen.sequence and head != seen):
        raise UserError(f"the audit log ends before record {seen.sequence}, which this process has seen; {ADVICE}")
    return head


def to_stored(record: Mapping[str, Any], line: str = "", torn: bytes = b"") -> StoredRecord:
    """A record as a row; `line` is its JSON where that was read from a file."""
    return StoredRecord(
        sequence=record["sequence"],
        event=record["event"],
        request_id=searchable(record.get("request_id")),
        search_request_id=searchable(record.get("search_request_id")),
        record=line or to_line(record),
        torn=torn or None,
    )


def _head(last: StoredRecord | None) -> Head:
    if last is None:
        return START
    entry = _entry(last)
    if entry.fault or entry.record["hash"] != hash_record(entry.record):
        raise UserError(f"the last record of the audit log was changed; {ADVICE}")
    return Head(last.sequence, entry.record["hash"])


def _entry(stored: StoredRecord) -> Entry:
    record, torn = parse(stored.record), stored.torn or b""
    if record is None:
        return Entry(stored.sequence, {}, torn, "the record was changed: it is no record any more")
    if stored != to_stored(record, stored.record, torn):
        return Entry(stored.sequence, record, torn, "a column was changed: it differs from the record")
    return Entry(stored.sequence, record, torn)


def _content(stored: StoredRecord) -> dict[str, Any]:
    record = parse(stored.record)
    if record is None:
        raise UserError(f"record {stored.sequence} of the audit log was changed; {ADVICE}")
    return record
