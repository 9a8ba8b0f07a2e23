"""Alerts in a database (see `gallery/alerts.py`): compared up to a change of the gallery and raised in one transaction,
so that whoever is killed loses none and doubles none. Waits end by the database's clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from personsearch.gallery.alerts import Alert, Delivery, Match, WatchedSearch
from personsearch.integrations.database.clock import Clock, database_clock
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import Lease, check_lease
from personsearch.integrations.database.moments import from_milliseconds, to_milliseconds
from personsearch.integrations.database.rows import HELD_AMONG, NUL, among, given
from personsearch.integrations.database.tables import ALERTS, COUNTERS, WATCHED_SEARCHES
from personsearch.integrations.database.watches import watched_of

HOUR_MILLISECONDS = 3_600_000
NUMBERS, CHANGES = "alerts", "changes of alerts"
WATCHED = WATCHED_SEARCHES.c
ROWS = ALERTS.c
WAITING, NOT_RELEASED = ROWS.delivery == "waiting", ROWS.released_at.is_(None)


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that its webhook has to be told now, and the search that raised it."""

    alert: Alert
    watched: WatchedSearch


class DatabaseAlerts:
    """The alerts of a database. Writes with a lease are refused with LeaseLost once another holds it."""

    def __init__(self, database: Database, *, clock: Clock = database_clock) -> None:
        self._database = database
        self._clock = clock

    def now(self) -> datetime:
        """The database's time."""
        with self._database.reading() as connection:
            return from_milliseconds(self._clock(connection))

    def advance(
        self, compared: Sequence[WatchedSearch], sequence: int, matches: Sequence[Match], lease: Lease
    ) -> list[str]:
        """Store that searches were compared up to a change of the gallery, and the alerts of what matched. Returns the
        ids of new alerts.

        A search that was changed meanwhile stays where it was and is compared again. A crop that was erased meanwhile
        raises nothing. A track that has raised an alert gets its better crop.
        """
        with self._database.writing() as connection:
            self._database.serialise(connection, "sequence")  # nobody erases a crop meanwhile
            self._database.serialise(connection, "alerts")
            check_lease(connection, lease)
            unchanged = _unchanged(connection, compared)
            held = set(connection.scalars(HELD_AMONG, given([match.crop.crop_id for match in matches])))
            counted = [match for match in matches if match.watch_id in unchanged and match.crop.crop_id in held]
            new = self._raise(connection, _best_of_each(counted), {each.watch_id: each for each in compared})
            own = among(WATCHED.watch_id, sorted(unchanged))
            connection.execute(sa.update(WATCHED_SEARCHES).where(own).values(sequence=sequence))
        return new

    def release(self, awake: Iterable[WatchedSearch], lease: Lease) -> int:
        """Release what waits of searches for which it is not quiet, oldest first and as many as their limits allow.
        Returns their number.
        """
        if not self._any(NOT_RELEASED):
            return 0
        with self._database.writing() as connection:
            self._database.serialise(connection, "alerts")
            check_lease(connection, lease)
            return sum(self._release(connection, watched) for watched in awake)

    def latest_change(self) -> int:
        """The number of the latest change."""
        query = sa.select(COUNTERS.c.number).where(COUNTERS.c.name == CHANGES)
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or 0

    def changed_since(self, change: int, owner: str, limit: int) -> list[Alert]:
        """An owner's alerts that were released, or got a better crop, after a change; oldest change first."""
        query = _of_owner(owner).where(ROWS.change > change).order_by(ROWS.change)
        return self._alerts(query.limit(limit))

    def latest(self, owner: str, limit: int, *, before: int | None = None, watch_id: str = "") -> list[Alert]:
        """An owner's alerts, the latest first, those that wait among them; before a number, or of one search."""
        if NUL in watch_id:
            return []
        query = _of_owner(owner).order_by(ROWS.number.desc())
        query = query if before is None else query.where(ROWS.number < before)
        return self._alerts((query.where(ROWS.watch_id == watch_id) if watch_id else query).limit(limit))

    def counts(self, owner: str) -> dict[str, tuple[int, int]]:
        """How many alerts each search of an owner has, and how many of them wait."""
        waiting = sa.func.sum(sa.case((NOT_RELEASED, 1), else_=0))
        query = sa.select(ROWS.watch_id, sa.func.count(), waiting).where(_is_of(owner)).group_by(ROWS.watch_id)
        with self._database.reading() as connection:
            return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(query)}

    def due(self, limit: int) -> list[Due]:
        """What webhooks have to be told now: the oldest alert of each search that is switched on."""
        with self._database.reading() as connection:
            now = self._clock(connection)
            first = sa.select(sa.func.min(ROWS.change)).where(WAITING).group_by(ROWS.watch_id)
            query = (
                sa.select(ALERTS, *(column.label(f"watched_{column.name}") for column in WATCHED))
                .join(WATCHED_SEARCHES, WATCHED.watch_id == ROWS.watch_id)
                .where(
                    WAITING, ROWS.next_at <= now, WATCHED.enabled == 1, WATCHED.webhook != "", ROWS.change.in_(first)
                )
                .order_by(ROWS.next_at, ROWS.change)
            )
            rows = connection.execute(query.limit(limit)).all()
        return [Due(_alert(row), watched_of(_Prefixed(row))) for row in rows]

    def settle(
        self, alert_id: str, delivery: Delivery, lease: Lease, *, failure: str = "", wait_seconds: float = 0.0
    ) -> None:
        """Store what came of a try to tell a webhook; one that failed is tried again after some seconds."""
        failed = int(delivery != "delivered")
        with self._database.writing() as connection:
            check_lease(connection, lease)
            next_at = self._clock(connection) + round(wait_seconds * 1000)
            values = {"delivery": delivery, "failure": failure, "next_at": next_at}
            own = sa.update(ALERTS).where(ROWS.alert_id == alert_id)
            connection.execute(own.values(attempts=ROWS.attempts + failed, **values))

    def count_by_delivery(self) -> dict[str, int]:
        """How many alerts there are by the state of their webhook, those not released as "held"."""
        state = sa.case((NOT_RELEASED, "held"), else_=ROWS.delivery)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(sa.select(state, sa.func.count()).group_by(state))}

    def _any(self, condition: ColumnElement[bool]) -> bool:
        with self._database.reading() as connection:
            return connection.execute(sa.select(ROWS.number).where(condition).limit(1)).first() is not None

    def _raise(
        self, connection: sa.Connection, matches: Mapping[str, Match], searches: Mapping[str, WatchedSearch]
    ) -> list[str]:
        """Add the alerts of tracks that have none; the others get a crop that fits better."""
        query = sa.select(ALERTS).where(among(ROWS.alert_id, sorted(matches)))
        known = {row.alert_id: row for row in connection.execute(query)}
        new = []
        for alert_id, match in matches.items():
            values = _best(match)
            row = known.get(alert_id)
            if row is None:
                values |= {"alert_id": alert_id, "number": _next(connection, NUMBERS), "change": 0}
                values |= {"watch_id": match.watch_id, "threshold": searches[match.watch_id].threshold}
                values |= {"raised_at": self._clock(connection), "delivery": "none", "attempts": 0, "next_at": 0}
                connection.execute(sa.insert(ALERTS).values(failure="", **values))
                new.append(alert_id)
            elif match.confidence > row.confidence:
                change = 0 if row.released_at is None else _next(connection, CHANGES)
                connection.execute(sa.update(ALERTS).where(ROWS.alert_id == alert_id).values(change=change, **values))
        return new

    def _release(self, connection: sa.Connection, watched: WatchedSearch) -> int:
        now, own = self._clock(connection), ROWS.watch_id == watched.watch_id
        recent = sa.select(sa.func.count()).where(own, ROWS.released_at > now - HOUR_MILLISECONDS)
        room = watched.most_per_hour - connection.execute(recent).scalar_one()
        waiting = sa.select(ROWS.number).where(own, NOT_RELEASED).order_by(ROWS.number).limit(max(room, 0))
        numbers = list(connection.scalars(waiting))
        for number in numbers:
            values = {"released_at": now, "change": _next(connection, CHANGES), "next_at": now}
            delivery = "waiting" if watched.webhook else "none"
            connection.execute(sa.update(ALERTS).where(ROWS.number == number).values(delivery=delivery, **values))
        return len(numbers)

    def _alerts(self, query: sa.Select[Any]) -> list[Alert]:
        with self._database.reading() as connection:
            return [_alert(row) for row in connection.execute(query)]


