"""Rows of whole tables as lines of text, out of one moment of a database, and back into another.

Engines may differ: what SQLite gave can be put into PostgreSQL. Tables come in an order in which those that others
refer to are first.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from personsearch.integrations.database.engine import Database

PAGE_ROWS = 1000

Row = tuple[Any, ...]


class RowsHash:
    """SHA-256 of the rows that were added, in their order, and their number."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.rows = 0

    def add(self, line: str) -> None:
        """Add a row, as `line_of` writes it."""
        self._digest.update(f"{line}\n".encode())
        self.rows += 1

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def line_of(row: Iterable[Any]) -> str:
    """A row as one line of JSON."""
    return json.dumps([_written(value) for value in row], ensure_ascii=False, separators=(",", ":"))


def row_of(line: str) -> Row:
    """The inverse of `line_of`."""
    return tuple(map(_read, json.loads(line)))


def tables_of(database: Database, names: Collection[str] | None = None) -> list[sa.Table]:
    """The tables that a database has, of these names, as it describes them."""
    metadata = sa.MetaData()
    with database.reading() as connection:
        metadata.reflect(connection, only=None if names is None else list(names))
    for column in (column for table in metadata.tables.values() for column in table.columns):
        if isinstance(column.type, sa.JSON):
            column.type.none_as_null = True  # what was NULL stays NULL
    return [table for table in metadata.sorted_tables if names is None or table.name in names]


def rows_of(connection: sa.Connection, table: sa.Table) -> Iterator[Row]:
    """All rows in the order of their key, a page at a time in memory."""
    query = sa.select(table).order_by(*table.primary_key.columns).execution_options(yield_per=PAGE_ROWS)
    for row in connection.execute(query):
        yield tuple(row)


def insert_rows(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Add rows, whose values are in the order of `columns`."""
    for start in range(0, len(rows), PAGE_ROWS):
        page = [dict(zip(columns, row, strict=True)) for row in rows[start : start + PAGE_ROWS]]
        connection.execute(sa.insert(table), page)


def continue_numbers(connection: sa.Connection, table: sa.Table) -> None:
    """Let PostgreSQL number new rows behind those that came with their numbers; SQLite does so by itself."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        if isinstance(column.type, sa.Integer):
            sequence = sa.func.pg_get_serial_sequence(f'"{table.name}"', column.name)
            name = connection.execute(sa.select(sequence)).scalar()
            last = connection.execute(sa.select(sa.func.max(column))).scalar()
            if name and last is not None:
                connection.execute(sa.select(sa.func.setval(name, max(last, 1))))


def _written(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    return {"json": value} if isinstance(value, dict | list) else value


def _read(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    if kind == "json":
        return text
    readers: dict[str, Callable[[str], Any]] = {
        "bytes": base64.b64decode,
        "time": datetime.fromisoformat,
        "decimal": Decimal,
    }
    return readers[kind](text)
