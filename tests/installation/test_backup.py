"""An installation is backed up while it is used, and comes back whole, with every answer and without whom it erased."""

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.backup import contents
from personsearch.installation.backup.archive import CONTENTS, KINDS, MANIFESTS, UNFINISHED, Archive
from personsearch.installation.backup.create import create
from personsearch.installation.backup.opening import Stores, kinds_of, open_archive
from personsearch.installation.backup.owner import adopt
from personsearch.installation.backup.restore import _moved, restore
from personsearch.installation.backup.upkeep import erase, expire, verify
from personsearch.installation.platforms import open_gallery, open_store
from personsearch.installation.promoter_memory import open_memory
from personsearch.installation.settings import Settings
from personsearch.integrations.database import schema
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.notices import BACKED_UP, DatabaseNotices
from personsearch.integrations.database.schema import HEAD, migrate, open_database
from personsearch.integrations.database.tables import ALERTS, CROPS
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS
from tests.gallery.builds import add, build, gallery_ids
from tests.hash_encoder import HashEncoder
from tests.servers.s3 import READER, S3Server

HELD = 40
GONE = ("crop00003", "crop00017")
LATER = CropFilter(crop_ids=("crop00005", "crop00021"))

ALERTED = (
    {"number": 1, "alert_id": "a1", "crop_id": "crop00005"},
    {"number": 2, "alert_id": "a2", "crop_id": "crop00006"},
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with a live collection, records of an audit log, and files of MLflow."""
    monkeypatch.setattr(contents, "USUAL_PART", 8)
    return fill(Settings(home=tmp_path / "home"))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return open_archive(str(tmp_path / "backups"))


def fill(settings: Settings) -> Settings:
    gallery = open_gallery(settings)
    add(gallery, 0, HELD + len(GONE))
    gallery.erase(CropFilter(crop_ids=GONE))
    database = open_database(settings.database_address)
    with database.writing() as connection:  # an alert on somebody who is erased later, and on somebody who is not
        row = {column.name: column.type.python_type(7) for column in ALERTS.columns}
        connection.execute(sa.insert(ALERTS), [row | own for own in ALERTED])
    log = AuditLog(DatabaseAudit(database))
    for number in range(20):
        log.append("search", {"request_id": f"r{number}"})
    store = open_store(settings)
    build(store, gallery)
    store.close()
    return settings


def elsewhere(settings: Settings, tmp_path: Path, name: str = "restored") -> Settings:
    return settings.model_copy(update={"home": tmp_path / name})


def answers(settings: Settings) -> list[list[tuple[str, float]]]:
    """What searches find."""
    store = open_store(settings)
    texts_QD = HashEncoder("1").encode_texts(["a man in red", "a woman in blue", "green"])
    found = store.open(LIVE_ALIAS).search(texts_QD, 12)
    store.close()
    return [[(hit.crop.crop_id, hit.score) for hit in hits] for hits in found]


def pictures(gallery: Gallery) -> dict[str, bytes]:
    return {name: gallery.pictures.read(name) for page in gallery.pictures.names() for name in page}


def held_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_comes_back(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    made = create(Stores(settings), archive, KINDS)
    assert made.kinds == ["database", "crops", "milvus"]  # nobody has used MLflow
    assert verify(archive, archive.manifests()).damaged == ()
    there = elsewhere(settings, tmp_path)
    restored = restore(Stores(there), archive, archive.manifest(None), ("database", "crops", "milvus"))
    assert (restored.pictures, restored.rows["crops"], restored.vectors, restored.left_out) == (HELD, HELD, HELD, 0)
    before, after = open_gallery(settings), open_gallery(there)
    assert list(after.crops()) == list(before.crops())
    assert pictures(after) == pictures(before)
    assert after.is_erased(GONE[0])
    assert answers(there) == answers(settings)
    log = AuditLog(DatabaseAudit(open_database(there.database_address)))
    head = AuditLog(DatabaseAudit(open_database(settings.database_address))).head()
    assert log.verify(expected_head=head.hash).intact
    live = open_memory(there).live()
    assert live is not None
    assert (live.collection, live.sequence) == (made.milvus.collection if made.milvus else "", 0)


def test_a_second_backup_writes_only_what_is_new(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    first = create(Stores(settings), archive, KINDS)
    before = held_in(tmp_path / "backups" / CONTENTS)
    add(open_gallery(settings), 600, 601)
    second = create(Stores(settings), archive, KINDS)
    after = held_in(tmp_path / "backups" / CONTENTS)
    new = after.keys() - before.keys()
    assert before.items() <= after.items()
    assert len(new) <= 4  # a picture, its list, and the rows of two tables
    assert second.bytes > first.bytes
    assert DatabaseNotices(open_database(settings.database_address)).number(BACKED_UP) == int(
        second.began_at.timestamp() * 1000
    )


def test_a_full_backup_mends_what_was_damaged(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    create(Stores(settings), archive, KINDS)
    files = sorted((tmp_path / "backups" / CONTENTS).rglob("*"))
    lost, changed = [path for path in files if path.is_file()][::20][:2]
    lost.unlink()
    changed.write_bytes(b"other")
    found = verify(archive, archive.manifests()).damaged
    assert any(f"{lost.name}: is missing" in line for line in found)
    assert any(f"{changed.name}: is damaged" in line for line in found)
    with pytest.raises(UserError, match=r"is missing|is damaged"):
        restore(Stores(elsewhere(settings, tmp_path)), archive, archive.manifest(None), KINDS[:3])
    create(Stores(settings), archive, KINDS, full=True)
    assert verify(archive, archive.manifests()).damaged == ()


def test_damaged_files_do_not_hinder_the_next_backup(
    settings: Settings, archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = create(Stores(settings), archive, ("database",))
    file = tmp_path / "backups" / MANIFESTS / f"{damaged.name}.json"
    file.write_text(file.read_text()[:100])
    (tmp_path / "backups" / UNFINISHED).write_text("[{")
    create(Stores(settings), archive, KINDS)
    assert f"{damaged.name}.json: is damaged; its file must be removed" in caplog.text
    verified = verify(archive)
    assert (verified.backups, len(verified.damaged)) == (1, 1)
    before = held_in(tmp_path / "backups")
    open_gallery(settings).erase(LATER)
    for work in (erase, lambda stores, archive: expire(stores, archive, days=0)):
        with pytest.raises(UserError, match=rf"{damaged.name}.json: is damaged. Nothing was removed"):
            work(Stores(settings), archive)
    assert held_in(tmp_path / "backups") == before
    file.unlink()
    assert verify(archive).damaged == ()


def test_whole_backups_are_restored_beside_a_damaged_one(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    whole = create(Stores(settings), archive, KINDS)
    open_gallery(settings).erase(LATER)
    create(Stores(settings), archive, KINDS)
    damaged = create(Stores(settings), archive, ("database",))
    file = tmp_path / "backups" / MANIFESTS / f"{damaged.name}.json"
    file.write_text(file.read_text()[:100])
    newest = archive.manifests(damaged=[])[-1]
    with pytest.raises(UserError, match=rf"{damaged.name}.json: is damaged; the newest whole one is {newest.name}"):
        archive.manifest(None)
    there = elsewhere(settings, tmp_path)
    restored = restore(Stores(there), archive, archive.manifest(whole.name), KINDS[:3])
    assert restored.damaged == (f"{file}: is damaged",)
    assert (restored.rows["crops"], restored.left_out) == (HELD - 2, 2), "by the newest that can be read"


def test_a_backup_says_little_where_nobody_watches(
    settings: Settings, archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = create(Stores(settings), archive, KINDS)
    said = capsys.readouterr().err.splitlines()
    assert made.database is not None
    tables = f"backup: {len(made.database.tables)} tables with "
    assert [line for line in said if line.startswith(tables) and line.endswith("gallery.db")] == said[:1]
    assert said[1:] == [f"backup: pictures: {HELD}/{HELD} done", f"backup: vectors: {HELD}/{HELD} done"]
    restore(Stores(elsewhere(settings, tmp_path)), archive, made, KINDS[:3])
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(
    settings: Settings, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(Stores(settings), archive, ("database",))
    before, scandir = held_in(tmp_path / "backups"), os.scandir

    def refuse(path: Any = ".") -> Any:
        if Path(path) == tmp_path / "backups" / MANIFESTS:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        for work in (erase, lambda stores, archive: expire(stores, archive, days=0)):
            with pytest.raises(UserError, match="cannot be listed"):
                work(Stores(settings), archive)
    assert held_in(tmp_path / "backups") == before


def test_what_is_damaged_is_left_out_and_named(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    made = create(Stores(settings), archive, KINDS)
    assert made.crops is not None
    assert made.milvus is not None
    (_, _, (picture,)) = json.loads(archive.lines(made.crops.parts[0])[0])
    vectors = made.milvus.parts[0]
    lost, changed = (tmp_path / "backups" / CONTENTS / each[:2] / each for each in (picture, vectors.sha256))
    lost.unlink()
    changed.write_bytes(b"something else")
    restored = restore(Stores(elsewhere(settings, tmp_path)), archive, made, KINDS[:3])
    assert restored.damaged == (f"{lost}: is missing", f"{changed}: is damaged: its SHA-256 is another")
    assert (restored.rows["crops"], restored.pictures, restored.vectors) == (HELD, HELD - 1, HELD - vectors.items)


def test_a_changed_manifest_is_refused(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    made = create(Stores(settings), archive, ("database",))
    (file,) = (tmp_path / "backups" / MANIFESTS).iterdir()
    whole = file.read_text()
    file.write_text(whole.replace('"rows": 40', '"rows": 41'))
    with pytest.raises(UserError, match=rf"{made.name}.json: is damaged: its SHA-256 differs"):
        archive.manifest(None)
    file.write_text(whole[:100])
    with pytest.raises(UserError, match=rf"{made.name}.json: is damaged"):
        archive.manifest(None)


def test_backups_of_newer_versions_are_refused(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    made = create(Stores(settings), archive, ("database",))
    assert made.database is not None
    tables = made.database.model_copy(update={"revision": "of the year 2030"})
    archive.write(made.model_copy(update={"database": tables}))
    with pytest.raises(UserError, match=r"schema 'of the year 2030' of a newer version of personsearch"):
        restore(Stores(elsewhere(settings, tmp_path)), archive, archive.manifest(None), ("database",))
    archive.write(made.model_copy(update={"format": 2}))
    with pytest.raises(UserError, match=r"was made by a newer version of personsearch"):
        archive.manifest(None)


def test_a_backup_of_an_older_schema_is_migrated(
    settings: Settings, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Database(f"sqlite:///{tmp_path / 'old' / 'gallery' / 'gallery.db'}")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "HEAD", "audit")
        migrate(old, to="audit")
    with old.writing() as connection:
        row = {column.name: column.type.python_type(1) for column in CROPS.columns} | {"frame_uri": "rtsp://u:p@host/1"}
        connection.execute(sa.insert(CROPS), [row | {"crop_id": "old1", "quality": 0.5}])
    from personsearch.installation.backup.archive import Manifest, Writer
    from personsearch.installation.backup.create import dump_tables
    from personsearch.integrations.database.dumping import tables_of

    now = datetime.now(UTC)
    names = ["crops", "tombstones", "videos", "api_keys", "promotions", "audit_records"]
    tables = dump_tables(Writer(archive), old, tables_of(old, names), revision="audit")
    archive.write(Manifest(name="1", personsearch="0", began_at=now, ended_at=now, database=tables))
    there = elsewhere(settings, tmp_path)
    assert restore(Stores(there), archive, archive.manifest(None), ("database",)).rows["crops"] == 1
    assert schema.schema_revision(Database(there.database_address)) == HEAD
    assert "u:p" not in open_gallery(there).crop("old1").frame_uri  # type: ignore[union-attr]
    with pytest.raises(UserError, match=rf"has the schema '{HEAD}', the backup the older 'audit'"):
        restore(Stores(settings), archive, archive.manifest(None), ("database",))


@pytest.mark.parametrize("kinds", [("database",), ("crops", "database"), ("milvus",)])
def test_an_installation_that_is_used_is_refused(
    settings: Settings, archive: Archive, tmp_path: Path, kinds: tuple[Any, ...]
) -> None:
    create(Stores(settings), archive, KINDS)
    other = elsewhere(settings, tmp_path, "other")
    add(gallery := open_gallery(other), 600, 604)
    store = open_store(other)
    build(store, gallery, version="2")
    store.close()
    before = pictures(gallery)
    with pytest.raises(UserError, match=r"holds .*expected"):
        restore(Stores(other), archive, archive.manifest(None), kinds)
    assert (gallery.count(), pictures(gallery)) == (4, before)


def test_pictures_alone_are_put_back_where_they_are_missing(
    settings: Settings, archive: Archive, tmp_path: Path
) -> None:
    create(Stores(settings), archive, KINDS)
    gallery = open_gallery(settings)
    gallery.erase(LATER)
    before = pictures(gallery)
    gallery.pictures.remove(sorted(before)[:7])
    assert restore(Stores(settings), archive, archive.manifest(None), ("crops",)).pictures == 7
    assert pictures(gallery) == before


def test_vectors_alone_come_back_without_a_model(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    create(Stores(settings), archive, KINDS)
    before, gallery = answers(settings), open_gallery(settings)
    emptied = settings.model_copy(update={"milvus_uri": str(tmp_path / "new.db")})
    assert restore(Stores(emptied), archive, archive.manifest(None), ("milvus",)).vectors == HELD
    assert answers(emptied) == before
    assert restore(Stores(emptied), archive, archive.manifest(None), ("milvus",)).vectors == HELD  # as interrupted
    assert gallery.count() == HELD


def test_erased_people_do_not_come_back_from_an_older_backup(
    settings: Settings, archive: Archive, tmp_path: Path
) -> None:
    old = create(Stores(settings), archive, KINDS)
    open_gallery(settings).erase(LATER)
    create(Stores(settings), archive, KINDS)
    there = elsewhere(settings, tmp_path)
    for _ in range(2):  # the second finds what the first has done
        restored = restore(Stores(there), archive, archive.manifest(old.name), KINDS[:3])
        assert (restored.left_out, restored.rows["crops"], restored.pictures) == (2, HELD - 2, HELD - 2)
    assert gallery_ids(open_gallery(there)) == gallery_ids(open_gallery(settings))
    assert pictures(open_gallery(there)) == pictures(open_gallery(settings))
    assert open_gallery(there).is_erased(LATER.crop_ids[0])  # type: ignore[index]
    store = open_store(there)
    assert list(store.open(LIVE_ALIAS).crop_ids()) == gallery_ids(open_gallery(there))
    store.close()


def test_erased_people_stay_away_where_the_newest_backup_holds_no_rows(
    settings: Settings, archive: Archive, tmp_path: Path
) -> None:
    old = create(Stores(settings), archive, KINDS)
    open_gallery(settings).erase(LATER)
    create(Stores(settings), archive, KINDS)
    create(Stores(settings), archive, ("milvus",))
    there = elsewhere(settings, tmp_path)
    restored = restore(Stores(there), archive, archive.manifest(old.name), KINDS[:3])
    assert (restored.left_out, restored.pictures, restored.vectors) == (2, HELD - 2, HELD - 2)
    assert open_gallery(there).is_erased(LATER.crop_ids[0])  # type: ignore[index]


def test_an_erasure_reaches_every_backup(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    gallery, store = open_gallery(settings), open_store(settings)
    crop = gallery.crop(LATER.crop_ids[0])  # type: ignore[index]
    assert crop is not None
    jpeg = gallery.picture(crop)
    _, vectors_ND = store.open(LIVE_ALIAS).fetch([crop.crop_id])
    store.close()
    create(Stores(settings), archive, KINDS)
    add(gallery, 600, 602)
    create(Stores(settings), archive, KINDS)
    gallery.erase(LATER)
    assert erase(Stores(settings), archive).backups == 2
    kept = held_in(tmp_path / "backups").values()
    assert jpeg not in kept
    assert not any(vectors_ND.tobytes() in content for content in kept)
    assert verify(archive, archive.manifests()).damaged == ()
    for manifest in archive.manifests():
        assert manifest.database is not None
        rows = {table.name: list(contents.rows_in(archive, table)) for table in manifest.database.tables}
        assert crop.crop_id not in {row[1] for row in rows["crops"]}
        assert [row[0] for row in rows["alerts"]] == [2]
        there = elsewhere(settings, tmp_path, manifest.name)
        restore(Stores(there), archive, manifest, KINDS[:3])
        assert open_gallery(there).is_erased(crop.crop_id)
        assert set(gallery_ids(open_gallery(there))) <= set(gallery_ids(gallery))
    assert erase(Stores(settings), archive).backups == 0


def test_an_erasure_in_backups_of_another_installation_is_refused(
    settings: Settings, archive: Archive, tmp_path: Path
) -> None:
    create(Stores(settings), archive, KINDS)
    other = elsewhere(settings, tmp_path, "other")
    add(gallery := open_gallery(other), 0, 3)
    gallery.erase(CropFilter(crop_ids=("crop00001",)))
    adopt(Stores(other), archive)  # by mistake
    with pytest.raises(UserError, match="they are not of one installation"):
        erase(Stores(other), archive)


def test_a_place_keeps_the_backups_of_one_installation(
    settings: Settings, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(Stores(settings), archive, ("database", "crops"))
    create(Stores(settings), archive, ("database", "crops"))
    other, before = Stores(elsewhere(settings, tmp_path, "other")), held_in(tmp_path / "backups")
    add(open_gallery(other.settings), 600, 602)
    for work in (create, erase, expire):
        options: dict[str, Any] = {create: {"kinds": KINDS}, expire: {"days": 0}}.get(work, {})
        with pytest.raises(UserError, match=r"keeps the backups of another installation.*backups-2.*backup adopt"):
            work(other, archive, **options)
    assert held_in(tmp_path / "backups") == before
    own = open_archive(str(tmp_path / "backups-2"))
    create(other, own, ("database",))
    assert expire(Stores(settings), archive, days=0).backups == 1


def test_what_was_restored_takes_the_place_only_if_told(settings: Settings, archive: Archive, tmp_path: Path) -> None:
    create(Stores(settings), archive, ("database", "crops"))
    there = Stores(elsewhere(settings, tmp_path))
    restore(there, archive, archive.manifest(None), ("database", "crops"))
    with pytest.raises(UserError, match="keeps the backups of another installation"):
        expire(there, archive, days=0)
    create(Stores(settings), archive, ("database",))
    assert adopt(there, archive) == adopt(there, archive)
    create(there, archive, ("database",))
    with pytest.raises(UserError, match="keeps the backups of another installation"):
        create(Stores(settings), archive, ("database",))
    assert expire(there, archive, days=0).backups == 2


def test_two_installations_that_claim_a_place_at_once_are_both_refused(
    settings: Settings, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = archive.claim

    def meanwhile(installation: str) -> None:
        claim("0123")
        claim(installation)

    monkeypatch.setattr(archive, "claim", meanwhile)
    with pytest.raises(UserError, match="keeps the backups of another installation"):
        create(Stores(settings), archive, ("database",))
    assert archive.owners() == ["0123"]
    assert archive.manifests() == []


def test_backups_that_nobody_has_claimed_are_claimed(settings: Settings, archive: Archive) -> None:
    create(Stores(settings), archive, ("database",))
    archive.unclaim(archive.owners())
    assert expire(Stores(settings), archive, days=0).backups == 0
    assert len(archive.owners()) == 1


def test_nobody_changes_backups_without_an_installation(archive: Archive, tmp_path: Path) -> None:
    nobody = Stores(Settings(home=tmp_path / "nowhere"))
    for work in (erase, adopt, lambda stores, place: expire(stores, place, days=0)):
        with pytest.raises(UserError, match=r"nowhere: no installation is there"):
            work(nobody, archive)
    assert not (tmp_path / "nowhere").exists()


def test_old_backups_expire_but_never_the_newest(settings: Settings, archive: Archive) -> None:
    create(Stores(settings), archive, KINDS)
    open_gallery(settings).erase(LATER)
    newest = create(Stores(settings), archive, KINDS)
    assert expire(Stores(settings), archive, days=1).backups == 0
    removed = expire(Stores(settings), archive, days=0)
    assert removed.backups == 1
    assert removed.contents >= 2  # pictures of those who were erased, and lists that named them
    assert [manifest.name for manifest in archive.manifests()] == [newest.name]
    assert expire(Stores(settings), archive, days=0).contents == 0
    assert verify(archive, archive.manifests()).damaged == ()


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", [1, 6, 15])
def test_an_interrupted_backup_counts_for_nothing_and_is_continued(
    settings: Settings, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    stored = [0]
    whole = archive.store

    def failing(some: Sequence[bytes]) -> list[str]:
        stored[0] += 1
        if stored[0] > after:
            raise Interrupted
        return whole(some)

    monkeypatch.setattr(archive, "store", failing)
    with pytest.raises(Interrupted):
        create(Stores(settings), archive, KINDS)
    assert archive.manifests() == []
    calls = {place: stored_by(place, settings, monkeypatch) for place in (archive.place.place, f"{tmp_path}/fresh")}
    continued, fresh = calls.values()
    assert continued <= fresh - after // 2
    assert verify(archive, archive.manifests()).damaged == ()


def stored_by(place: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a backup writes contents there."""
    archive, calls = open_archive(place), [0]
    whole = archive.store

    def counting(some: Sequence[bytes]) -> list[str]:
        calls[0] += 1
        return whole(some)

    monkeypatch.setattr(archive, "store", counting)
    create(Stores(settings), archive, KINDS)
    return calls[0]


@pytest.mark.parametrize("step", ["_put_rows", "_put_vectors"])
def test_an_interrupted_restore_is_continued(
    settings: Settings, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    create(Stores(settings), archive, KINDS)
    there, manifest = elsewhere(settings, tmp_path), archive.manifest(None)

    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(f"personsearch.installation.backup.restore.{step}", interrupted)
        with pytest.raises(Interrupted):
            restore(Stores(there), archive, manifest, KINDS[:3])
    restored = restore(Stores(there), archive, manifest, KINDS[:3])
    assert (restored.rows["crops"], restored.pictures, restored.vectors) == (HELD, HELD, HELD)
    assert answers(there) == answers(settings)


def personsearch(*arguments: str, home: Path, **variables: str) -> "subprocess.Popen[str]":
    named = {name: value for name, value in os.environ.items() if not name.startswith("PERSONSEARCH_")}
    return subprocess.Popen(
        [sys.executable, "-m", "personsearch", "backup", *arguments],
        env=named | {"PERSONSEARCH_HOME": str(home)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_kill_9_at_any_moment(settings: Settings, tmp_path: Path) -> None:
    """A backup and a restore by their commands, killed once they have begun, then run again."""
    place, there = tmp_path / "backups", tmp_path / "restored"
    begun = {
        "create": (place / CONTENTS).exists,
        "restore": (there / "gallery" / "images").exists,
    }
    for verb, home in (("create", settings.home), ("restore", there)):
        process = personsearch(verb, str(place), home=home)
        deadline = time.monotonic() + 120
        while process.poll() is None and not begun[verb]() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        again = personsearch(verb, str(place), "--json", home=home)
        out, err = again.communicate(timeout=300)
        assert again.returncode == 0, err
        json.loads(out)
    assert answers(settings.model_copy(update={"home": there})) == answers(settings)


def test_backups_in_a_store(settings: Settings, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (s3.new_place(), s3.new_versioned_place()):
        archive = open_archive(place)
        create(Stores(settings), archive, KINDS)
        assert verify(archive, archive.manifests()).damaged == ()
        there = elsewhere(settings, tmp_path, place.rpartition("/")[2] + place[5:10])
        restore(Stores(there), archive, archive.manifest(None), KINDS[:3])
        assert answers(there) == answers(settings)
    open_gallery(settings).erase(LATER)
    assert erase(Stores(settings), archive).backups == 1
    for name, value in s3.environment(READER).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="the store does not permit it"):
        create(Stores(settings), open_archive(s3.new_place()), KINDS)
    with pytest.raises(UserError, match="the bucket does not exist"):
        create(Stores(settings), open_archive("s3://nowhere/backups"), KINDS)


def test_what_cannot_be_written_is_said(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"the backup cannot be written"):
        create(Stores(settings), open_archive(str(tmp_path / "file" / "backups")), KINDS)
    full = open_archive("/dev/full")  # writing there finds no space
    with pytest.raises(UserError, match=r"/dev/full: the backup cannot be written"):
        create(Stores(settings), full, KINDS)
    assert full.manifests() == []
    with pytest.raises(UserError, match=r"ftp://host/x.*: a folder or s3://BUCKET/PREFIX expected"):
        open_archive("ftp://host/x")
    with pytest.raises(UserError, match="--what 'rows': database, crops, milvus, mlflow expected"):
        kinds_of("database,rows")


def test_without_backups_there_is_nothing_to_restore(settings: Settings, archive: Archive) -> None:
    with pytest.raises(UserError, match="no backup is there"):
        archive.manifest(None)
    create(Stores(settings), archive, ("database",))
    with pytest.raises(UserError, match="no backup '2020'"):
        archive.manifest("2020")
    with pytest.raises(UserError, match="holds no crops, but database"):
        restore(Stores(settings), archive, archive.manifest(None), ("crops",))
    assert expire(Stores(settings), archive, days=0).backups == 0


def test_parts_change_where_something_is_new() -> None:
    """What is behind a new or a missing name stays in its part."""
    names = [f"crop{number:05d}" for number in range(20_000)]
    parts = {tuple(part) for part in contents.in_parts(names, str)}
    changed = {tuple(part) for part in contents.in_parts([*names[:700], "crop00700b", *names[701:]], str)}
    assert len(parts) > 8
    assert max(map(len, parts)) <= contents.LARGEST_PART
    assert len(changed - parts) <= 2


def test_names_of_files_may_be_anything() -> None:
    names = ["a\nb", "ü \u2028", os.fsdecode(b"\xff"), 'q"\\']
    content = gzip.decompress(contents.packed(contents.entry(name, 1, ["ab"]) for name in names)).decode()
    assert [json.loads(line)[0] for line in content.split("\n")[:-1]] == names
    assert [name for part in contents.in_parts(names, str) for name in part] == names


def test_only_addresses_below_the_folder_move() -> None:
    row = ("s3://models", "s3://models/1/a", "s3://models-of-others/1", 3)
    assert _moved(row, "s3://models", "file:///m") == ("file:///m", "file:///m/1/a", "s3://models-of-others/1", 3)


def test_vectors_are_kept_to_the_bit() -> None:
    vectors_ND = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    crop_ids, read_ND = contents.vectors_in(contents.vectors_content(["a", "ŝ\n", "c"], vectors_ND))
    assert crop_ids == ["a", "ŝ\n", "c"]
    assert (read_ND == vectors_ND).all()
    assert contents.picture_crop_id("images/c/2026-03-01/crop.1.0123456789abcdef.jpg") == "crop.1"
