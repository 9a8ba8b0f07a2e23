"""What an MLflow server keeps: its database, prepared by MLflow itself, and its files."""

from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa

from personsearch.errors import EngineFailed, UserError
from personsearch.integrations.database.engine import SQLITE, Database
from personsearch.integrations.mlflow.connection import first_line

VERSION_TABLE = "alembic_version"
USED = ("runs", "registered_models", "model_versions", "logged_models")  # empty in a database that nobody has used


def open_mlflow_database(address: str) -> Database:
    """MLflow's database.

    Raises:
        UserError: the address names no file of SQLite that exists and no PostgreSQL.
    """
    database = Database(address)
    if database.file and not database.file.is_file():
        raise UserError(f"{database.file}: no such database; MLflow keeps its own there")
    return database


def prepare_mlflow_database(address: str, root: str) -> Database:
    """The same with MLflow's tables, which MLflow makes where there are none.

    Raises:
        UserError: it cannot be used, or has the tables of another version of MLflow.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database = Database(address)
    if database.file:
        database.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database.file.touch(mode=0o600)
    try:
        store = SqlAlchemyStore(_url(address, database.file), root)
        store.engine.dispose()
    except Exception as error:  # MLflow's stores and their database drivers share no base exception
        raise EngineFailed("registry", f"{database.place}: MLflow cannot use it: {first_line(error)}") from error
    return database


def mlflow_revision(database: Database) -> str:
    """The revision of MLflow's tables.

    Raises:
        UserError: MLflow has none there.
    """
    with database.reading() as connection:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            raise UserError(f"{database.place}: MLflow has no tables there")
        return str(connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one())


def is_used(database: Database) -> bool:
    """Whether anybody has logged a run or registered a model."""
    with database.reading() as connection:
        return any(
            connection.execute(sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1)).first() for name in USED
        )


def installed_version() -> str:
    """The version of MLflow here."""
    return version("mlflow")


def _url(address: str, file: Path | None) -> str:
    return f"{SQLITE}{file.resolve()}" if file else f"postgresql+psycopg://{address.partition('://')[2]}"
