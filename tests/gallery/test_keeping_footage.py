"""A video is kept where the page looks for it, and removed when it is too old; what is not known to be old stays."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.gallery import keeping_footage as module
from personsearch.gallery.footage import Footage, NoFootage, origin_of
from personsearch.gallery.ingest import ledger
from personsearch.gallery.keeping_footage import find_old_footage, place_to_keep, remove_old_footage
from personsearch.gallery.rows import GalleryRows, VideoRow
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.objects.open import open_footage
from personsearch.search.filters import CropFilter
from tests.crops import make_crop
from tests.servers.s3 import S3Server
from tests.serving.colours import figure

MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(params=["folder", "s3"])
def footage(request: pytest.FixtureRequest, tmp_path: Path) -> Footage:
    if request.param == "folder":
        return open_footage(str(tmp_path / "footage"))
    server: S3Server = request.getfixturevalue("s3")
    return open_footage(f"{server.new_place()}/footage")


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return gallery_in(tmp_path / "gallery")


def video(folder: Path, name: str, content: str = "") -> Path:
    path = folder / name
    path.write_text(content or name)
    return path


def record(
    rows: GalleryRows, file: str, start: datetime, camera: str = "gate 3", content: str = ""
) -> ledger.VideoEntry:
    """Tell the ledger of an ingest that was completed, of what `video` writes."""
    content_hash = sha256((content or file).encode()).hexdigest()
    entry = ledger.VideoEntry(camera, start, content_hash, "{}", file=file)
    with rows.turn() as turn:
        ledger.complete(turn, entry, {"tracks": 1.0})
    return entry


def remove(footage: Footage, rows: GalleryRows, before: datetime = MAY) -> list[str]:
    """Remove what is old; gives the names that were recorded."""
    named: list[str] = []
    remove_old_footage(footage, rows, find_old_footage(footage, rows, before), record=named.extend)
    return named


def test_a_video_is_kept_once_under_its_camera(footage: Footage, tmp_path: Path) -> None:
    clip = video(tmp_path, "clip.mp4")
    place = place_to_keep(footage, clip, "gate 3")
    assert place == "gate-3-4b4329dd/clip.mp4"
    footage.keep(place, clip)
    assert place_to_keep(footage, clip, "gate 3") is None
    clip.write_text("another recording")
    with pytest.raises(UserError, match=r"gate-3-4b4329dd/clip.mp4: another recording is kept under this name; rename"):
        place_to_keep(footage, clip, "gate 3")
    assert place_to_keep(footage, clip, "north") == "north/clip.mp4"
    footage.keep("clip.mp4", clip)
    assert place_to_keep(footage, clip, "north") is None, "it lies beside those of all cameras"
    assert sorted(footage.files()) == ["clip.mp4", "gate-3-4b4329dd/clip.mp4"]
    kept = footage.open(place)
    assert kept is not None
    with kept:
        assert kept.read() == b"clip.mp4"


def test_a_video_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    footage = open_footage(str(tmp_path / "footage"))
    with pytest.raises(UserError, match="no such file or folder; a video file expected"):
        place_to_keep(footage, tmp_path / "absent.mp4", "gate 3")
    (tmp_path / "footage").mkdir()
    with pytest.raises(UserError, match=f"{tmp_path / 'footage'}: "):
        place_to_keep(footage, tmp_path / "footage", "gate 3")


@pytest.mark.parametrize("name", ["a\\b.mp4", "a\tb.mp4"])
def test_a_name_that_a_store_would_change_or_refuse_is_a_mistake(footage: Footage, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="rename it"):
        place_to_keep(footage, video(tmp_path, name), "gate 3")


def test_what_a_killed_copy_left_goes_with_the_next(tmp_path: Path) -> None:
    leftover = tmp_path / "footage" / "north" / ".[1].mp4.12-34.partial"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half of a recording")
    open_footage(str(tmp_path / "footage")).keep("north/[1].mp4", video(tmp_path, "[1].mp4"))
    assert [path.name for path in leftover.parent.iterdir()] == ["[1].mp4"]


def test_only_what_began_before_is_removed(
    footage: Footage, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    names = ("gate-3-4b4329dd/a.mp4", "gate-3-4b4329dd/b.mp4", "c.mp4", "gate-3-4b4329dd/young.mp4", "stranger.mp4")
    for name in names:
        footage.keep(name, video(tmp_path, "content", Path(name).name))
    for file in ("a.mp4", "b.mp4", "c.mp4", "gone.mp4"):
        record(gallery.rows, file, MAY - timedelta(days=1, minutes=ord(file[0])))
    record(gallery.rows, "young.mp4", MAY)
    old = find_old_footage(footage, gallery.rows, MAY)
    assert (old.files, old.others, old.unnamed) == (("c.mp4", *names[:2]), (), 0)
    assert len(old.recordings) == 3
    assert sorted(footage.files()) == sorted(names), "looking removes nothing"
    recorded: list[Sequence[str]] = []
    remove_old_footage(footage, gallery.rows, old, record=recorded.append)
    assert recorded == [old.files[:2], old.files[2:]]
    assert sorted(footage.files()) == ["gate-3-4b4329dd/young.mp4", "stranger.mp4"]
    assert remove(footage, gallery.rows) == []


def test_a_file_of_another_recording_stays(footage: Footage, gallery: Gallery, tmp_path: Path) -> None:
    """A recorder that gives each day's file the same name overwrites the old one before it is ingested."""
    name = "gate-3-4b4329dd/today.mp4"
    footage.keep(name, video(tmp_path, "today.mp4", "tuesday"))
    record(gallery.rows, "today.mp4", MAY - timedelta(days=9), content="monday")
    old = find_old_footage(footage, gallery.rows, MAY)
    assert (old.files, old.others) == ((), (name,)), "no ingest has read it"
    record(gallery.rows, "today.mp4", MAY + timedelta(days=1), content="tuesday")
    old = find_old_footage(footage, gallery.rows, MAY)
    assert (old.files, old.others) == ((), (name,))
    assert remove(footage, gallery.rows) == []
    assert remove(footage, gallery.rows, MAY + timedelta(days=2)) == [name]


