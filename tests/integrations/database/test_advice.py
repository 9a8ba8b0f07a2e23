"""What a database refuses comes with what to do."""

import sqlite3
from pathlib import Path

import psycopg
import pytest

from personsearch.errors import UserError
from personsearch.integrations.database.advice import advice
from personsearch.integrations.database.engine import Database


def test_of_sqlite(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    sqlite3.connect(file).executescript("CREATE TABLE t (x); PRAGMA user_version = 3")
    reader = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as readonly:
        reader.execute("INSERT INTO t VALUES (1)")
    assert advice(readonly.value) == "; make the file and its folder writable for this user"
    small = sqlite3.connect(file)
    small.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as full:
        small.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert advice(full.value) == "; free disk space"
    with pytest.raises(sqlite3.OperationalError) as wrong:
        small.execute("SELECT nothing")
    assert advice(wrong.value) == ""
    file.write_bytes(b"this is no database, whatever its name may be" * 100)
    with (
        pytest.raises(UserError, match=r"a\.db: file is not a database; put back a backup"),
        Database(f"sqlite:///{file}").reading(),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (psycopg.errors.DiskFull, "free disk space on the server"),
        (psycopg.errors.ReadOnlySqlTransaction, "name the primary"),
        (psycopg.errors.InsufficientPrivilege, "grant this user"),
        (psycopg.errors.AdminShutdown, "wait for it"),
        (psycopg.errors.QueryCanceled, "statement_timeout"),
        (psycopg.errors.LockNotAvailable, "held the lock for too long"),
        (psycopg.errors.TooManyConnections, "max_connections"),
        (psycopg.OperationalError, "start the server, or correct address"),
        (psycopg.errors.UniqueViolation, ""),
    ],
)
def test_of_postgresql(error: type[psycopg.Error], words: str) -> None:
    assert words in advice(error("what the server said"))
    assert bool(advice(error("what the server said"))) == bool(words)


def test_of_nothing() -> None:
    assert advice(None) == advice(ValueError("x")) == ""


def test_a_server_that_is_not_there_is_told_with_what_to_do() -> None:
    with (
        pytest.raises(UserError, match=r"127\.0\.0\.1:1/x: .*; start the server, or correct address, user"),
        Database("postgresql://u:p@127.0.0.1:1/x").reading(),
    ):
        pass