def _is_of(owner: str) -> ColumnElement[bool]:
    return ROWS.watch_id.in_(sa.select(WATCHED.watch_id).where(WATCHED.owner == owner))


def _of_owner(owner: str) -> sa.Select[Any]:
    return sa.select(ALERTS).where(_is_of(owner))


def _unchanged(connection: sa.Connection, compared: Sequence[WatchedSearch]) -> set[str]:
    """Those of these searches that are as they were when they were compared, and switched on."""
    query = sa.select(WATCHED.watch_id, WATCHED.sequence, WATCHED.changed_at).where(
        among(WATCHED.watch_id, [each.watch_id for each in compared]), WATCHED.enabled == 1
    )
    now = {row.watch_id: (row.sequence, row.changed_at) for row in connection.execute(query)}
    return {
        each.watch_id
        for each in compared
        if now.get(each.watch_id) == (each.sequence, to_milliseconds(each.changed_at))
    }


def _best_of_each(matches: Sequence[Match]) -> dict[str, Match]:
    """The best match of each alert, in the order in which the first of each came."""
    best: dict[str, Match] = {}
    for match in matches:
        if match.alert_id not in best or match.confidence > best[match.alert_id].confidence:
            best[match.alert_id] = match
    return best


def _best(match: Match) -> dict[str, Any]:
    """The columns of an alert that are of its best crop."""
    crop = match.crop
    return {
        "camera_id": crop.camera_id,
        "track_id": crop.track_id,
        "crop_id": crop.crop_id,
        "captured_at": to_milliseconds(crop.captured_at),
        "confidence": float(match.confidence),
        "score": float(match.score),
    }


def _next(connection: sa.Connection, name: str) -> int:
    """The next number under a name; whoever asks has serialised."""
    more = sa.update(COUNTERS).where(COUNTERS.c.name == name).values(number=COUNTERS.c.number + 1)
    if not connection.execute(more).rowcount:
        connection.execute(sa.insert(COUNTERS).values(name=name, number=1))
    return int(connection.execute(sa.select(COUNTERS.c.number).where(COUNTERS.c.name == name)).scalar_one())


class _Prefixed:
    """The columns of a watched search in a row that has others as well."""

    def __init__(self, row: sa.Row[Any]) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, f"watched_{name}")


def _alert(row: Any) -> Alert:
    moments = {
        name: None if (value := getattr(row, name)) is None else from_milliseconds(value)
        for name in ("captured_at", "raised_at", "released_at")
    }
    names = [name for name in Alert.__dataclass_fields__ if name not in moments]
    return Alert(**{name: getattr(row, name) for name in names}, **moments)  # type: ignore[arg-type]
