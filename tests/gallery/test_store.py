"""The gallery keeps what it was given, forgets what was erased, and survives being killed."""

import hashlib
import io
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from PIL import Image

from personsearch.errors import UserError
from personsearch.gallery.pictures import Pictures
from personsearch.gallery.store import Gallery, PicturesLeft, path_name
from personsearch.images import ImageRejected
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.filters import CropFilter
from tests.crops import make_crop

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def jpeg(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 16), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def crop(crop_id: str, *, camera: str = "junction", at: datetime = NOON, track: str = "t1") -> Crop:
    box, frame = BoundingBox(1, 2, 30, 60), "video.avi#frame=3"
    return make_crop(crop_id, camera_id=camera, captured_at=at, track_id=track, bbox=box, frame_uri=frame, quality=0.5)


@pytest.fixture
def gallery(tmp_path: Path, database_address: str, crops_address: str) -> Gallery:
    return gallery_in(tmp_path / "gallery", database_address, crops_address)


def names(gallery: Gallery) -> set[str]:
    """The pictures that the store holds."""
    return {name for page in gallery.pictures.names() for name in page}


def test_a_crop_comes_back_as_it_was_added(gallery: Gallery) -> None:
    east = datetime(2026, 3, 1, 23, 30, 0, 123_000, tzinfo=timezone(timedelta(hours=-2)))
    assert gallery.add([(crop("a", at=east), jpeg())]) == 1
    stored = gallery.crop("a")
    digits = hashlib.sha256(jpeg()).hexdigest()[:16]
    assert stored == replace(crop("a", at=east), image_uri=f"images/junction/2026-03-02/a.{digits}.jpg")
    assert gallery.picture(stored) == jpeg()
    assert stored.captured_at.tzinfo is UTC


def test_adding_twice_adds_once(gallery: Gallery) -> None:
    assert gallery.add([(crop("a"), jpeg("red")), (crop("a"), jpeg("blue"))]) == 1
    assert gallery.add([(crop("a"), jpeg("blue")), (crop("b"), jpeg())]) == 1
    assert gallery.count() == 2
    assert gallery.picture(gallery.crop("a")) == jpeg("red")


def test_a_failing_addition_leaves_nothing(gallery: Gallery) -> None:
    def stream() -> Iterator[tuple[Crop, bytes]]:
        yield crop("a"), jpeg()
        raise OSError("disk is full")

    with pytest.raises(OSError, match="full"):
        gallery.add(stream())
    assert gallery.count() == 0
    assert names(gallery) == set()


@pytest.mark.parametrize(
    "name", ["gate 3", "../up", "a/b", ".hidden", "Büro Süd", "入口", "CON:1", "-", "..", "a" * 128]
)
def test_a_camera_may_be_called_anything_and_its_pictures_stay_in_the_folder(gallery: Gallery, name: str) -> None:
    gallery.add([(crop("a", camera=name), jpeg())])
    [held] = gallery.crops(crop_filter=CropFilter(cameras=(name,)))
    assert held.camera_id == name
    assert [camera.camera_id for camera in gallery.cameras()] == [name]
    assert names(gallery) == {held.image_uri}
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", part) for part in held.image_uri.split("/"))
    assert len(Path(held.image_uri).parts) == 4
    assert held.image_uri.isascii()
    assert gallery.erase(CropFilter(cameras=(name,))) == 1
    assert names(gallery) == set()


def test_cameras_of_like_names_have_folders_of_their_own() -> None:
    assert path_name("gate-3") == "gate-3"
    assert path_name("gate 3").startswith("gate-3-")
    assert len({path_name(name) for name in ("gate 3", "gate/3", "gate-3", "gate  3")}) == 4


@pytest.mark.parametrize("name", ["", " ", "gate ", "a\0b", "a\n", "a" * 129, "\ud83d"])
def test_a_camera_needs_a_printable_name(gallery: Gallery, name: str) -> None:
    with pytest.raises(UserError, match="1 to 128 printable characters"):
        gallery.add([(crop("a", camera=name), jpeg())])
    assert gallery.count() == 0


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "ä", "a" * 129, "a\0b", "a\n"])
def test_ids_that_could_leave_the_folder_are_refused(gallery: Gallery, name: str) -> None:
    with pytest.raises(UserError, match="letters, digits"):
        gallery.add([(crop(name), jpeg())])
    assert gallery.count() == 0


