"""A database by its address: connections, transactions, locks, and errors in one readable line.

sqlite:///FOLDER/gallery.db                  embedded; its locks are files beside it
postgresql://USER:PASSWORD@HOST/DATABASE     a server; its locks are advisory locks, released with their session
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from personsearch.addresses import hide_credentials
from personsearch.errors import EngineFailed, UserError
from personsearch.files import alone, locked, private_file
from personsearch.integrations.database.advice import advice
from personsearch.tracing import step

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_SECONDS = 30.0
POOLED_CONNECTIONS = 5
SQLITE = "sqlite:///"
POSTGRESQL = ("postgresql", "postgres")
PRAGMAS = ("synchronous = FULL", "secure_delete = ON")
KEEP_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}

LockName = Literal[
    "writer",
    "index",
    "build",
    "sequence",
    "schema",
    "keys",
    "leases",
    "promotions",
    "audit",
    "alerts",
    "cameras",
    "backup",
]


class Database:
    """Opens connections when they are needed and keeps a few. Any number of threads may share it."""

    def __init__(self, address: str) -> None:
        """Contacts nothing.

        Raises:
            UserError: the address names no file of SQLite and no PostgreSQL.
        """
        if address.removeprefix(SQLITE) in {"", ":memory:"}:
            raise UserError(f"database {address!r}: sqlite:///FILE or postgresql://HOST/DATABASE expected")
        self.file = Path(address.removeprefix(SQLITE)) if address.startswith(SQLITE) else None
        self.place = str(self.file) if self.file else hide_credentials(address)
        self._engine = _sqlite(self.file) if self.file else _postgresql(address)
        self._traced = {"db.system.name": "sqlite" if self.file else "postgresql"}
        self._turns = threading.BoundedSemaphore(POOLED_CONNECTIONS)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection on which each statement sees what is committed when it starts."""
        with step("database read", self._traced), self._readable_errors(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A connection on which every statement sees what was committed before the first one."""
        with self._readable_errors(), self._engine.connect() as connection:
            if self.file:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction: committed if the block succeeds, else rolled back."""
        with step("database write", self._traced), self._readable_errors(), self._engine.begin() as connection:
            if self.file:
                # take SQLite's write lock now: upgrading a read lock can fail later
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator["Turn"]:
        """A writer's turn, which others take at the same time unless `alone`. In SQLite everybody writes alone."""
        if self.file:
            with locked(self.file.with_name("writer.lock")):
                yield Turn(self.writing())
        else:
            # One transaction: if its session is lost, so are turn and writes. Writers look things up on a second
            # connection: if every connection were a turn's, all would wait for one.
            with self._turns, self.writing() as connection:
                function = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
                connection.execute(sa.select(function(_key("writer"))))
                yield Turn(nullcontext(connection))

    def serialise(self, connection: sa.Connection, name: LockName) -> None:
        """Wait until no other transaction that called this is open; SQLite's write lock has done that already."""
        if not self.file:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_key(name))))

    @contextmanager
    def appending(self, name: LockName, table: sa.Table, last: sa.Select[Any], *, wait: str) -> Iterator["Appending"]:
        """One transaction, serialised with all others of this name, that adds rows behind the row that `last` selects.

        `wait` limits how long it waits for others in a server, and how long it may keep them waiting while it is idle
        ("10s").
        """
        if self.file:
            with self.writing() as connection:
                row = connection.execute(last).first()
                yield Appending(None if row is None else tuple(row), partial(connection.execute, sa.insert(table)))
            return
        from personsearch.integrations.database.append import append  # loads the driver

        with (
            step("database write", self._traced),
            self._readable_errors(),
            append(self._reader, table, last, lock=_key(name), wait=wait) as begun,
        ):
            yield Appending(begun.last, begun.add)

    @contextmanager
    def held(self, name: LockName) -> Iterator[None]:
        """Hold a lock for as long as the block runs; says so when it has to wait."""
        if self.file:
            # Who waits holds the door, so that those who share the lock cannot keep it from him for ever.
            with alone(self.file.with_name(f".{name}.lock")), locked(self.file.with_name(f".{name}.shared")):
                yield
            return
        with self.reading() as connection:
            if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(_key(name)))).scalar_one():
                logger.warning("%s: another process holds the lock %r; waiting for it", self.place, name)
                connection.execute(sa.select(sa.func.pg_advisory_lock(_key(name))))
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_key(name))))

    @contextmanager
    def shared(self, name: LockName) -> Iterator[None]:
        """Hold a lock together with others who share it, while nobody holds it alone."""
        with ExitStack() as stack:
            if self.file:
                with alone(self.file.with_name(f".{name}.lock"), aloud=False):
                    stack.enter_context(locked(self.file.with_name(f".{name}.shared"), shared=True))
            else:
                connection = stack.enter_context(self.reading())
                connection.execute(sa.select(sa.func.pg_advisory_lock_shared(_key(name))))
                stack.callback(connection.execute, sa.select(sa.func.pg_advisory_unlock_shared(_key(name))))
            yield

    def scrub(self) -> None:
        """Copy SQLite's write-ahead log into the database and cut it: erased rows live on in it until then.

        PostgreSQL overwrites the space of deleted rows by itself (autovacuum).
        """
        if self.file:
            with self.reading() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connections that are kept."""
        self._engine.dispose()

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:  # its own text would quote statements and values
            raise EngineFailed("database", f"{self.place}: {_first_line(error.orig)}{advice(error.orig)}") from error
        except SQLAlchemyError as error:
            raise EngineFailed("database", f"{self.place}: {_first_line(error)}") from error
        except self._engine.dialect.loaded_dbapi.Error as error:
            raise EngineFailed("database", f"{self.place}: {_first_line(error)}{advice(error)}") from error


@dataclass(frozen=True, slots=True)
class Appending:
    """The last row of a table, and what adds rows behind it, by the names of their columns."""

    last: tuple[Any, ...] | None
    add: Callable[[Sequence[Mapping[str, Any]]], object]


class Turn:
    """A writer's turn: `transaction` gives the connection to write on, once."""

    def __init__(self, transaction: AbstractContextManager[sa.Connection]) -> None:
        self.transaction = transaction


