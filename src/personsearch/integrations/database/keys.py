"""API keys in a database, as hashes with names and dates; none is ever removed, so every name can be explained."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from personsearch.errors import UserError
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.moments import from_milliseconds, to_milliseconds
from personsearch.integrations.database.tables import API_KEYS

Scope = Literal["search", "ingest"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
SEARCH_ONLY: tuple[Scope, ...] = ("search",)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key without the key itself. `scopes` are what it allows: to search, or to add crops."""

    name: str
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    scopes: tuple[Scope, ...] = SEARCH_ONLY

    def is_accepted(self, now: datetime) -> bool:
        """Whether it opens anything at this time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class DatabaseKeys:
    """The keys of a database. Every change is seen by the next request, on every machine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: StoredKey) -> None:
        """Store a new key.

        Raises:
            UserError: another key of this name is accepted.
        """
        with self._database.writing() as connection:
            self._database.serialise(connection, "keys")
            held = _keys(connection, API_KEYS.c.name == key.name)
            if any(each.is_accepted(key.created_at) for each in held):
                raise UserError(f"key {key.name!r}: there is one already; `personsearch keys revoke` ends it")
            _insert(connection, key)

    def take_over(self, keys: Sequence[StoredKey]) -> None:
        """Store keys that were kept elsewhere, all or none; those that are stored already stay as they are."""
        with self._database.writing() as connection:
            self._database.serialise(connection, "keys")
            for key in keys:
                if not _keys(connection, API_KEYS.c.sha256 == key.sha256):
                    _insert(connection, key)

    def revoke(self, name: str, now: datetime) -> int:
        """End what is accepted under a name; returns how many keys that were."""
        unrevoked = sa.and_(API_KEYS.c.name == name, API_KEYS.c.revoked_at.is_(None))
        with self._database.writing() as connection:
            ended = sum(key.is_accepted(now) for key in _keys(connection, unrevoked))
            connection.execute(sa.update(API_KEYS).where(unrevoked).values(revoked_at=to_milliseconds(now)))
        return ended

    def find(self, sha256: str) -> StoredKey | None:
        """The key of a hash, accepted or not."""
        with self._database.reading() as connection:
            return next(iter(_keys(connection, API_KEYS.c.sha256 == sha256)), None)

    def all(self) -> list[StoredKey]:
        """Every key, oldest first."""
        with self._database.reading() as connection:
            return _keys(connection, sa.true())


def _insert(connection: sa.Connection, key: StoredKey) -> None:
    dates = [None if date is None else to_milliseconds(date) for date in (key.expires_at, key.revoked_at)]
    values = (key.sha256, key.name, to_milliseconds(key.created_at), *dates, ",".join(key.scopes))
    connection.execute(sa.insert(API_KEYS).values(values))


def _keys(connection: sa.Connection, condition: ColumnElement[bool]) -> list[StoredKey]:
    query = sa.select(API_KEYS).where(condition).order_by(API_KEYS.c.created_at, API_KEYS.c.sha256)
    return [
        StoredKey(
            name=row.name,
            sha256=row.sha256,
            created_at=from_milliseconds(row.created_at),
            expires_at=None if row.expires_at is None else from_milliseconds(row.expires_at),
            revoked_at=None if row.revoked_at is None else from_milliseconds(row.revoked_at),
            scopes=tuple(scope for scope in SCOPES if scope in row.scopes.split(",")),
        )
        for row in connection.execute(query)
    ]
