"""An installation moves from embedded to engines and back, whole, and whatever interrupts it."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from personsearch.cli import main
from personsearch.errors import UserError
from personsearch.gallery.pictures import FolderPictures
from personsearch.gallery.store import Gallery
from personsearch.installation.api_keys import open_keys
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.move import Moved
from personsearch.installation.platforms import move_installation, open_gallery
from personsearch.installation.promoter_memory import open_memory
from personsearch.installation.service_records import ServiceRecord, start_of_process, write_records
from personsearch.installation.settings import Settings
from personsearch.integrations.database import copying
from personsearch.integrations.database.copying import content, kept_tables
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.promotions import Promotion
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.database.tables import CROPS, METADATA
from personsearch.search.filters import CropFilter
from tests.audit import write_earlier_log
from tests.gallery.builds import add
from tests.integrations.database.test_schema import BEFORE_MIGRATIONS
from tests.servers.s3 import S3Server

CROPS_HELD = 13


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with some rows in every table, whichever tables there are."""
    monkeypatch.setattr(copying, "PAGE_ROWS", 4)
    monkeypatch.setattr("personsearch.installation.move.PICTURES_AT_ONCE", 5)
    settings = Settings(home=tmp_path / "home")
    gallery = open_gallery(settings)
    add(gallery, 0, CROPS_HELD + 2)
    gallery.erase(CropFilter(crop_ids=("crop00003", "crop00007")))
    database = open_database(settings.database_address)
    for table in METADATA.sorted_tables:
        with database.writing() as connection:
            if connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0:
                connection.execute(sa.insert(table), [_row(table, number) for number in range(1, 7)])
    return settings


def _row(table: sa.Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column, number) for column in table.columns}


def _value(column: sa.Column[Any], number: int) -> Any:
    kind = column.type.python_type
    return {int: number, float: number / 7, str: f"{column.name} Zoë ŝ {number}", bytes: bytes([0, number])}[kind]


@pytest.fixture
def engines(new_postgresql: Callable[[], str], s3: S3Server) -> dict[str, str]:
    """The addresses of an empty PostgreSQL and an empty place in S3."""
    return {"to_database": new_postgresql(), "to_crops": s3.new_place()}


def test_an_installation_of_the_time_of_files_moves_whole(tmp_path: Path, engines: dict[str, str]) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "gallery" / "images").mkdir(parents=True)
    (tmp_path / "gallery" / "images" / "a.jpg").write_bytes(b"a picture")
    with sqlite3.connect(tmp_path / "gallery" / "gallery.db") as connection:
        connection.executescript(BEFORE_MIGRATIONS)
    (tmp_path / "api_keys.json").write_text(json.dumps([{"name": "local", "sha256": "5" * 64}]))
    indexed = {"indexed": {"version": "3", "sequence": 2}, "collection": "persons_v3_7"}
    (tmp_path / "promoter.json").write_text(json.dumps({"looked_at": 1.0, "state": "live", **indexed}))
    head = write_earlier_log(tmp_path / "audit.jsonl", [{"query": "red"}, {"query": "blue"}])
    moved = move_installation(settings, **engines)
    served = at(settings, **engines)
    assert [moved.rows[name] for name in ("crops", "tombstones", "videos", "audit_records")] == [1, 1, 1, 2]
    assert open_gallery(served).pictures.read("images/a.jpg") == b"a picture"
    assert [key.name for key in open_keys(served).all()] == ["local"]
    assert open_memory(served).live() == Promotion("3", "persons_v3_7", 2)
    assert open_audit(served).head() == head


def at(settings: Settings, to_database: str, to_crops: str) -> Settings:
    """The settings after a move."""
    return settings.model_copy(update={"database": to_database, "crops": to_crops})


def everything(settings: Settings) -> tuple[dict[str, Any], dict[str, bytes]]:
    gallery, database = open_gallery(settings), open_database(settings.database_address)
    pictures = {name: gallery.pictures.read(name) for page in gallery.pictures.names() for name in page}
    return {table.name: content(database, table) for table in kept_tables()}, pictures


