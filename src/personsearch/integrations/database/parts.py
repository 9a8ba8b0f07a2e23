"""How far each part of a gallery is followed, in a database: rows that one follower of a part leaves for the next."""

from dataclasses import dataclass

import sqlalchemy as sa

from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import Lease, check_lease
from personsearch.integrations.database.tables import FOLLOWED_PARTS

COLUMNS = FOLLOWED_PARTS.c


@dataclass(frozen=True, slots=True)
class Reached:
    """How far all parts are together: the change of the gallery that the last of them has reached, crops that were
    encoded and rows that were removed since the collection is live.
    """

    sequence: int
    encoded: int
    removed: int


class DatabaseParts:
    """The parts of a gallery. What one stores is refused with LeaseLost once another holds its lease."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def advance(
        self, lease: Lease, number: int, of: int, collection: str, *, sequence: int, encoded: int, removed: int
    ) -> None:
        """Store how far a part of `of` has followed into a collection; `encoded` and `removed` are added to what is
        stored of the same collection.
        """
        own = COLUMNS.number == number
        with self._database.writing() as connection:
            check_lease(connection, lease)
            row = connection.execute(sa.select(FOLLOWED_PARTS).where(own)).one_or_none()
            if row is not None and (row.of, row.collection) == (of, collection):
                encoded, removed = row.encoded + encoded, row.removed + removed
            connection.execute(sa.delete(FOLLOWED_PARTS).where(own))
            values = {"of": of, "collection": collection, "sequence": sequence, "encoded": encoded, "removed": removed}
            connection.execute(sa.insert(FOLLOWED_PARTS).values(number=number, **values))

    def reached(self, of: int, collection: str) -> Reached | None:
        """How far all of `of` parts are; None if one has not followed into this collection yet."""
        sums = (sa.func.sum(COLUMNS.encoded), sa.func.sum(COLUMNS.removed))
        query = sa.select(sa.func.count(), sa.func.min(COLUMNS.sequence), *sums)
        with self._database.reading() as connection:
            row = connection.execute(query.where(COLUMNS.of == of, COLUMNS.collection == collection)).one()
        return Reached(*map(int, row[1:])) if row[0] == of else None
