"""The schema of a database: made, migrated, or refused in one line.

An embedded database is migrated when it is opened. A server's is migrated by `personsearch migrate`, because replicas
of an older version may still be using it.
"""

import logging
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa

from personsearch.errors import UserError, explain
from personsearch.files import alone, private_folder
from personsearch.integrations.database.engine import Database, prepare_file

logger = logging.getLogger(__name__)

REVISIONS = (  # oldest first
    "gallery",
    "keys",
    "promotions",
    "scopes",
    "pending_pictures",
    "audit",
    "frame_tokens",
    "notices",
    "builds",
    "alerts",
    "cameras",
)
HEAD = REVISIONS[-1]
VERSION_TABLE = "personsearch_version"  # MLflow may keep its own, alembic_version, in the same database
UNNAMED = 1  # `user_version` of galleries from before revisions had names; theirs is the first
NAMED = 2


def open_database(address: str) -> Database:
    """A database with the schema of this code. An embedded one is made or migrated where necessary.

    Raises:
        UserError: it cannot be used or reached, or has the schema of another version.
    """
    database = Database(address)
    if database.file:
        _migrate_file(database, database.file)
        return database
    revision = schema_revision(database)
    if revision is None:
        raise UserError(f"{database.place}: holds nothing of personsearch yet; `personsearch migrate` prepares it")
    if revision != HEAD:
        raise UserError(
            f"{database.place}: has the schema {revision!r} of an older version, {HEAD!r} expected; "
            "`personsearch migrate` brings it up to date, once no older version uses it"
        )
    return database


def schema_revision(database: Database) -> str | None:
    """The revision that a database has, None if it is empty.

    Raises:
        UserError: it cannot be reached, or its revision is none of this code's.
    """
    with database.reading() as connection:
        return _revision(database, connection)


def migrate(database: Database, *, to: str = HEAD) -> str | None:
    """Bring a database to the schema of this code, or to an earlier one that a backup has; one that is there already
    stays as it is. Returns the revision that it had, None if it was empty.

    Raises:
        UserError: as `schema_revision`.
    """
    return _migrate_file(database, database.file, to) if database.file else _migrate(database, to)


def _migrate_file(database: Database, file: Path, to: str = HEAD) -> str | None:
    """`migrate` where necessary, alone: SQLite does not wait for a reader when it changes a file's journal."""
    with ExitStack() as held:
        try:
            private_folder(file.parent)
            prepare_file(file)
            held.enter_context(alone(file.with_name(".schema.lock"), aloud=False))
        except OSError as error:
            raise UserError(f"{file.parent}: cannot hold a gallery: {explain(error)}") from error
        if schema_revision(database) == to:
            return to
        _refuse_foreign(database)
        with database.reading() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        return _migrate(database, to)


def _migrate(database: Database, to: str) -> str | None:
    with database.writing() as connection:
        database.serialise(connection, "schema")
        revision = _revision(database, connection)
        if revision is None or REVISIONS.index(revision) < REVISIONS.index(to):
            _upgrade(connection, revision, to=to)
        if database.file:
            connection.exec_driver_sql(f"PRAGMA user_version = {NAMED}")
    if revision not in (None, HEAD, to):
        logger.warning("%s: brought from the schema %r to %r", database.place, revision, to)
    return revision


def _refuse_foreign(database: Database) -> None:
    """Leave a file of another program as it is."""
    with database.reading() as connection:
        tables = sa.inspect(connection).get_table_names()
        if tables and _revision(database, connection) is None:
            raise UserError(
                f"{database.place}: a database of another program (it has {tables[0]!r}); a new file expected"
            )


def _revision(database: Database, connection: sa.Connection) -> str | None:
    revision = _named_revision(connection)
    if revision is None and database.file:
        number = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        revision = {0: None, UNNAMED: REVISIONS[0]}.get(number, f"version {number}")
    if revision not in (None, *REVISIONS):
        raise UserError(
            f"{database.place}: has the schema {revision!r}, which this version of personsearch does not know; "
            f"it knows {', '.join(REVISIONS)}"
        )
    return revision


def _named_revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE))).scalar()


def _upgrade(connection: sa.Connection, revision: str | None, *, to: str = HEAD) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    if revision is not None:
        command.stamp(config, revision)
    command.upgrade(config, to)