def test_there_and_back_again(embedded: Settings, engines: dict[str, str], tmp_path: Path) -> None:
    before = everything(embedded)
    there = move_installation(embedded, **engines)
    served = at(embedded, **engines)
    assert everything(embedded) == everything(served) == before
    home = {"to_database": f"sqlite:///{tmp_path / 'back' / 'gallery.db'}", "to_crops": str(tmp_path / "back")}
    back = move_installation(served, **home)
    assert everything(at(embedded, **home)) == before
    assert there == back
    assert (there.pictures, there.pictures_missing) == (CROPS_HELD, 0)
    assert there.rows == {name: held.rows for name, held in before[0].items()}
    assert there.rows["crops"] == CROPS_HELD
    assert min(there.rows.values()) > 0
    assert not {"leases", "heartbeats", "pending_pictures"} & there.rows.keys()


def test_the_moved_gallery_continues(embedded: Settings, engines: dict[str, str]) -> None:
    move_installation(embedded, **engines)
    gallery = open_gallery(at(embedded, **engines))
    last = gallery.last_sequence()
    add(gallery, 0, CROPS_HELD + 3)  # of which two were erased, and one is new
    assert (gallery.count(), gallery.last_sequence()) == (CROPS_HELD + 1, last + 1)
    assert gallery.erase(CropFilter(crop_ids=("crop00001",))) == 1
    assert open_gallery(embedded).count() == CROPS_HELD


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("in_pictures", [True, False])
def test_an_interrupted_move_continues(
    embedded: Settings, engines: dict[str, str], monkeypatch: pytest.MonkeyPatch, in_pictures: bool
) -> None:
    before = everything(embedded)
    with monkeypatch.context() as patched:
        name = "read_many" if in_pictures else "read"
        if in_pictures:
            patched.setattr(FolderPictures, name, _after(2, FolderPictures.read_many))
        else:
            patched.setattr("personsearch.installation.move.copy_rows", _broken_copy)
        with pytest.raises(Interrupted):
            move_installation(embedded, **engines)
    assert everything(embedded) == before
    moved = move_installation(embedded, **engines)
    assert everything(at(embedded, **engines)) == before
    assert move_installation(embedded, **engines) == moved


def test_what_a_killed_move_left_half_written_does_not_stop_the_next(embedded: Settings, tmp_path: Path) -> None:
    there = tmp_path / "there"
    left = there / f"{next(iter(open_gallery(embedded).crops())).image_uri}.7-7.partial"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert move_installation(embedded, to_database=None, to_crops=str(there)).pictures == CROPS_HELD
    assert not left.exists()


def _after(calls: int, whole: Callable[..., Any]) -> Callable[..., Any]:
    left = [calls]

    def read_many(*arguments: Any) -> Any:
        if left[0] == 0:
            raise Interrupted
        left[0] -= 1
        return whole(*arguments)

    return read_many


def _broken_copy(source: Database, target: Database, table: sa.Table) -> Iterator[int]:
    for number, rows in enumerate(copying.copy_rows(source, target, table)):
        yield rows
        if table is CROPS and number == 1:
            raise Interrupted


def test_a_target_with_other_crops_is_refused_and_left_alone(embedded: Settings, tmp_path: Path) -> None:
    other = open_gallery(Settings(home=tmp_path / "other"))
    add(other, 600, 602)
    places = {"to_database": f"sqlite:///{other.rows.place}", "to_crops": str(tmp_path / "empty")}
    with pytest.raises(
        UserError, match=r"gallery\.db: holds crops of something else; an empty database, or one that an"
    ):
        move_installation(embedded, **places)
    assert other.count() == 2
    assert not list((tmp_path / "empty").rglob("*.jpg"))


def test_a_store_with_other_pictures_is_refused_and_left_alone(embedded: Settings, tmp_path: Path) -> None:
    other = open_gallery(Settings(home=tmp_path / "other"))
    add(other, 600, 602)
    places = {"to_database": f"sqlite:///{tmp_path / 'new.db'}", "to_crops": str(other.folder)}
    with pytest.raises(UserError, match=r"crop00600\.[0-9a-f]{16}\.jpg, which is no picture of"):
        move_installation(embedded, **places)
    assert [count for count in _counts(tmp_path / "new.db").values() if count] == []
    assert len(list(other.folder.rglob("*.jpg"))) == 2


def _counts(file: Path) -> dict[str, int]:
    database = open_database(f"sqlite:///{file}")
    return {table.name: content(database, table).rows for table in kept_tables()}


