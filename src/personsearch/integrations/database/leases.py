"""Leases: who may act for all, until when, by the database's clock.

A lease ends by itself if its holder does not renew it. Every holder gets a greater token than the one before. What a
holder writes names its token, so that a process that was stopped for a while and does not know that another has taken
over is refused.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from personsearch.errors import LeaseLost
from personsearch.integrations.database.clock import Clock, database_clock
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.tables import LEASES

FORGOTTEN_AFTER_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Lease:
    """What a holder shows: the lease's name, its own name, and its token."""

    name: str
    holder: str
    token: int


class DatabaseLeases:
    """The leases of a database. Any number of processes may compete for one."""

    def __init__(self, database: Database, *, clock: Clock = database_clock) -> None:
        self._database = database
        self._clock = clock

    def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take a lease that nobody holds, for some seconds; None while somebody does, be it this holder."""
        with self._database.writing() as connection:
            self._database.serialise(connection, "leases")
            row = connection.execute(sa.select(LEASES).where(LEASES.c.name == name)).one_or_none()
            now = self._clock(connection)
            if row is not None and row.expires_at > now:
                return None
            token = 1 if row is None else row.token + 1
            values = {"holder": holder, "token": token, "expires_at": now + _milliseconds(seconds)}
            if row is None:
                connection.execute(sa.insert(LEASES).values(name=name, **values))
            else:
                connection.execute(sa.update(LEASES).where(LEASES.c.name == name).values(**values))
        return Lease(name, holder, token)

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Let it end so many seconds from now. False if another has taken it; one that only ended is held again."""
        return self._end_after(lease, seconds)

    def release(self, lease: Lease) -> None:
        """Let the next holder take it at once; does nothing if another already has."""
        self._end_after(lease, 0.0)

    def holder(self, name: str) -> str | None:
        """Who holds a lease now."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(LEASES).where(LEASES.c.name == name)).one_or_none()
            return None if row is None or row.expires_at <= self._clock(connection) else str(row.holder)

    def holders(self, prefix: str) -> dict[str, str]:
        """Who holds each lease now whose name begins so."""
        own = LEASES.c.name.startswith(prefix, autoescape=True)
        with self._database.reading() as connection:
            rows, now = connection.execute(sa.select(LEASES).where(own)).all(), self._clock(connection)
        return {row.name: row.holder for row in rows if row.expires_at > now}

    def forget_ended(self, prefix: str) -> None:
        """Remove the leases whose name begins so and that ended long ago: names that nobody takes again."""
        own = LEASES.c.name.startswith(prefix, autoescape=True)
        with self._database.writing() as connection:
            long_ago = self._clock(connection) - _milliseconds(FORGOTTEN_AFTER_SECONDS)
            connection.execute(sa.delete(LEASES).where(own, LEASES.c.expires_at < long_ago))

    def check(self, lease: Lease) -> None:
        """Raise LeaseLost if another has taken the lease."""
        with self._database.reading() as connection:
            check_lease(connection, lease)

    def _end_after(self, lease: Lease, seconds: float) -> bool:
        own = sa.and_(LEASES.c.name == lease.name, LEASES.c.token == lease.token)
        with self._database.writing() as connection:
            self._database.serialise(connection, "leases")
            ends = self._clock(connection) + _milliseconds(seconds)
            return connection.execute(sa.update(LEASES).where(own).values(expires_at=ends)).rowcount == 1


def check_lease(connection: sa.Connection, lease: Lease) -> None:
    """Raise LeaseLost if another has taken the lease; in a transaction nobody can take it before its end."""
    row = sa.select(LEASES.c.token, LEASES.c.holder).where(LEASES.c.name == lease.name).with_for_update(read=True)
    held = connection.execute(row).one_or_none()
    if held is None or held.token != lease.token:
        raise LeaseLost(f"{lease.holder} no longer leads: {held.holder if held else 'nobody'} has taken over")


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
