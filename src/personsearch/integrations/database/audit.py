"""Audit records in a database: added one after the other, read in order, never changed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from personsearch.integrations.database.engine import Appending, Database
from personsearch.integrations.database.tables import AUDIT_RECORDS

PAGE_ROWS = 500
WAIT = "10s"  # for others who append; and so long may a process that was stopped keep others from it
COLUMNS = AUDIT_RECORDS.c
LAST = sa.select(AUDIT_RECORDS).order_by(COLUMNS.sequence.desc()).limit(1)
SEARCH, VERDICT = "search", "verdict"


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A row: the record's JSON, what it is found by, and the bytes of a torn line that it seals."""

    sequence: int
    event: str
    request_id: str | None
    search_request_id: str | None
    record: str
    torn: bytes | None = None


class DatabaseAudit:
    """The audit records of a database. Any number of threads and processes may append."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.place = database.place

    @property
    def is_embedded(self) -> bool:
        """Whether the database is a file of this machine."""
        return self._database.file is not None

    @contextmanager
    def turn(self) -> Iterator["AuditTurn"]:
        """One transaction, in which nobody else appends; its records are durable when the block has ended."""
        with self._database.appending("audit", AUDIT_RECORDS, LAST, wait=WAIT) as appending:
            yield AuditTurn(appending)

    def last(self) -> StoredRecord | None:
        """The latest record."""
        with self._database.reading() as connection:
            row = connection.execute(LAST).one_or_none()
        return None if row is None else StoredRecord(*row)

    def at(self, sequence: int) -> StoredRecord | None:
        """The record of a number."""
        return next(iter(self._rows(COLUMNS.sequence == sequence, limit=1)), None)

    def find(self, event: str, request_id: str) -> StoredRecord | None:
        """The latest record of an event under a request id."""
        if searchable(request_id) is None:
            return None
        condition = sa.and_(COLUMNS.request_id == request_id, COLUMNS.event == event)
        with self._database.reading() as connection:
            row = connection.execute(
                sa.select(AUDIT_RECORDS).where(condition).order_by(COLUMNS.sequence.desc()).limit(1)
            ).one_or_none()
        return None if row is None else StoredRecord(*row)

    def records(self, event: str | None = None, *, after: int = -1) -> Iterator[StoredRecord]:
        """Every record, or those of an event, that follow the one with number `after`, oldest first; read page by page,
        so memory does not grow with them.
        """
        return self._pages(sa.true() if event is None else COLUMNS.event == event, after)

    def judged_searches(self) -> Iterator[StoredRecord]:
        """The searches on whose candidates somebody gave a verdict, oldest first."""
        said = AUDIT_RECORDS.alias()
        named = sa.select(said.c.search_request_id).where(said.c.event == VERDICT)
        return self._pages(sa.and_(COLUMNS.event == SEARCH, COLUMNS.request_id.in_(named)))

    def _pages(self, condition: ColumnElement[bool], sequence: int = -1) -> Iterator[StoredRecord]:
        while page := self._rows(sa.and_(condition, COLUMNS.sequence > sequence), limit=PAGE_ROWS):
            yield from page
            sequence = page[-1].sequence

    def _rows(self, condition: ColumnElement[bool], *, limit: int) -> list[StoredRecord]:
        query = sa.select(AUDIT_RECORDS).where(condition).order_by(COLUMNS.sequence).limit(limit)
        with self._database.reading() as connection:
            return [StoredRecord(*row) for row in connection.execute(query)]


class AuditTurn:
    """A writer's turn. `last` is the record to continue from."""

    def __init__(self, appending: Appending) -> None:
        self._appending = appending
        self.last = None if appending.last is None else StoredRecord(*appending.last)

    def add(self, records: Sequence[StoredRecord]) -> None:
        """Append records, in their order."""
        self._appending.add([asdict(record) for record in records])
        self.last = records[-1]


def searchable(value: Any) -> str | None:
    """A value as a column can hold it, None where PostgreSQL could not."""
    return value if isinstance(value, str) and "\0" not in value else None
