"""What became of each promotion, and which promoters look: rows that one promoter leaves for the next.

A row of `promotions` is one build or one series of failures with a model version. While its collection is live, the row
follows the gallery. Its waits end by the database's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from personsearch.integrations.database.builds import DatabaseBuilds
from personsearch.integrations.database.clock import Clock, database_clock
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import Lease, check_lease
from personsearch.integrations.database.moments import from_milliseconds
from personsearch.integrations.database.tables import HEARTBEATS, PROMOTIONS

FORGOTTEN_AFTER_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Promotion:
    """A build that went live, or a series of failed attempts at one.

    version      of the model
    collection   that it made live, "" if it failed
    sequence     change of the gallery up to which the collection holds it
    encoded      crops that were encoded for it
    unpurged     rows that were removed from answers, but perhaps not from the engine's files
    failure      why it failed the last time, "" if it is live
    attempts     in a row that failed
    wait         seconds until the next attempt, 0 if it may be made
    """

    version: str
    collection: str = ""
    sequence: int = 0
    encoded: int = 0
    unpurged: int = 0
    failure: str = ""
    attempts: int = 0
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class PastPromotion:
    """What became of a promotion, when it began and when that last changed."""

    version: str
    collection: str
    failure: str
    attempts: int
    began_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a promoter saw, and how many seconds ago."""

    holder: str
    leads: bool
    state: str
    failed: bool
    age: float


class DatabasePromotions:
    """The promotions of a database. Writes with a lease are refused with LeaseLost once another holds it."""

    def __init__(self, database: Database, *, clock: Clock = database_clock) -> None:
        self._database = database
        self._clock = clock
        self.builds = DatabaseBuilds(database, clock=clock)

    def live(self) -> Promotion | None:
        """The latest that went live."""
        return self._latest(PROMOTIONS.c.collection != "")

    def latest(self, count: int) -> list[PastPromotion]:
        """The latest ones, live or failed, the latest first."""
        query = sa.select(PROMOTIONS).order_by(PROMOTIONS.c.number.desc()).limit(count)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            PastPromotion(
                row.version,
                row.collection,
                row.failure,
                row.attempts,
                began_at=from_milliseconds(row.began_at),
                changed_at=from_milliseconds(row.changed_at),
            )
            for row in rows
        ]

    def of_version(self, version: str) -> Promotion | None:
        """The latest with a model version."""
        return self._latest(PROMOTIONS.c.version == version)

    def went_live(self, promotion: Promotion, lease: Lease | None = None) -> None:
        """Store a build."""
        self._insert(_values(promotion), lease)

    def advance(self, promotion: Promotion, lease: Lease) -> None:
        """Store how far what is live has followed the gallery; `encoded` and `unpurged` are the new totals."""
        with self._database.writing() as connection:
            check_lease(connection, lease)
            connection.execute(
                sa.update(PROMOTIONS)
                .where(PROMOTIONS.c.number == _last(PROMOTIONS.c.collection != ""))
                .values(**_values(promotion), changed_at=self._clock(connection))
            )

    def failed(self, version: str, reason: str, wait: float, lease: Lease) -> None:
        """Store a failure: beside the last one of this version, if nothing was live in between."""
        with self._database.writing() as connection:
            self._database.serialise(connection, "promotions")
            check_lease(connection, lease)
            now = self._clock(connection)
            last = connection.execute(_select(PROMOTIONS.c.version == version)).one_or_none()
            again_at = now + round(wait * 1000)
            if last is None or not last.failure:
                self._append(
                    connection, _values(Promotion(version, failure=reason, attempts=1)) | {"again_at": again_at}
                )
                return
            values = {"failure": reason, "attempts": last.attempts + 1, "again_at": again_at, "changed_at": now}
            connection.execute(sa.update(PROMOTIONS).where(PROMOTIONS.c.number == last.number).values(**values))

    def beat(self, holder: str, *, leads: bool, state: str, failed: bool) -> None:
        """Store what a promoter sees now, and forget promoters that ended long ago."""
        with self._database.writing() as connection:
            now = self._clock(connection)
            own = HEARTBEATS.c.holder == holder
            old = HEARTBEATS.c.looked_at < now - round(FORGOTTEN_AFTER_SECONDS * 1000)
            connection.execute(sa.delete(HEARTBEATS).where(sa.or_(own, old)))
            values = {"leads": int(leads), "state": state, "failed": int(failed), "looked_at": now}
            connection.execute(sa.insert(HEARTBEATS).values(holder=holder, **values))

    def forget(self, holder: str) -> None:
        """Remove a promoter that ends."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(HEARTBEATS).where(HEARTBEATS.c.holder == holder))

    def heartbeats(self) -> list[Heartbeat]:
        """Every promoter that has looked within the hour: leaders first, then by how recently they looked."""
        with self._database.reading() as connection:
            query = sa.select(HEARTBEATS).order_by(HEARTBEATS.c.leads.desc(), HEARTBEATS.c.looked_at.desc())
            rows, now = connection.execute(query).all(), self._clock(connection)
        return [
            Heartbeat(row.holder, bool(row.leads), row.state, bool(row.failed), (now - row.looked_at) / 1000)
            for row in rows
        ]

    def _latest(self, condition: ColumnElement[bool]) -> Promotion | None:
        with self._database.reading() as connection:
            row = connection.execute(_select(condition)).one_or_none()
            now = self._clock(connection)
        if row is None:
            return None
        stored = {name: getattr(row, name) for name in _values(Promotion(""))}
        return Promotion(**stored, wait=max(0, row.again_at - now) / 1000 if row.failure else 0.0)

    def _insert(self, values: Mapping[str, Any], lease: Lease | None) -> None:
        with self._database.writing() as connection:
            self._database.serialise(connection, "promotions")
            if lease is not None:
                check_lease(connection, lease)
            self._append(connection, values)

    def _append(self, connection: sa.Connection, values: Mapping[str, Any]) -> None:
        now = self._clock(connection)
        number = 1 + (connection.execute(sa.select(sa.func.max(PROMOTIONS.c.number))).scalar() or 0)
        row = {"again_at": 0, **values, "number": number, "began_at": now, "changed_at": now}
        connection.execute(sa.insert(PROMOTIONS).values(row))


def _values(promotion: Promotion) -> dict[str, Any]:
    """The columns that a promotion has itself."""
    names = ("version", "collection", "sequence", "encoded", "unpurged", "failure", "attempts")
    return {name: getattr(promotion, name) for name in names}


def _last(condition: ColumnElement[bool]) -> sa.ScalarSelect[Any]:
    return sa.select(sa.func.max(PROMOTIONS.c.number)).where(condition).scalar_subquery()


def _select(condition: ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(PROMOTIONS).where(PROMOTIONS.c.number == _last(condition))