def test_a_file_goes_when_it_is_old_though_a_younger_recording_has_its_name(gallery: Gallery, tmp_path: Path) -> None:
    footage = open_footage(str(tmp_path / "footage"))
    footage.keep("today.mp4", video(tmp_path, "today.mp4", "monday"))
    record(gallery.rows, "today.mp4", MAY - timedelta(days=9), content="monday")
    record(gallery.rows, "today.mp4", MAY + timedelta(days=1), content="tuesday")
    assert remove(footage, gallery.rows) == ["today.mp4"]


def test_a_file_that_was_ingested_at_two_times_goes_with_the_younger(gallery: Gallery, tmp_path: Path) -> None:
    footage = open_footage(str(tmp_path / "footage"))
    footage.keep("clip.mp4", video(tmp_path, "clip.mp4"))
    for start in (MAY - timedelta(days=9), MAY):
        record(gallery.rows, "clip.mp4", start)
    old = find_old_footage(footage, gallery.rows, MAY)
    assert (old.files, old.others) == ((), ("clip.mp4",))
    assert remove(footage, gallery.rows, MAY + timedelta(days=1)) == ["clip.mp4"]


def test_an_interrupted_removal_is_completed(gallery: Gallery, tmp_path: Path) -> None:
    footage = open_footage(str(tmp_path / "footage"))
    footage.keep("a.mp4", video(tmp_path, "a.mp4"))
    record(gallery.rows, "a.mp4", MAY - timedelta(days=1))

    def refuse(_: Sequence[str]) -> None:
        raise UserError("the audit log cannot be written")

    with pytest.raises(UserError, match="audit log"):
        remove_old_footage(footage, gallery.rows, find_old_footage(footage, gallery.rows, MAY), record=refuse)
    assert list(footage.files()) == ["a.mp4"], "nothing is removed unrecorded"
    assert remove(footage, gallery.rows) == ["a.mp4"]


def test_an_earlier_versions_video_is_named_by_its_crops(gallery: Gallery, tmp_path: Path) -> None:
    """Its row in the ledger holds the settings alone."""
    footage = open_footage(str(tmp_path / "footage"))
    footage.keep("clip.avi", video(tmp_path, "clip.avi"))
    start = MAY - timedelta(days=1)
    with gallery.rows.turn() as turn:
        turn.put_video(VideoRow("junction", start, sha256(b"clip.avi").hexdigest(), '{"every": 2}', "{}"))
    assert find_old_footage(footage, gallery.rows, MAY).unnamed == 1
    crop = replace(
        make_crop("junction-20260430T000000-0001-f000012", camera_id="junction"), frame_uri="clip.avi#frame=12"
    )
    gallery.add([(crop, figure("red"))])
    assert find_old_footage(footage, gallery.rows, MAY).unnamed == 0
    assert remove(footage, gallery.rows) == ["clip.avi"]
    found = ledger.find(gallery.rows, "junction", start)
    assert found is not None
    assert (found.entry.settings, found.metrics) == ('{"every": 2}', {})


def test_a_crop_stays_and_says_when_its_footage_was_removed(gallery: Gallery, tmp_path: Path) -> None:
    footage = open_footage(str(tmp_path / "footage"))
    entry = record(gallery.rows, "clip.mp4", MAY - timedelta(days=1))
    track = f"{entry.name}-0001"
    crop = replace(
        make_crop(f"{track}-f000012", camera_id="gate 3", track_id=track, captured_at=entry.start),
        frame_uri="clip.mp4#frame=12",
    )
    gallery.add([(crop, figure("red"))])
    with pytest.raises(NoFootage, match=r"There is no file 'clip.mp4' where footage is kept"):
        origin_of(crop, gallery.rows).open(footage)
    footage.keep("clip.mp4", video(tmp_path, "clip.mp4"))
    remove(footage, gallery.rows)
    assert gallery.count(CropFilter()) == 1
    today = datetime.now(UTC).date().isoformat()
    with pytest.raises(NoFootage, match=f"This footage is no longer kept: it was removed on {today}."):
        origin_of(crop, gallery.rows).open(footage)
    footage.keep("clip.mp4", tmp_path / "clip.mp4")
    origin_of(crop, gallery.rows).open(footage).close()