def _sqlite(file: Path) -> sa.Engine:
    url = sa.URL.create("sqlite+pysqlite", database=str(file))
    arguments = {"timeout": BUSY_TIMEOUT_SECONDS}
    # no limit: a connection to a file costs little, and a thread that waits for one waits for nothing
    engine = sa.create_engine(url, pool_size=POOLED_CONNECTIONS, max_overflow=-1, connect_args=arguments)
    sa.event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, _: object) -> None:
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _postgresql(address: str) -> sa.Engine:
    user = address.partition("://")[2].partition("?")[0].rpartition("@")[0]
    if set(user) & set("/@#"):  # the address would be cut in the password, and the rest of it shown as a host
        raise UserError("database: in a user name or password / @ # are written %2F %40 %23")
    try:
        url = sa.make_url(address)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in POSTGRESQL or not url.database:
        shown = hide_credentials(address)
        raise UserError(f"database {shown!r}: sqlite:///FILE or postgresql://HOST/DATABASE expected")
    url = url.set(drivername="postgresql+psycopg")
    from personsearch.integrations.database.patience import (  # loads the driver
        CONNECT_SECONDS,
        check_before_use,
        make_impatient,
    )

    arguments = {"connect_timeout": CONNECT_SECONDS, **KEEP_ALIVE}
    engine = sa.create_engine(url, pool_size=POOLED_CONNECTIONS, connect_args=arguments)
    make_impatient(engine)
    check_before_use(engine)
    return engine


def _key(name: LockName) -> int:
    """An advisory lock's number: 64 bits, the same in every process."""
    digest = hashlib.sha256(f"personsearch {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def prepare_file(file: Path) -> None:
    """Make an SQLite database that only its owner can read; SQLite gives its journal the same permissions."""
    private_file(file)
