"""Every database comes to the one schema: a new one, a file of the time before migrations; others are refused."""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.integrations.database import schema
from personsearch.integrations.database.engine import Database, prepare_file
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.keys import DatabaseKeys
from personsearch.integrations.database.rows import DatabaseRows
from personsearch.integrations.database.schema import (
    HEAD,
    REVISIONS,
    VERSION_TABLE,
    migrate,
    open_database,
    schema_revision,
)
from personsearch.integrations.database.tables import METADATA
from personsearch.search.filters import EVERYTHING

BEFORE_MIGRATIONS = """
CREATE TABLE crops (
    sequence INTEGER PRIMARY KEY,
    crop_id TEXT NOT NULL UNIQUE,
    camera_id TEXT NOT NULL,
    captured_at INTEGER NOT NULL,
    track_id TEXT NOT NULL,
    image_uri TEXT NOT NULL UNIQUE,
    x INTEGER NOT NULL, y INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    frame_uri TEXT NOT NULL,
    quality REAL NOT NULL CHECK (quality BETWEEN 0 AND 1),
    ingested_at INTEGER NOT NULL
) STRICT;
CREATE INDEX crops_by_camera_and_time ON crops (camera_id, captured_at);
CREATE INDEX crops_by_time ON crops (captured_at);
CREATE INDEX crops_by_track ON crops (track_id);
CREATE TABLE tombstones (
    sequence INTEGER PRIMARY KEY,
    crop_id TEXT NOT NULL UNIQUE,
    erased_at INTEGER NOT NULL
) STRICT;
CREATE TABLE videos (
    camera_id TEXT NOT NULL,
    start INTEGER NOT NULL,
    content_hash TEXT NOT NULL,
    settings TEXT NOT NULL,
    result TEXT,
    PRIMARY KEY (camera_id, start)
) STRICT;
INSERT INTO crops VALUES (1, 'a', 'gate 3', 1772366400123, 't', 'images/a.jpg', 1, 2, 3, 6, 'v#3', 0.5, 1772366400124);
INSERT INTO tombstones VALUES (2, 'b', 1772366400124);
INSERT INTO videos VALUES ('gate 3', 1772366400000, 'hash', '{"every": 2}', NULL);
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


@pytest.fixture
def empty(new_postgresql: Callable[[], str]) -> Iterator[Database]:
    database = Database(new_postgresql())
    yield database
    database.close()


def test_the_migrations_lead_to_the_tables_of_the_code(database_address: str) -> None:
    with open_database(database_address).reading() as connection:
        options = {"compare_type": True, "version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_every_migration_is_known_by_name() -> None:
    script = ScriptDirectory(str(Path(schema.__file__).with_name("migrations")))
    assert tuple(each.revision for each in script.walk_revisions())[::-1] == REVISIONS


def test_a_gallery_of_the_time_before_migrations_keeps_everything(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "gallery.db") as connection:
        connection.executescript(BEFORE_MIGRATIONS)
    for _ in range(2):
        gallery = gallery_in(tmp_path)
        [held] = gallery.crops()
        assert (held.crop_id, held.camera_id, held.captured_at.isoformat()) == (
            "a",
            "gate 3",
            "2026-03-01T12:00:00.123000+00:00",
        )
        assert list(gallery.erased_since(0)) == ["b"]
        assert gallery.last_sequence() == 2
        assert _revision(gallery) == HEAD
        assert gallery.rows.videos_of("hash")[0].settings == '{"every": 2}'


def _revision(gallery: Gallery) -> str | None:
    return schema_revision(Database(f"sqlite:///{gallery.rows.place}"))


def test_a_server_of_an_older_version_waits_for_the_command(empty: Database, tmp_path: Path) -> None:
    with empty.writing() as connection:
        schema._upgrade(connection, None, to=REVISIONS[0])
        address = connection.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with pytest.raises(UserError, match=f"'gallery' of an older version, '{HEAD}' expected; `personsearch migrate`"):
        gallery_in(tmp_path, address)
    assert migrate(empty) == "gallery"
    assert gallery_in(tmp_path, address).count() == 0


def test_the_quick_tables_of_tests_are_those_of_the_migrations(tmp_path: Path) -> None:
    files = [tmp_path / name / "gallery.db" for name in ("migrated", "new", "newer")]
    databases = [Database(f"sqlite:///{file}") for file in files]
    migrate(databases[0], to=REVISIONS[-2])
    for database in databases:
        migrate(database)
        database.close()
    contents = []
    for file in files:
        with closing(sqlite3.connect(file)) as opened:
            contents.append([*opened.iterdump(), *opened.execute("PRAGMA user_version")])
    assert contents[1] == contents[2] == contents[0]


def test_keys_of_the_time_before_scopes_still_search(empty: Database) -> None:
    with empty.writing() as connection:
        schema._upgrade(connection, None, to="keys")
        connection.exec_driver_sql("INSERT INTO api_keys (sha256, name, created_at) VALUES ('hash', 'team 7', 0)")
    migrate(empty)
    assert [(key.name, key.scopes) for key in DatabaseKeys(empty).all()] == [("team 7", ("search",))]


def test_tokens_that_an_earlier_version_stored_are_hidden_and_the_live_collection_follows(
    empty: Database, tmp_path: Path
) -> None:
    file = Database(f"sqlite:///{tmp_path / 'gallery.db'}")
    prepare_file(tmp_path / "gallery.db")
    addresses = ["rtsp://10.0.0.7/a?token=hunter2#our-time=1", "clip.mp4#frame=3", "http://ann:hunter2@host/a"]
    for database in (empty, file):
        with database.writing() as connection:
            schema._upgrade(connection, None, to="audit")
            for number, address in enumerate(addresses, start=1):
                values = f"({number}, 'c{number}', 'gate', 0, 't', 'i{number}', 1, 2, 3, 4, '{address}', 0.5, 0)"
                connection.exec_driver_sql(f"INSERT INTO crops VALUES {values}")
            connection.exec_driver_sql("INSERT INTO tombstones VALUES (4, 'erased', 0)")
        migrate(database)
        rows = DatabaseRows(database)
        hidden = {crop.crop_id: crop.frame_uri for crop in rows.crops(EVERYTHING)}
        assert hidden == {
            "c1": "rtsp://10.0.0.7/a?token=***#our-time=1",
            "c2": "clip.mp4#frame=3",
            "c3": "http://***@host/a",
        }
        assert [crop.crop_id for crop in rows.crops_since(4)] == ["c1", "c3"]
        assert rows.last_sequence() == 6
        database.close()


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 99", f"UPDATE {VERSION_TABLE} SET version_num = 'later'"])
def test_a_schema_of_a_newer_version_is_refused(tmp_path: Path, statement: str) -> None:
    gallery_in(tmp_path)
    with sqlite3.connect(tmp_path / "gallery.db") as connection:
        if "user_version" in statement:
            connection.execute(f"DROP TABLE {VERSION_TABLE}")
        connection.execute(statement)
    with pytest.raises(UserError, match=r"gallery\.db: has the schema '(version 99|later)', which this version"):
        gallery_in(tmp_path)


def test_an_empty_server_is_prepared_by_a_command_only(empty: Database, tmp_path: Path) -> None:
    with empty.reading() as connection:
        address = connection.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with pytest.raises(UserError, match="`personsearch migrate` prepares it"):
        gallery_in(tmp_path, address)
    assert migrate(empty) is None
    assert migrate(empty) == HEAD
    assert gallery_in(tmp_path, address).count() == 0


def test_a_server_of_a_newer_version_is_refused(empty: Database) -> None:
    migrate(empty)
    with empty.writing() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = 'later'"))
    with pytest.raises(UserError, match="'later', which this version of personsearch does not know"):
        migrate(empty)


def test_a_file_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "places.db"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE places (id INTEGER)")
    before = file.read_bytes()
    with pytest.raises(UserError, match="a database of another program \\(it has 'places'\\)"):
        open_database(f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize("address", ["sqlite:///", "sqlite:///:memory:"])
def test_a_database_without_a_file_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="sqlite:///FILE or postgresql://HOST/DATABASE expected"):
        Database(address)


@pytest.mark.parametrize("password", ["xy/zw", "xy@zw", "xy#zw"])
def test_a_password_that_cuts_its_address_is_not_shown(password: str) -> None:
    with pytest.raises(UserError, match="are written %2F %40 %23") as caught:
        Database(f"postgresql://user:{password}@127.0.0.1:1/gallery")
    assert "xy" not in str(caught.value)


def test_processes_that_open_a_new_database_at_once_make_it_once(tmp_path: Path) -> None:
    opened = (
        "import pathlib, sys; from personsearch.integrations.database.gallery import gallery_in; "
        "sys.stdin.read(); print(gallery_in(pathlib.Path(sys.argv[1])).cameras())"
    )
    for attempt in range(3):
        command = [sys.executable, "-c", opened, str(tmp_path / str(attempt))]
        starting, start = os.pipe()
        processes = [Popen(command, stdin=starting, stdout=PIPE, stderr=PIPE, text=True) for _ in range(5)]
        os.close(starting)
        os.close(start)  # all of them read its end now
        assert [process.communicate() for process in processes] == [("[]\n", "")] * 5