@pytest.mark.parametrize(
    ("given_crop", "picture", "message"),
    [
        (crop("a"), b"GIF89a", "not a JPEG"),
        (crop("a", at=datetime(2026, 3, 1)), jpeg(), "zone"),
        (replace(crop("a"), quality=1.5), jpeg(), "quality"),
    ],
)
def test_wrong_crops_are_refused(gallery: Gallery, given_crop: Crop, picture: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gallery.add([(given_crop, picture)])
    assert gallery.count() == 0


def test_an_erased_crop_is_gone_and_never_returns(gallery: Gallery) -> None:
    gallery.add([(crop("a"), jpeg()), (crop("b", track="t2"), jpeg())])
    kept, erased = gallery.crop("b"), gallery.crop("a")
    assert gallery.erase(CropFilter(tracks=("t1",))) == 1
    assert names(gallery) == {kept.image_uri}
    with pytest.raises(ImageRejected, match="picture is missing"):
        gallery.picture(erased)
    assert gallery.is_erased("a")
    assert not gallery.is_erased("b")
    assert gallery.add([(crop("a"), jpeg())]) == 0
    assert [c.crop_id for c in gallery.crops()] == ["b"]


class Failing:
    """Pictures of which one operation fails, as where a store has just become unreachable."""

    def __init__(self, pictures: Pictures, operation: str, *, after: int = 0) -> None:
        self._pictures = pictures
        self._operation = operation
        self._left = after

    def __getattr__(self, name: str) -> Any:
        if name != self._operation:
            return getattr(self._pictures, name)
        if self._left == 0:
            raise UserError("s3://site: cannot be reached")
        self._left -= 1
        return getattr(self._pictures, name)


def test_an_addition_that_the_store_refuses_leaves_nothing(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personsearch.gallery.store.BATCH", 2)
    whole, gallery.pictures = gallery.pictures, Failing(gallery.pictures, "write", after=1)
    with pytest.raises(UserError, match="cannot be reached"):
        gallery.add([(crop(f"c{n}"), jpeg()) for n in range(5)])
    gallery.pictures = whole
    assert (gallery.count(), names(gallery), gallery.rows.pending_pictures(9)) == (0, set(), [])
    assert gallery.add([(crop(f"c{n}"), jpeg()) for n in range(5)]) == 5


def test_pictures_that_a_store_did_not_remove_are_removed_by_the_next_erasure(gallery: Gallery) -> None:
    gallery.add([(crop("a"), jpeg()), (crop("b"), jpeg()), (crop("c"), jpeg())])
    whole, gallery.pictures = gallery.pictures, Failing(gallery.pictures, "remove")
    with pytest.raises(PicturesLeft, match="their pictures are still there: s3://site: cannot be reached") as caught:
        gallery.erase(CropFilter(crop_ids=("a", "b")))
    assert caught.value.erased == 2
    assert (gallery.count(), gallery.is_erased("a")) == (1, True)
    gallery.pictures = whole
    assert gallery.erase(CropFilter(crop_ids=("a", "b"))) == 0
    assert names(gallery) == {gallery.crop("c").image_uri}
    assert gallery.rows.pending_pictures(9) == []


def test_a_sweep_looks_at_what_was_left_and_at_nothing_else(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personsearch.gallery.store.SWEPT_AT_ONCE", 2)
    gallery.add([(crop(f"c{n}"), jpeg()) for n in range(5)])
    left = [f"images/junction/2026-03-01/left{n}.jpg" for n in range(5)]
    named = gallery.crop("c0").image_uri
    gallery.rows.announce_pictures([*left, named])
    gallery.rows.announce_pictures(left)  # another writer of the same crops
    gallery.pictures.write([(name, jpeg()) for name in left[:3]])
    gallery.pictures = Failing(gallery.pictures, "names")
    assert gallery.sweep() == 5
    assert gallery.sweep() == 0
    assert gallery.picture(gallery.crop("c0")) == jpeg()


def test_orphans_are_found_among_all_pictures(gallery: Gallery) -> None:
    gallery.add([(crop("a"), jpeg())])
    orphan = "images/junction/2026-03-01/nobody.jpg"
    gallery.pictures.write([(orphan, jpeg())])
    assert list(gallery.orphans()) == [orphan]
    assert list(gallery.orphans(remove=True)) == [orphan]
    assert names(gallery) == {gallery.crop("a").image_uri}
    gallery.erase(CropFilter(crop_ids=("a",)))
    assert list(gallery.orphans()) == []


def test_pictures_of_another_gallery_are_not_taken_for_orphans(gallery: Gallery, tmp_path: Path) -> None:
    gallery.add([(crop("a"), jpeg())])
    stranger = Gallery(tmp_path / "other", gallery_in(tmp_path / "other").rows, gallery.pictures)
    with pytest.raises(UserError, match="has no crops; the wrong one"):
        list(stranger.orphans(remove=True))
    assert stranger.sweep() == 0
    assert gallery.picture(gallery.crop("a")) == jpeg()


def test_an_embedded_database_keeps_nothing_of_erased_rows(tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path)
    gallery.add([(crop("a"), jpeg())])
    name = gallery.crop("a").image_uri.encode()

    def held() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.glob("gallery.db*"))

    assert name in held()
    gallery.erase(CropFilter(tracks=("t1",)))
    assert name not in held()


def test_cameras_are_summed_up(gallery: Gallery) -> None:
    later = NOON + timedelta(hours=2)
    crops = [crop("a"), crop("b", at=later), crop("c", camera="door", at=later)]
    gallery.add((one, jpeg()) for one in crops)
    assert [(c.camera_id, c.crops, c.first, c.last) for c in gallery.cameras()] == [
        ("door", 1, later, later),
        ("junction", 2, NOON, later),
    ]
    gallery.erase(CropFilter(cameras=("door",)))
    assert [c.camera_id for c in gallery.cameras()] == ["junction"]


def test_an_empty_filter_erases_nothing(gallery: Gallery) -> None:
    gallery.add([(crop("a"), jpeg())])
    with pytest.raises(UserError, match="no condition"):
        gallery.erase(CropFilter())
    assert gallery.count() == 1


def test_changes_are_numbered_in_one_sequence(gallery: Gallery) -> None:
    gallery.add([(crop("b"), jpeg()), (crop("a"), jpeg())])
    before = gallery.last_sequence()
    gallery.erase(CropFilter(crop_ids=("a",)))
    gallery.erase(CropFilter(crop_ids=("b",)))
    gallery.add([(crop("c"), jpeg())])
    assert [c.crop_id for c in gallery.crops_since(0)] == ["c"]
    assert [c.crop_id for c in gallery.crops_since(before)] == ["c"]
    assert list(gallery.erased_since(before)) == ["a", "b"]
    assert list(gallery.erased_since(before + 1)) == ["b"]
    assert gallery.last_sequence() == before + 3


def test_iteration_is_ordered_and_paged(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personsearch.integrations.database.rows.PAGE_ROWS", 3)
    ids = [f"c{n:02d}" for n in range(10)]
    shuffled = random.Random(0).sample(ids, 10)
    gallery.add((crop(name), jpeg()) for name in shuffled)
    assert [c.crop_id for c in gallery.crops()] == ids
    assert [c.crop_id for c in gallery.crops_since(0)] == shuffled


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gallery.db").write_text("hello, this is not a database at all" * 100)
    with pytest.raises(UserError, match=r"gallery\.db"):
        gallery_in(tmp_path)
    with pytest.raises(UserError, match="cannot hold"):
        gallery_in(tmp_path / "gallery.db")


def _add_some(folder: Path, prefix: str) -> None:
    for n in range(10):
        gallery_in(folder).add([(crop(f"{prefix}{n}"), jpeg()), (crop(f"shared{n}"), jpeg())])


def test_writers_in_several_processes_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add_some, args=(tmp_path, prefix)) for prefix in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    gallery = gallery_in(tmp_path)
    assert gallery.count() == 30
    assert len(list(gallery.crops_since(0))) == 30


def test_many_threads_may_add_at_once(gallery: Gallery) -> None:
    with ThreadPoolExecutor(40) as threads:
        added = threads.map(lambda n: gallery.add([(crop(f"c{n}"), jpeg()), (crop("shared"), jpeg())]), range(40))
    assert sum(added) == gallery.count() == 41
    assert names(gallery) == {each.image_uri for each in gallery.crops()}
    assert gallery.rows.pending_pictures(9) == []


class Together:
    """A store of pictures that writes once another writer is about to, so that neither has seen the other's row."""

    def __init__(self, pictures: Pictures, meeting: Barrier) -> None:
        self._pictures, self._meeting = pictures, meeting

    def write(self, pictures: Sequence[tuple[str, bytes]]) -> None:
        with suppress(BrokenBarrierError):  # writers of an SQLite take turns
            self._meeting.wait(1)
        self._pictures.write(pictures)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pictures, name)


def test_of_two_replicas_with_the_same_crop_the_first_keeps_its_picture(
    tmp_path: Path, database_address: str, crops_address: str
) -> None:
    """Each stores the crop of one id with a picture and a box of its own at the same moment."""
    meeting, colours = Barrier(2), ("red", "blue")
    replicas = [gallery_in(tmp_path / "gallery", database_address, crops_address) for _ in colours]
    for replica in replicas:
        replica.pictures = Together(replica.pictures, meeting)
    boxes = [BoundingBox(n, 0, 8, 16) for n in range(2)]

    def add(crop_id: str, n: int) -> int:
        return replicas[n].add([(replace(crop(crop_id), bbox=boxes[n]), jpeg(colours[n]))])

    with ThreadPoolExecutor(2) as threads:
        for crop_id in "abcd":
            added = list(threads.map(add, [crop_id] * 2, range(2)))
            assert sorted(added) == [0, 1]
            first, held = added.index(1), replicas[0].crop(crop_id)
            assert held.bbox == boxes[first]
            assert [replica.picture(held) for replica in replicas] == [jpeg(colours[first])] * 2
    assert names(replicas[0]) == {each.image_uri for each in replicas[0].crops()}
    assert replicas[0].rows.pending_pictures(9) == []


KILLED_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store import crop, jpeg
from personsearch.gallery.store import Gallery, path_name
from personsearch.integrations.database.gallery import gallery_in
gallery = gallery_in(Path(sys.argv[1]))
for n in range(10_000):
    gallery.add([(crop(f"c{n:05d}-{m}"), jpeg()) for m in range(5)])
    print(n, flush=True)
"""


def test_a_killed_writer_leaves_whole_additions_only(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_WRITER, str(tmp_path), str(Path(__file__).parent)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(next(writer.stdout)) for _ in range(5)][-1]
    time.sleep(random.random() * 0.01)
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
    writer.wait()
    gallery = gallery_in(tmp_path)
    gallery.sweep()
    ids = [c.crop_id for c in gallery.crops()]
    assert len(ids) % 5 == 0
    assert len(ids) >= 5 * (acknowledged + 1)
    assert {tmp_path / c.image_uri for c in gallery.crops()} == set(tmp_path.glob("images/*/*/*"))
    assert gallery.sweep() == 0


@pytest.mark.parametrize("made_before", [False, True])
def test_pictures_and_rows_are_private(tmp_path: Path, made_before: bool) -> None:
    """Also in a folder that was made before, whose mode is its owner's choice."""
    earlier = os.umask(0o022)
    try:
        folder = tmp_path / "gallery"
        if made_before:
            folder.mkdir(mode=0o755)
        gallery = gallery_in(folder)
        gallery.add([(crop("a"), jpeg())])
    finally:
        os.umask(earlier)
    held = (folder, folder / "images", folder / "gallery.db")
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in held}
    assert modes == {"gallery": "0o755" if made_before else "0o700", "images": "0o700", "gallery.db": "0o600"}
    assert oct((folder / gallery.crop("a").image_uri).stat().st_mode & 0o777) == "0o600"
