"""Rows added behind the last one of a table in a PostgreSQL, in two round trips: the first begins a transaction, waits
for those of others and reads the last row; the second inserts and commits.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, cast

import psycopg
import sqlalchemy as sa

SESSION_ENDED = "57P"  # the class of SQLSTATEs of a server that stops, or whose administrator ends a session
Row = Mapping[str, Any]


class Append:
    """A transaction that adds rows behind `last`. It has begun; `commit` ends it."""

    def __init__(self, driver: "psycopg.Connection[Any]", insert: str, last: tuple[Any, ...] | None) -> None:
        self.last = last
        self._driver = driver
        self._insert = insert
        self._added: Sequence[Row] = ()

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows; the latest are kept until `commit`, which sends them."""
        if self._added:
            self._driver.cursor().executemany(self._insert, self._added)
        self._added = rows

    def commit(self) -> None:
        """Make the rows durable."""
        # If an insertion fails, the server ignores what follows it in a pipeline. Values travel as parameters: a server
        # logs the text of statements that fail.
        refusals: list[psycopg.Error] = []
        try:
            with self._driver.pipeline():
                try:
                    self._driver.cursor().executemany(self._insert, self._added)
                    self._driver.execute("COMMIT")
                except psycopg.Error as error:  # if it left the pipeline, the driver would log that COMMIT was ignored
                    refusals.append(error)
        except psycopg.Error as error:
            refusals.append(error)
        if refusals:
            raise _first(refusals[0])


@contextmanager
def append(engine: sa.Engine, table: sa.Table, last: sa.Select[Any], *, lock: int, wait: str) -> Iterator[Append]:
    """An append to a table, by an engine whose connections commit by themselves; rolled back if the block fails.

    `last` selects the last row. `lock` is the number of the advisory lock that serialises such appends; `wait` limits
    how long this one waits for others, and how long it may keep them waiting while it is idle ("10s").

    Raises:
        psycopg.Error: the server refuses, or the connection is lost.
    """
    begin = _begin(engine.dialect, last, lock, wait)
    with ExitStack() as stack:
        try:
            cursor = stack.enter_context(_driver(engine)).execute(begin)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None and not error.sqlstate.startswith(SESSION_ENDED):
                raise
            # The session had ended while nobody used it, and others with it. Nothing was written: try again.
            stack.close()
            engine.dispose()
            cursor = stack.enter_context(_driver(engine)).execute(begin)
        while cursor.nextset():
            pass
        begun = Append(cursor.connection, _insertion(engine.dialect, table), cursor.fetchone())
        yield begun
        begun.commit()


@contextmanager
def _driver(engine: sa.Engine) -> Iterator["psycopg.Connection[Any]"]:
    """The driver's connection of a pooled one, which leaves the pool if it is lost or stuck in a pipeline."""
    with engine.connect() as connection:
        driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        try:
            yield driver
        finally:
            if driver.closed or driver.pgconn.pipeline_status:
                connection.invalidate()


def _first(error: psycopg.Error) -> psycopg.Error:
    """What the server said first: that the driver then cannot leave the pipeline, or is cut off, follows from it."""
    while isinstance(error.__context__, psycopg.Error):
        error = error.__context__
    return error


@lru_cache(maxsize=8)
def _begin(dialect: sa.Dialect, last: sa.Select[Any], lock: int, wait: str) -> bytes:
    """One message. The server takes a snapshot for each of its statements: the last one sees what was committed while
    this waited for the lock.
    """
    statements = (
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        f"SET LOCAL lock_timeout = '{wait}'",
        f"SET LOCAL idle_in_transaction_session_timeout = '{wait}'",
        f"SELECT pg_advisory_xact_lock({lock})",
        str(last.compile(dialect=dialect, compile_kwargs={"literal_binds": True})),
    )
    return ";".join(statements).encode()


@lru_cache(maxsize=8)
def _insertion(dialect: sa.Dialect, table: sa.Table) -> str:
    return str(sa.insert(table).compile(dialect=dialect))
