"""The frame of a crop is found again in its video; what is gone, replaced or erased is not shown."""

import io
import shutil
from dataclasses import replace
from datetime import UTC, datetime
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
from personsearch.gallery.ingest.video import NotAVideo, read_between
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


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 with a key frame in ten."""
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    return write_stream(path, WALKERS, times=[index / 10 for index in range(FRAMES)])


@pytest.fixture(scope="module")
def ingested(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """The video's people at the camera `gate 3`; nothing is changed in it."""
    gallery = gallery_in(tmp_path_factory.mktemp("ingested") / "gallery")
    ingest(CONFIG, video, gallery, camera_id="gate 3", start=NINE)
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


def shown_number(frame: np.ndarray, expected: int) -> int:
    """Which frame this is, of those near the expected one."""
    near = range(max(expected - 2, 0), min(expected + 3, FRAMES))
    return min(near, key=lambda index: float(np.abs(frame.astype(float) - draw(index, WALKERS)).mean()))


def test_a_crop_has_its_frame_and_the_seconds_around_it(ingested: Gallery, footage: Footage) -> None:
    crop = max(ingested.crops(), key=number)
    sight = sight_of(ingested, crop)
    with sight.origin.open(footage) as file:
        frame = pixels(show_frame(file, sight, limit_seconds=LIMIT))
        clip = show_clip(file, sight, around_seconds=1.0, limit_seconds=LIMIT)
    assert shown_number(frame, number(crop)) == number(crop)
    with av.open(io.BytesIO(clip)) as container:
        frames = list(container.decode(video=0))
    first, last = max(number(crop) - 10, 0), min(number(crop) + 10, FRAMES - 1)
    assert len(frames) == last - first + 1
    assert (frames[0].width, frames[0].height) == (320, 240)
    assert float(frames[-1].pts * frames[-1].time_base) == pytest.approx((last - first) / 10, abs=0.02)


@pytest.mark.parametrize("name", ["clip.avi", "clip.h264"])
def test_also_of_key_frames_alone_and_of_a_stream_without_timestamps(tmp_path: Path, name: str) -> None:
    video = tmp_path / name
    if name == "clip.avi":
        write_clip(video, WALKERS, frames=FRAMES)
    else:
        write_stream(video, WALKERS, times=[index / 10 for index in range(FRAMES)])
    gallery = gallery_in(tmp_path / "gallery")
    rate = 10.0 if name == "clip.h264" else None
    ingest(CONFIG.overridden({"frames_per_second": rate}), video, gallery, camera_id="gate", start=NINE)
    crop = max(gallery.crops(), key=number)
    with video.open("rb") as file:
        frame = pixels(show_frame(file, sight_of(gallery, crop), limit_seconds=LIMIT))
    assert shown_number(frame, number(crop)) == number(crop)


def test_a_video_whose_clock_begins_again_is_read_from_its_beginning(tmp_path: Path) -> None:
    times = [0.1 * (index if index < 30 else index - 25) for index in range(FRAMES)]
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


def test_a_clip_is_whole_where_seeking_lands_too_late(tmp_path: Path) -> None:
    """In a transport stream FFmpeg finds times by their place in the file, and may land behind the one asked for."""
    video = write_stream(tmp_path / "recorder.ts", WALKERS, times=[index / 10 for index in range(FRAMES)])

    def times(*, seek: bool) -> list[float]:
        with video.open("rb") as file:
            frames = [frame for frame in read_between(file, 1.0, 2.0, seek=seek) if frame is not None]
        return [round(frame.seconds, 3) for frame in frames]

    expected = [round(1 + index / 10, 3) for index in range(11)]
    assert times(seek=False) == expected
    assert times(seek=True) in (expected, [])  # none: then the file is read from its beginning


def test_a_file_that_is_gone_or_another_one_is_not_shown(ingested: Gallery, tmp_path: Path) -> None:
    sight = sight_of(ingested, next(ingested.crops()))
    with pytest.raises(NoFootage, match=r"There is no file 'clip\.mp4' where footage is kept \(PERSONSEARCH_FOOTAGE"):
        sight.origin.open(FolderFootage(tmp_path / "none"))
    other = [Walker((20, 160, 20), 290, -10, foot=150), Walker((90, 90, 90), 20, 9, foot=220)]
    replaced = write_stream(tmp_path / "clip.mp4", other, times=[index / 10 for index in range(FRAMES)])
    with replaced.open("rb") as file:
        with pytest.raises(NoFootage, match="shows something else"):
            show_frame(file, sight, limit_seconds=LIMIT)
        with pytest.raises(NoFootage, match="shows something else"):
            show_clip(file, sight, around_seconds=1.0, limit_seconds=LIMIT)


def test_what_is_no_video_opens_nothing_else(ingested: Gallery, video: Path, tmp_path: Path) -> None:
    sight = sight_of(ingested, next(ingested.crops()))
    for content in (b"", b"no video", f"#EXTM3U\n#EXTINF:10,\nfile:{video}\n#EXT-X-ENDLIST\n".encode()):
        (tmp_path / "playlist").write_bytes(content)
        with (tmp_path / "playlist").open("rb") as file, pytest.raises((NotAVideo, NoFootage)):
            show_frame(file, sight, limit_seconds=LIMIT)


def test_reading_ends_at_the_limit(ingested: Gallery, video: Path) -> None:
    sight = sight_of(ingested, max(ingested.crops(), key=number))
    with video.open("rb") as file, pytest.raises(TooSlow):
        show_frame(file, sight, limit_seconds=0.0)


def test_the_time_of_a_crop_is_that_of_its_frame(ingested: Gallery) -> None:
    for crop in ingested.crops():
        assert origin_of(crop, ingested.rows).seconds == pytest.approx(number(crop) / 10, abs=0.001)


def test_crops_of_another_take_are_no_erased_people_but_somebody_erased_is_one(video: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    ingest(CONFIG, video, gallery, camera_id="gate 3", start=NINE)
    ingest(CONFIG.overridden({"every": 2}), video, gallery, camera_id="gate 3", start=NINE, again=True)
    first, *_, last = sorted(gallery.crops(), key=lambda crop: crop.track_id)
    assert "-take2-" in first.track_id
    assert first.track_id != last.track_id
    assert origin_of(first, gallery.rows).video == video.name
    gallery.erase(CropFilter(crop_ids=(last.crop_id,)))
    with pytest.raises(PeopleErased):
        origin_of(first, gallery.rows)


def test_who_was_erased_from_a_copy_of_the_video_is_not_shown(video: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    for camera in ("gate 3", "gate 4"):
        ingest(CONFIG, video, gallery, camera_id=camera, start=NINE)
    erased, shown = (next(gallery.crops(CropFilter(cameras=(camera,)))) for camera in ("gate 3", "gate 4"))
    assert origin_of(shown, gallery.rows).camera_id == "gate 4"
    gallery.erase(CropFilter(crop_ids=(erased.crop_id,)))
    with pytest.raises(PeopleErased):
        origin_of(shown, gallery.rows)


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
