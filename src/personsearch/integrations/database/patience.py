"""Connections to PostgreSQL on which nobody waits for ever for a server that is stopped.

A late answer says nothing: a statement may wait for a lock for hours. So the server is then asked on a new connection,
and the wait ends only if it does not answer there either. TCP's keep-alive sees that a machine is gone, but not that a
process is stopped, because its system answers for it.
"""

import select
import threading
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.errors import ConnectionTimeout
from sqlalchemy.exc import InvalidatePoolError

CONNECT_SECONDS = 5
PATIENCE_SECONDS = 5.0  # until a server that does not answer is asked whether it does at all
IDLE_SECONDS = 30.0  # after which a connection is asked whether it still is one
KNOWN_SECONDS = 2.0  # for so long, what it answered to one is told to all

T = TypeVar("T")


class Server:
    """One server, as all connections of an engine find it."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._asked_at = -KNOWN_SECONDS
        self._answers = True

    def connect(self, arguments: tuple[Any, ...], parameters: dict[str, Any]) -> "Connection":
        """A new connection; refused at once where another has just waited in vain.

        Raises:
            psycopg.OperationalError: the server refuses, or does not answer.
        """
        if not self._answers and time.monotonic() - self._asked_at < KNOWN_SECONDS:
            raise ConnectionTimeout(f"no answer for {CONNECT_SECONDS} s")
        try:
            connection = Connection.connect(*arguments, **parameters)
        except ConnectionTimeout:
            self._note(answers=False)
            raise
        self._note(answers=True)
        connection.reach = self, arguments, parameters
        return connection

    def answers(self, arguments: tuple[Any, ...], parameters: dict[str, Any]) -> bool:
        """Whether it answers on a new connection, be it with a refusal; asked once for all who want to know."""
        with self._asking:
            if time.monotonic() - self._asked_at >= KNOWN_SECONDS:
                try:
                    self.connect(arguments, parameters).close()
                except ConnectionTimeout:
                    return False
                except psycopg.OperationalError:
                    return True
            return self._answers

    def _note(self, *, answers: bool) -> None:
        self._answers, self._asked_at = answers, time.monotonic()


class Connection(psycopg.Connection[Any]):
    """A connection that is closed where its server is stopped."""

    reach: tuple[Server, tuple[Any, ...], dict[str, Any]] | None = None

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **options: Any) -> T:
        """As psycopg's."""
        return super().wait(self._impatient(gen), *arguments, **options)

    def _impatient(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        asked_at = time.monotonic()
        try:
            waits_for = next(gen)
            while True:
                ready = yield waits_for
                if not ready and self.reach and time.monotonic() - asked_at >= PATIENCE_SECONDS:
                    server, arguments, parameters = self.reach
                    if not server.answers(arguments, parameters):
                        self.pgconn.finish()
                        raise psycopg.OperationalError("the server does not answer")
                    asked_at = time.monotonic()
                waits_for = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result


def make_impatient(engine: sa.Engine) -> None:
    """Let an engine of PostgreSQL open such connections."""
    server = Server()

    def connect(_: object, __: object, arguments: list[Any], parameters: dict[str, Any]) -> Connection:
        return server.connect(tuple(arguments), parameters)

    sa.event.listen(engine, "do_connect", connect)


def check_before_use(engine: sa.Engine) -> None:
    """Let an engine of PostgreSQL replace kept connections that were closed meanwhile, without asking for each.

    A server that ends a session says so, and a connection on which it said nothing is one. What lies between may drop
    a connection that is idle for long, and say nothing.
    """

    def note(_: object, record: Any) -> None:
        record.info[engine] = time.monotonic()

    def check(connection: Any, record: Any, _: object) -> None:
        is_recent = time.monotonic() - record.info[engine] < IDLE_SECONDS
        if is_recent and not connection.closed and not _has_something_to_read(connection.pgconn.socket):
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error

    for event in ("connect", "checkin"):
        sa.event.listen(engine, event, note)
    sa.event.listen(engine, "checkout", check)


def _has_something_to_read(socket: int) -> bool:
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))
