"""The frame of a crop is found again in its video; what is gone, replaced or erased is not shown."""

import io
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from personsearch.errors import UserError
from personsearch.gallery.footage import FolderFootage, Footage, NoFootage, PeopleErased, origin_of
from personsearch.gallery.frames import Sight, TooSlow, show_clip, show_frame
from personsearch.gallery.ingest.selection import SelectionConfig
from personsearch.gallery.ingest.stage import ingest
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.gallery.ingest.video import NotAVideo
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.objects.open import open_footage
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from tests.crops import make_crop
from tests.gallery.ingest.clips import Walker, draw, write_clip, write_stream
from tests.servers.s3 import S3Server

NINE = datetime(2026, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC)
CONFIG = IngestConfig(detector="motion", selection=SelectionConfig(least_person_margin=-100.0))
WALKERS = [Walker((30, 30, 180), 40, 10, foot=150, last=24), Walker((160, 60, 20), 290, -5, foot=225, first=5)]
FRAMES = 55
LIMIT = 120.0


@pytest.fixture(scope="module", params=["clip.avi", "clip.mp4", "clip.h264"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Motion JPEG with key frames alone; H.264 with one in ten; the same without timestamps."""
    path = tmp_path_factory.mktemp("videos") / request.param
    if path.suffix == ".avi":
        return write_clip(path, WALKERS, frames=FRAMES)
    return write_stream(path, WALKERS, times=[index / 10 for index in range(FRAMES)])


@pytest.fixture
def gallery(video: Path, tmp_path: Path) -> Gallery:
    """The video's people at the camera `gate 3`."""
    gallery = gallery_in(tmp_path / "gallery")
    config = CONFIG.overridden({"frames_per_second": 10.0 if video.suffix == ".h264" else None})
    ingest(config, video, gallery, camera_id="gate 3", start=NINE)
    return gallery


@pytest.fixture(params=["beside others", "folder of the camera", "s3"])
def footage(request: pytest.FixtureRequest, video: Path, tmp_path: Path) -> Footage:
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        stored = open_footage(f"{server.new_place()}/site/footage")
        stored._put(f"gate-3-4b4329dd/{video.name}", video.read_bytes())
        return stored
    folder = tmp_path / "footage" / ("gate-3-4b4329dd" if request.param == "folder of the camera" else "")
    folder.mkdir(parents=True)
    shutil.copy(video, folder)
    return open_footage(str(tmp_path / "footage"))


def sight_of(gallery: Gallery, crop: Crop) -> Sight:
    return Sight(origin_of(crop, gallery.rows), crop.bbox, gallery.picture(crop))


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)))[..., ::-1]


def number(crop: Crop) -> int:
    return int(crop.frame_uri.rpartition("=")[2])


def test_each_crop_has_its_frame_and_the_seconds_around_it(gallery: Gallery, footage: Footage) -> None:
    crops = list(gallery.crops())
    assert len(crops) >= 4
    for crop in crops[::3]:
        sight = sight_of(gallery, crop)
        with sight.origin.open(footage) as file:
            shown = pixels(show_frame(file, sight, limit_seconds=LIMIT)).astype(float)
            apart = [float(np.abs(shown - draw(index, WALKERS)).mean()) for index in range(FRAMES)]
            assert int(np.argmin(apart)) == number(crop)
            clip = show_clip(file, sight, around_seconds=1.0, limit_seconds=LIMIT)
        with av.open(io.BytesIO(clip)) as container:
            frames = list(container.decode(video=0))
        first, last = max(number(crop) - 10, 0), min(number(crop) + 10, FRAMES - 1)
        assert len(frames) == last - first + 1
        assert (frames[0].width, frames[0].height) == (320, 240)
        assert float(frames[-1].pts * frames[-1].time_base) == pytest.approx((last - first) / 10, abs=0.02)


def test_a_video_whose_clock_begins_again_is_read_from_its_beginning(tmp_path: Path) -> None:
    times = [0.1 * (index if index < 30 else index - 25) for index in range(FRAMES)]
    video = tmp_path / "recorder.avi"
    write_clip(video, WALKERS, frames=FRAMES)
    jumping = tmp_path / "recorder.ts"
    parts = [write_stream(tmp_path / f"{n}.ts", WALKERS, times=part) for n, part in enumerate((times[:30], times[30:]))]
    jumping.write_bytes(b"".join(part.read_bytes() for part in parts))
    gallery = gallery_in(tmp_path / "gallery")
    ingest(CONFIG, jumping, gallery, camera_id="gate", start=NINE)
    crop = max(gallery.crops(), key=number)
    assert number(crop) > 30
    sight = sight_of(gallery, crop)
    with jumping.open("rb") as file:
        frame = pixels(show_frame(file, sight, limit_seconds=LIMIT))
    x, y, width, height = crop.bbox.x, crop.bbox.y, crop.bbox.width, crop.bbox.height
    cut, kept = frame[y : y + height, x : x + width], pixels(gallery.picture(crop))
    assert np.abs(cut.astype(float) - kept).mean() < 4


