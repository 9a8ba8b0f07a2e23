"""Our tables in new files of SQLite: the first one gets them by the migrations, later ones by the statements of those.

Alembic takes ten times as long to find out what to run as SQLite to run it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from personsearch.integrations.database import schema

CHANGES = ("ALTER", "CREATE", "DELETE", "DROP", "INSERT", "UPDATE")


@contextmanager
def replayed_migrations() -> Iterator[None]:
    """In this process, while the block runs. Other engines and databases of an older schema are migrated as ever."""
    upgrade = schema._upgrade
    changes: list[tuple[str, Any]] = []

    def migrate_or_replay(connection: sa.Connection, revision: str | None, *, to: str = schema.HEAD) -> None:
        if connection.dialect.name != "sqlite" or revision is not None or to != schema.REVISIONS[-1]:
            upgrade(connection, revision, to=to)
        elif changes:
            for statement, parameters in changes:
                connection.exec_driver_sql(statement, parameters)
        else:
            noted = note_changes(connection)
            upgrade(connection, revision, to=to)
            changes.extend(noted)

    with patch.object(schema, "_upgrade", migrate_or_replay):
        yield


def note_changes(connection: sa.Connection) -> list[tuple[str, Any]]:
    """The statements that change the database, with their parameters, as they come."""
    noted: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        if statement.lstrip().upper().startswith(CHANGES):
            noted.append((statement, parameters))

    sa.event.listen(connection, "before_cursor_execute", note)
    return noted
