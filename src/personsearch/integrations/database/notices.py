"""Notices: something happened that another process should look at, counted under a name."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.tables import NOTICES

ALIAS_MOVED = "alias moved"
BACKED_UP = "backed up"  # its number is a time, in milliseconds since 1970
IDENTITY = "identity"  # its number is drawn once; a restored database draws another


class DatabaseNotices:
    """The notices of a database. One that is posted twice before anybody looks is one reason to look."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def post(self, name: str) -> None:
        """Count one more."""
        self._put(name, 1, NOTICES.c.number + 1)

    def note(self, name: str, number: int) -> None:
        """Set its number."""
        self._put(name, number, number)

    def note_once(self, name: str, number: int) -> int:
        """Set its number unless it has one; returns the one that it has."""
        with self._database.writing() as connection:
            connection.execute(self._insert(name, number).on_conflict_do_nothing(index_elements=["name"]))
        return self.number(name)

    def number(self, name: str) -> int:
        """How many there have been."""
        with self._database.reading() as connection:
            return connection.execute(sa.select(NOTICES.c.number).where(NOTICES.c.name == name)).scalar() or 0

    def _put(self, name: str, first: int, next_one: Any) -> None:
        new = self._insert(name, first)
        with self._database.writing() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"number": next_one}))

    def _insert(self, name: str, number: int) -> Any:
        insert = sqlite.insert if self._database.file else postgresql.insert
        return insert(NOTICES).values(name=name, number=number)