def test_pictures_move_without_the_database(embedded: Settings, s3: S3Server) -> None:
    moved = move_installation(embedded, to_database=None, to_crops=(place := s3.new_place()))
    assert moved.pictures == CROPS_HELD
    gallery = open_gallery(embedded.model_copy(update={"crops": place}))
    assert all(gallery.picture(crop) == open_gallery(embedded).picture(crop) for crop in gallery.crops())


def test_a_picture_that_is_missing_is_missing_there_too(embedded: Settings, tmp_path: Path) -> None:
    gallery = open_gallery(embedded)
    (gallery.folder / next(iter(gallery.crops())).image_uri).unlink()
    moved = move_installation(embedded, to_database=None, to_crops=str(tmp_path / "there"))
    assert (moved.pictures, moved.pictures_missing) == (CROPS_HELD - 1, 1)


def test_a_changed_picture_is_found(embedded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderPictures, "write", _cut(FolderPictures.write))
    with pytest.raises(UserError, match=r"there/images/.*: differs from .*gallery/images/"):
        move_installation(embedded, to_database=None, to_crops=str(tmp_path / "there"))


def _cut(whole: Callable[..., None]) -> Callable[..., None]:
    return lambda pictures, written: whole(pictures, [(name, jpeg[:-1]) for name, jpeg in written])


def test_a_change_of_the_source_meanwhile_is_found(
    embedded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = METADATA.tables["api_keys"]

    def changing(source: Database, target: Database, table: sa.Table) -> Iterator[int]:
        yield from copying.copy_rows(source, target, table)
        if table is keys:
            with source.writing() as connection:
                connection.execute(sa.update(keys).values(revoked_at=7))

    monkeypatch.setattr("personsearch.installation.move.copy_rows", changing)
    with pytest.raises(UserError, match=r"'api_keys' has .* it was changed meanwhile. Stop what uses it"):
        move_installation(embedded, to_database=f"sqlite:///{tmp_path / 'new.db'}", to_crops=str(tmp_path / "there"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to_database": None, "to_crops": None}, "--to-database, --to-crops or both expected"),
        ({"to_database": None, "to_crops": "gallery"}, "the installation is there already"),
        ({"to_database": "mysql://host/x", "to_crops": None}, "sqlite:///FILE or postgresql://HOST/DATABASE expected"),
    ],
)
def test_what_cannot_be_moved_is_said(embedded: Settings, arguments: dict[str, str | None], message: str) -> None:
    if arguments["to_crops"]:
        arguments = arguments | {"to_crops": str(embedded.gallery_folder)}
    with pytest.raises(UserError, match=message):
        move_installation(embedded, **arguments)


def test_another_spelling_of_the_same_place_is_no_other_place(
    embedded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(embedded.home)
    database = f"sqlite:///{embedded.database_address.rpartition('/')[2]}"
    monkeypatch.chdir(embedded.gallery_folder)
    for arguments in (
        {"to_database": None, "to_crops": "."},
        {"to_database": database, "to_crops": None},
        {"to_database": None, "to_crops": str(tmp_path / "link" / "gallery")},
    ):
        with pytest.raises(UserError, match="the installation is there already"):
            move_installation(embedded, **arguments)


def test_services_that_would_write_meanwhile_are_named(embedded: Settings, tmp_path: Path) -> None:
    pid = os.getpid()
    write_records(
        embedded.home, {"serving": ServiceRecord(pid, start_of_process(pid), "http://127.0.0.1:1", "serving.log")}
    )
    with pytest.raises(UserError, match=r"serving of .* would write meanwhile; run `personsearch down` first"):
        move_installation(embedded, to_database=None, to_crops=str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_without_a_gallery_there_is_nothing_to_move(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no gallery; there is nothing to move"):
        move_installation(Settings(home=tmp_path / "none"), to_database=None, to_crops=str(tmp_path / "there"))


def test_the_command_says_what_it_moved(
    embedded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(embedded.home))
    there = ["--to-database", f"sqlite:///{tmp_path / 'new.db'}", "--to-crops", str(tmp_path / "there"), "--json"]
    monkeypatch.setattr("sys.argv", ["personsearch", "move", *there])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    moved = Moved.model_validate(json.loads(capsys.readouterr().out))
    assert (moved.rows["crops"], moved.pictures) == (CROPS_HELD, CROPS_HELD)
    assert isinstance(open_gallery(embedded), Gallery)
