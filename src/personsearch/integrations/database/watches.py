"""Watched searches in a database (see `gallery/alerts.py`). Every machine sees a change at its next comparison."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from personsearch.errors import UserError
from personsearch.gallery.alerts import QuietHours, WatchedSearch
from personsearch.integrations.database.clock import Clock, database_clock
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.moments import from_milliseconds, to_milliseconds
from personsearch.integrations.database.rows import NUL, among, last_sequence
from personsearch.integrations.database.tables import ALERTS, WATCHED_SEARCHES
from personsearch.search.filters import CropFilter

COLUMNS = WATCHED_SEARCHES.c
MINUTES = "%H:%M"


class TooManyWatched(UserError):
    """An owner watches as many searches as are allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} searches are watched already; delete one first.")


class DatabaseWatches:
    """The watched searches of a database."""

    def __init__(self, database: Database, *, clock: Clock = database_clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, watched: WatchedSearch, *, most: int | None = None) -> WatchedSearch:
        """Store a search in the place of the one with its id; returns it as stored.

        One that is switched on is compared with the crops that are added from now on; one that was on continues where
        it is.

        Raises:
            TooManyWatched: its owner has `most` already.
        """
        with self._database.writing() as connection:
            self._serialise(connection)
            if most is not None and len(_watched(connection, COLUMNS.owner == watched.owner)) >= most:
                raise TooManyWatched(most)
            before = next(iter(_watched(connection, COLUMNS.watch_id == watched.watch_id)), None)
            return self._put(connection, watched, before)

    def change(self, watch_id: str, values: Mapping[str, Any]) -> WatchedSearch | None:
        """Change some fields of a search, as `put`; None if it was deleted, which stays so."""
        with self._database.writing() as connection:
            self._serialise(connection)
            before = next(iter(_watched(connection, COLUMNS.watch_id == watch_id)), None)
            return None if before is None else self._put(connection, replace(before, **values), before)

    def remove(self, watch_id: str) -> bool:
        """Remove a search with its alerts; False if there is none."""
        with self._database.writing() as connection:
            self._database.serialise(connection, "alerts")
            connection.execute(sa.delete(ALERTS).where(ALERTS.c.watch_id == watch_id))
            gone = connection.execute(sa.delete(WATCHED_SEARCHES).where(COLUMNS.watch_id == watch_id))
            return gone.rowcount == 1

    def end(self, owners: Iterable[str], reason: str) -> int:
        """Switch off what these owners watch; returns how many searches that were."""
        theirs = sa.and_(among(COLUMNS.owner, sorted(owners)), COLUMNS.enabled == 1)
        with self._database.writing() as connection:
            values = {"enabled": 0, "ended": reason, "changed_at": self._clock(connection)}
            return connection.execute(sa.update(WATCHED_SEARCHES).where(theirs).values(**values)).rowcount

    def find(self, watch_id: str) -> WatchedSearch | None:
        """One by its id."""
        if NUL in watch_id:
            return None
        return next(iter(self._where(COLUMNS.watch_id == watch_id)), None)

    def of_owner(self, owner: str) -> list[WatchedSearch]:
        """Those of an owner, oldest first."""
        return self._where(COLUMNS.owner == owner)

    def enabled(self) -> list[WatchedSearch]:
        """Those that are switched on, oldest first."""
        return self._where(COLUMNS.enabled == 1)

    def _serialise(self, connection: sa.Connection) -> None:
        self._database.serialise(connection, "sequence")
        self._database.serialise(connection, "alerts")

    def _put(self, connection: sa.Connection, watched: WatchedSearch, before: WatchedSearch | None) -> WatchedSearch:
        now = from_milliseconds(self._clock(connection))
        stored = replace(watched, changed_at=now, created_at=before.created_at if before else now)
        if stored.enabled:
            sequence = before.sequence if before and before.enabled else last_sequence(connection)
            stored = replace(stored, sequence=sequence)
        connection.execute(sa.delete(WATCHED_SEARCHES).where(COLUMNS.watch_id == watched.watch_id))
        connection.execute(sa.insert(WATCHED_SEARCHES).values(_row(stored)))
        if not stored.webhook:  # what was on its way has no address any more
            waiting = sa.and_(ALERTS.c.watch_id == watched.watch_id, ALERTS.c.delivery == "waiting")
            connection.execute(sa.update(ALERTS).where(waiting).values(delivery="none"))
        return stored

    def _where(self, condition: ColumnElement[bool]) -> list[WatchedSearch]:
        with self._database.reading() as connection:
            return _watched(connection, condition)


def _watched(connection: sa.Connection, condition: ColumnElement[bool]) -> list[WatchedSearch]:
    query = sa.select(WATCHED_SEARCHES).where(condition).order_by(COLUMNS.created_at, COLUMNS.watch_id)
    return [watched_of(row) for row in connection.execute(query)]


def watched_of(row: Any) -> WatchedSearch:
    """A watched search of the values of its columns."""
    start, end = (time.fromisoformat(text) if text else None for text in (row.quiet_from, row.quiet_until))
    return WatchedSearch(
        watch_id=row.watch_id,
        owner=row.owner,
        name=row.name,
        text=row.text,
        crop_filter=CropFilter.model_validate_json(row.filter),
        threshold=row.threshold,
        webhook=row.webhook,
        quiet_hours=QuietHours(start, end, row.time_zone) if start is not None and end is not None else None,
        most_per_hour=row.most_per_hour,
        enabled=bool(row.enabled),
        sequence=row.sequence,
        ended=row.ended,
        created_at=from_milliseconds(row.created_at),
        changed_at=from_milliseconds(row.changed_at),
    )


def _row(watched: WatchedSearch) -> dict[str, Any]:
    quiet = watched.quiet_hours
    return {
        "watch_id": watched.watch_id,
        "owner": watched.owner,
        "name": watched.name,
        "text": watched.text,
        "filter": watched.crop_filter.model_dump_json(exclude_none=True),
        "threshold": watched.threshold,
        "webhook": watched.webhook,
        "quiet_from": quiet.start.strftime(MINUTES) if quiet else "",
        "quiet_until": quiet.end.strftime(MINUTES) if quiet else "",
        "time_zone": quiet.time_zone if quiet else "",
        "most_per_hour": watched.most_per_hour,
        "enabled": int(watched.enabled),
        "sequence": watched.sequence,
        "ended": watched.ended,
        "created_at": to_milliseconds(watched.created_at),
        "changed_at": to_milliseconds(watched.changed_at),
    }
