"""Copies the rows of one database to another, whatever engine each is.

Rows go in the order of their primary key, a page in one transaction. So an interrupted copy leaves the beginning of the
source, and the next one continues behind it; a target with anything else in it is refused before a row is written. Rows
are only ever added, because tables may permit nothing else.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from personsearch.errors import UserError
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.tables import METADATA

PAGE_ROWS = 1000
STAYS = "stays"  # of a table's `info`: it says what is under way now, not what is kept

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """How many rows a table has, and the SHA-256 of all their values in the order of their key."""

    rows: int
    sha256: str


def kept_tables() -> list[sa.Table]:
    """The tables that make an installation, whichever there are."""
    return [table for table in METADATA.sorted_tables if not table.info.get(STAYS)]


def check_is_beginning(source: Database, target: Database, table: sa.Table) -> None:
    """Refuse a target with rows that are not the first ones of the source.

    Raises:
        UserError: it has others.
    """
    expected = _rows(source, table)
    for row in _rows(target, table):
        if row != next(expected, None):
            raise UserError(
                f"{target.place}: holds {table.name} of something else; an empty database, or one that an interrupted "
                "move has begun, expected"
            )


def copy_rows(source: Database, target: Database, table: sa.Table) -> Iterator[int]:
    """Copy what the target does not have yet; yields the number of rows after each page."""
    for page in _pages(source, table, after=_last_key(target, table)):
        with target.writing() as connection:
            names = [column.name for column in table.columns]
            connection.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in page])
        yield len(page)


def count_rows(database: Database, table: sa.Table) -> int:
    """The number of rows of a table."""
    with database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def content(database: Database, table: sa.Table) -> Content:
    """What a table holds; equal for equal rows in any engine."""
    digest, count = hashlib.sha256(), 0
    for row in _rows(database, table):
        digest.update(repr(row).encode())
        count += 1
    return Content(count, digest.hexdigest())


def _rows(database: Database, table: sa.Table) -> Iterator[Row]:
    for page in _pages(database, table, after=None):
        yield from page


def _pages(database: Database, table: sa.Table, *, after: Sequence[Any] | None) -> Iterator[list[Row]]:
    key = list(table.primary_key.columns)
    places = [list(table.columns).index(column) for column in key]
    while True:
        query = sa.select(table).order_by(*key).limit(PAGE_ROWS)
        if after is not None:
            query = query.where(sa.tuple_(*key) > sa.tuple_(*map(sa.literal, after)))
        with database.reading() as connection:
            page = [tuple(row) for row in connection.execute(query)]
        if page:
            yield page
        if len(page) < PAGE_ROWS:
            return
        after = [page[-1][place] for place in places]


def _last_key(database: Database, table: sa.Table) -> Row | None:
    key = list(table.primary_key.columns)
    query = sa.select(*key).order_by(*(column.desc() for column in key)).limit(1)
    with database.reading() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else tuple(row)
