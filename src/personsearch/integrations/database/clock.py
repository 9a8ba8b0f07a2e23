"""The database's clock: the one clock that hosts which share a database agree on."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

Clock = Callable[[sa.Connection], int]
"""The time of a database, in milliseconds since 1970."""


class _now(FunctionElement[int]):  # noqa: N801 (named as SQL functions are)
    inherit_cache = True


@compiles(_now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(_now, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:
    # now() would be the start of the transaction, which may have waited for a lock since
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


def database_clock(connection: sa.Connection) -> int:
    """The database's own time."""
    return int(connection.execute(sa.select(_now())).scalar_one())
