"""MLflow's tables in new files of SQLite: the first one gets them by MLflow's 68 migrations, later ones by a copy.

The migrations are a second's work. A database that is not empty, or of another engine, is left to them.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from mlflow.store.db import utils


@contextmanager
def copied_tables(kept: Path) -> Iterator[None]:
    """In this process, while the block runs; `kept` is the file to copy from, which is made on first use."""
    migrate = utils._initialize_tables

    def initialize(engine: sa.Engine) -> None:
        if engine.dialect.name != "sqlite" or not utils._is_empty_database(engine):
            migrate(engine)
            return
        with engine.connect() as connection, closing(sqlite3.connect(kept)) as tables:
            opened = connection.connection.driver_connection
            assert isinstance(opened, sqlite3.Connection)
            if kept.stat().st_size:
                tables.backup(opened)
            else:
                migrate(engine)
                opened.backup(tables)

    with patch.object(utils, "_initialize_tables", initialize):
        yield


@pytest.fixture(scope="session", autouse=True)
def mlflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For the tests of every folder whose conftest.py imports this."""
    with copied_tables(tmp_path_factory.mktemp("mlflow-tables") / "mlflow.db"):
        yield