def test_a_file_that_is_gone_or_another_one_is_not_shown(gallery: Gallery, video: Path, tmp_path: Path) -> None:
    sight = sight_of(gallery, next(gallery.crops()))
    empty = FolderFootage(tmp_path / "none")
    with pytest.raises(NoFootage, match=f"The footage is gone: there is no file '{video.name}'"):
        sight.origin.open(empty)
    other = [Walker((20, 160, 20), 290, -10, foot=150), Walker((90, 90, 90), 20, 9, foot=220)]
    (tmp_path / "other").mkdir()
    replaced = write_stream(tmp_path / "other" / "clip.mp4", other, times=[index / 10 for index in range(FRAMES)])
    for show in (show_frame, lambda *one, **given: show_clip(*one, around_seconds=1.0, **given)):
        with replaced.open("rb") as file, pytest.raises(NoFootage, match="shows something else"):
            show(file, sight, limit_seconds=LIMIT)


def test_what_is_no_video_opens_nothing_else(gallery: Gallery, video: Path, tmp_path: Path) -> None:
    sight = sight_of(gallery, next(gallery.crops()))
    for content in (b"", b"no video", f"#EXTM3U\n#EXTINF:10,\nfile:{video}\n#EXT-X-ENDLIST\n".encode()):
        (tmp_path / "playlist").write_bytes(content)
        with (tmp_path / "playlist").open("rb") as file, pytest.raises((NotAVideo, NoFootage)):
            show_frame(file, sight, limit_seconds=LIMIT)


def test_reading_ends_at_the_limit(gallery: Gallery, video: Path) -> None:
    sight = sight_of(gallery, max(gallery.crops(), key=number))
    with video.open("rb") as file, pytest.raises(TooSlow):
        show_frame(file, sight, limit_seconds=0.0)


def test_a_video_from_which_somebody_was_erased_is_not_shown(gallery: Gallery) -> None:
    first, *_, last = sorted(gallery.crops(), key=lambda crop: crop.track_id)
    origin_of(first, gallery.rows)
    gallery.erase(CropFilter(tracks=(last.track_id,)))
    with pytest.raises(PeopleErased):
        origin_of(first, gallery.rows)


def test_crops_that_another_take_replaced_are_no_erased_people(gallery: Gallery, video: Path) -> None:
    config = CONFIG.overridden({"frames_per_second": 10.0 if video.suffix == ".h264" else None, "every": 2})
    ingest(config, video, gallery, camera_id="gate 3", start=NINE, again=True)
    crop = next(gallery.crops())
    assert "-take2-" in crop.track_id
    assert origin_of(crop, gallery.rows).video == video.name


@pytest.mark.parametrize(
    ("frame_uri", "said"),
    [
        ("rtsp://gate/stream#camera-time=2026-03-01T09:00:00Z", "a live camera"),
        ("synthetic/images/0001.jpg", "no video file"),
        ("", "no video file"),
        ("clip.avi#frame=12", "no video file"),  # of another program, which may send what it likes
    ],
)
def test_other_crops_have_no_footage(tmp_path: Path, frame_uri: str, said: str) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    for track_id in ("junction-20260301T090000-0001", "junction-20261399T990000-0001", "track/1"):
        crop = replace(make_crop("a", camera_id="junction", track_id=track_id), frame_uri=frame_uri)
        with pytest.raises(NoFootage, match=said):
            origin_of(crop, gallery.rows)


def test_nothing_outside_the_folder_is_opened(tmp_path: Path) -> None:
    (tmp_path / "footage").mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "footage" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (tmp_path / "footage" / "folder.mp4").mkdir()
    footage = open_footage(str(tmp_path / "footage"))
    for name in ("link.mp4", "folder.mp4", "none.mp4", "x" * 300):
        if name.startswith("x"):
            with pytest.raises(UserError):
                footage.open(name)
        else:
            assert footage.open(name) is None
    for name in ("../secret.mp4", "/etc/passwd", "a/../../secret.mp4"):
        with pytest.raises(UserError, match="a relative path without"):
            footage.open(name)
    with pytest.raises(UserError, match="a folder or s3://BUCKET/PREFIX expected"):
        open_footage("gs://bucket")


def test_the_time_of_a_crop_is_that_of_its_frame(gallery: Gallery) -> None:
    for crop in gallery.crops():
        assert origin_of(crop, gallery.rows).seconds == pytest.approx(number(crop) / 10, abs=0.001)
        assert crop.captured_at >= NINE + timedelta(seconds=number(crop) / 10 - 0.001)
