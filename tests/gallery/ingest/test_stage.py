"""A rendered clip becomes tracks and crops; killing, repeating and wrong input leave the gallery right."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.gallery.ingest import stage
from personsearch.gallery.ingest.selection import SelectionConfig, TrackViews
from personsearch.gallery.ingest.stage import ingest
from personsearch.gallery.ingest.tracks import IngestConfig, TrackFinder
from personsearch.gallery.store import Gallery
from personsearch.images import open_image
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.filters import CropFilter

from .clips import Walker, write_clip, write_stream

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
# The figures are no people to a detector, only to motion.
CONFIG = IngestConfig(detector="motion", selection=SelectionConfig(least_person_margin=-100.0))
WALKERS = [Walker((30, 30, 180), 40, 10, foot=150, last=24), Walker((160, 60, 20), 290, -5, foot=225, first=5)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.avi", WALKERS, frames=55)


def described(gallery: Gallery) -> list[tuple[object, ...]]:
    """All that is deterministic about the crops, with the pictures."""
    return [(c.crop_id, c.track_id, c.captured_at, c.bbox, c.quality, gallery.picture(c)) for c in gallery.crops()]


def test_each_walker_becomes_a_track_of_good_crops(clip: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    metrics = ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    crops = list(gallery.crops())
    assert {c.track_id for c in crops} == {"junction-20260301T090000-0001", "junction-20260301T090000-0002"}
    assert metrics["tracks"] == 2
    assert metrics["crops_added"] == len(crops) == gallery.count()
    assert (metrics["frames"], metrics["frames_missing"]) == (55, 0)
    for crop in crops:
        frame = int(crop.frame_uri.removeprefix("clip.avi#frame="))
        assert crop.captured_at == NINE + timedelta(seconds=frame / 10)
        walker = WALKERS[crop.track_id.endswith("2")]
        left, top, right, bottom = walker.box_at(frame)
        assert abs(crop.bbox.x + crop.bbox.width / 2 - (left + right) / 2) < 8
        assert abs(crop.bbox.y - top) < 12
        assert abs(crop.bbox.y + crop.bbox.height - bottom) < 12
        with open_image(gallery.picture(crop)) as picture:
            assert picture.size == (crop.bbox.width, crop.bbox.height)
            assert 1.5 < picture.height / picture.width < 3
    record = json.loads((gallery.folder / "ingests" / "junction-20260301T090000" / "run.json").read_text())
    assert record["metrics"] == metrics


def test_the_same_video_again_adds_nothing(clip: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path)
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    before = described(gallery)
    again = ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    assert again["crops_added"] == 0
    assert described(gallery) == before


def test_a_camera_is_called_what_people_call_it(clip: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    ingest(CONFIG, clip, gallery, camera_id="gate 3", start=NINE)
    crops = list(gallery.crops(crop_filter=CropFilter(cameras=("gate 3",))))
    assert len(crops) == gallery.count() > 0
    assert all(crop.track_id.startswith("gate-3-") and gallery.picture(crop) for crop in crops)


def test_another_video_of_the_same_camera_and_time_is_refused(clip: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path / "gallery")
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    other = write_clip(tmp_path / "other.avi", [], frames=12)
    with pytest.raises(UserError, match="another video"):
        ingest(CONFIG, other, gallery, camera_id="junction", start=NINE)
    assert ingest(CONFIG, other, gallery, camera_id="door", start=NINE)["tracks"] == 0


def test_again_replaces_the_crops_of_other_settings(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = gallery_in(tmp_path)
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    first = {crop.crop_id for crop in gallery.crops()}
    fewer = CONFIG.model_copy(update={"selection": CONFIG.selection.model_copy(update={"crops_per_track": 1})})
    assert ingest(fewer, clip, gallery, camera_id="junction", start=NINE)["crops_added"] == 0
    assert "selection.crops_per_track: 4, now 1" in caplog.text
    assert "--again" in caplog.text
    metrics = ingest(fewer, clip, gallery, camera_id="junction", start=NINE, again=True)
    second = {crop.crop_id for crop in gallery.crops()}
    assert (metrics["crops_added"], metrics["crops_replaced"]) == (2, len(first))
    assert len(second) == 2
    assert not second & first
    assert all(gallery.is_erased(crop_id) for crop_id in first)  # so that indexes drop them
    back = ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE, again=True)
    assert (back["crops_added"], back["crops_replaced"]) == (len(first), 2)
    assert gallery.count() == len(first)


@pytest.fixture
def gallery(tmp_path: Path, database_address: str, crops_address: str) -> Gallery:
    """An empty gallery in each engine."""
    return gallery_in(tmp_path / "gallery", database_address, crops_address)


def when_the_first_track_ends(patch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen while an ingest runs: right behind its first track."""

    class Interrupted(TrackFinder):
        def __iter__(self) -> Iterator[TrackViews]:
            for number, track in enumerate(super().__iter__(), start=1):
                yield track
                if number == 1:
                    happens()

    patch.setattr(stage, "TrackFinder", Interrupted)


def ingest_and_fail(clip: Path, gallery: Gallery, *, again: bool = False) -> None:
    """An ingest that ends behind its first track, with nothing done on the way out."""
    with pytest.MonkeyPatch.context() as patch:
        when_the_first_track_ends(patch, lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE, again=again)


def test_a_replacement_that_is_interrupted_has_changed_nothing(clip: Path, gallery: Gallery) -> None:
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    before = described(gallery)
    ingest_and_fail(clip, gallery, again=True)
    assert described(gallery) == before
    assert ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)["crops_added"] == 0
    assert not gallery.sweep()
    metrics = ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE, again=True)
    assert metrics["crops_added"] == metrics["crops_replaced"] == len(before) == gallery.count()


def test_people_who_were_erased_do_not_return_with_other_settings(clip: Path, gallery: Gallery) -> None:
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    gallery.erase(CropFilter(tracks=("junction-20260301T090000-0001",)))
    with pytest.raises(UserError, match="were erased"):
        ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE, again=True)


def test_who_is_erased_during_a_replacement_does_not_return_by_it(
    clip: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    erased = CropFilter(tracks=("junction-20260301T090000-0001",))
    others = [row for row in described(gallery) if row[1] not in erased.tracks]
    with monkeypatch.context() as patch:
        when_the_first_track_ends(patch, lambda: gallery.erase(erased))
        with pytest.raises(UserError, match=r"4 of its crops were erased.*nothing was replaced"):
            ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE, again=True)
    assert described(gallery) == others
    assert not gallery.sweep()  # no picture of the refused ones is left
    assert ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)["crops_added"] == 0
    assert described(gallery) == others


def test_of_two_replacements_at_once_one_is_refused(
    clip: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    fewer = CONFIG.model_copy(update={"selection": CONFIG.selection.model_copy(update={"crops_per_track": 1})})

    def other() -> None:
        monkeypatch.undo()
        ingest(fewer, clip, gallery, camera_id="junction", start=NINE, again=True)

    when_the_first_track_ends(monkeypatch, other)
    with pytest.raises(UserError, match="ingested by another process"):
        ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE, again=True)
    assert gallery.count() == 2


def test_an_ingest_that_was_replaced_meanwhile_adds_nothing_more(
    clip: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = CONFIG.model_copy(update={"selection": CONFIG.selection.model_copy(update={"crops_per_track": 1})})

    def other() -> None:
        monkeypatch.undo()
        ingest(fewer, clip, gallery, camera_id="junction", start=NINE, again=True)

    when_the_first_track_ends(monkeypatch, other)
    with pytest.raises(UserError, match="ingested by another process"):
        ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    assert gallery.count() == 2


def test_the_same_file_at_overlapping_times_is_refused(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = gallery_in(tmp_path)
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    later = NINE + timedelta(seconds=3)
    with pytest.raises(UserError, match=r"camera junction from 2026-03-01T09:00:00.*3 s apart.*twice"):
        ingest(CONFIG, clip, gallery, camera_id="junction", start=later)
    ingest(CONFIG, clip, gallery, camera_id="door", start=later)
    assert "also in the gallery as camera junction" in caplog.text
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE + timedelta(hours=1))
    gallery.erase(CropFilter(cameras=("junction",)))
    assert ingest(CONFIG, clip, gallery, camera_id="junction", start=later)["crops_added"] > 0


def test_nobody_found_says_what_was_rejected_and_why(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, selection, reason in [
        ("long", {"least_track_seconds": 60.0}, "2 seen for less than 60.0 s (selection.least_track_seconds)"),
        ("high", {"least_height": 100}, "2 lower than 100 pixels (selection.least_height)"),
        ("sure", {"least_person_margin": 50.0}, "where 50.0 is needed (selection.least_person_margin)"),
    ]:
        config = CONFIG.model_copy(update={"selection": CONFIG.selection.model_copy(update=selection)})
        metrics = ingest(config, clip, gallery_in(tmp_path), camera_id=name, start=NINE)
        assert metrics["tracks"] == 0
        assert "no people found" in caplog.text
        assert reason in caplog.text
        caplog.clear()


def test_rejected_tracks_are_counted_beside_those_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second walker is seen for half a second."""
    walkers = [Walker((30, 30, 180), 40, 5, foot=150), Walker((160, 60, 20), 200, 4, foot=225, first=10, last=14)]
    clip = write_clip(tmp_path / "clip.avi", walkers, frames=40)
    metrics = ingest(CONFIG, clip, gallery_in(tmp_path / "gallery"), camera_id="junction", start=NINE)
    assert (metrics["tracks"], metrics["tracks_rejected"]) == (1, 1)
    told = capsys.readouterr().err
    assert "clip.avi: tracks rejected 1: 1 seen for less than 0.8 s (selection.least_track_seconds)" in told


@pytest.mark.parametrize(("every", "frames"), [(9, 7), (11, 5)])
def test_progress_counts_the_frames_that_are_looked_at(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], every: int, frames: int
) -> None:
    config = CONFIG.model_copy(update={"every": every})
    assert ingest(config, clip, gallery_in(tmp_path), camera_id="junction", start=NINE)["frames"] == frames
    assert f"clip.avi: {frames}/{frames} done" in capsys.readouterr().err


def test_erased_tracks_do_not_return_with_the_video(clip: Path, tmp_path: Path) -> None:
    gallery = gallery_in(tmp_path)
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    gallery.erase(CropFilter(cameras=("junction",)))
    ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    assert gallery.count() == 0


@pytest.mark.parametrize(
    ("camera", "start", "message"),
    [(" ", NINE, "camera"), ("junction", NINE.replace(tzinfo=None), "time zone")],
)
def test_wrong_names_and_times_are_refused(
    clip: Path, tmp_path: Path, camera: str, start: datetime, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ingest(CONFIG, clip, gallery_in(tmp_path), camera_id=camera, start=start)


def test_an_empty_scene_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    empty = write_clip(tmp_path / "empty.avi", [], frames=15)
    metrics = ingest(CONFIG, empty, gallery_in(tmp_path / "gallery"), camera_id="junction", start=NINE)
    assert (metrics["tracks"], metrics["crops_added"]) == (0, 0)
    assert "no people found" in caplog.text


def test_a_truncated_video_is_taken_in_and_reported(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = clip.read_bytes()
    broken = tmp_path / "broken.avi"
    index = content.rindex(b"idx1")  # the header still claims every frame
    broken.write_bytes(content[: index * 3 // 4])
    metrics = ingest(CONFIG, broken, gallery_in(tmp_path / "gallery"), camera_id="junction", start=NINE)
    assert metrics["frames_missing"] > 5
    assert metrics["tracks"] == 2
    assert "frames are missing" in caplog.text


def test_crops_are_captured_at_the_times_of_the_stream(tmp_path: Path) -> None:
    """The recording stalls for a minute before the only walker comes."""
    times = [n / 10 + 60 * (n >= 10) for n in range(50)]
    clip = write_stream(tmp_path / "clip.mp4", [Walker((30, 30, 180), -60, 10, foot=150, first=10)], times=times)
    gallery = gallery_in(tmp_path / "gallery")
    metrics = ingest(CONFIG, clip, gallery, camera_id="junction", start=NINE)
    assert metrics["tracks"] == 1
    assert metrics["frames_missing"] == 0
    for crop in gallery.crops():
        frame = int(crop.frame_uri.removeprefix("clip.mp4#frame="))
        assert crop.captured_at == NINE + timedelta(seconds=frame / 10 + 60)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.gallery.ingest.test_stage import CONFIG, NINE
from personsearch.gallery.ingest.stage import ingest
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.filters import CropFilter
ingest(CONFIG, Path(sys.argv[1]), gallery_in(Path(sys.argv[2])), camera_id="junction", start=NINE)
"""


def test_a_killed_ingest_is_finished_by_the_next_one(clip: Path, tmp_path: Path) -> None:
    """The first walker leaves at frame 24 and is stored at frame 50: the kill comes right then, before the end."""
    whole = gallery_in(tmp_path / "whole")
    ingest(CONFIG, clip, whole, camera_id="junction", start=NINE)
    folder = tmp_path / "killed"
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(clip), str(folder), str(root)], cwd=root)
    while process.poll() is None and not list(folder.glob("images/*/*/*")):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ingest(CONFIG, clip, gallery_in(folder), camera_id="junction", start=NINE)
    assert described(gallery_in(folder)) == described(whole)
    assert set(folder.glob("images/*/*/*")) == {folder / crop.image_uri for crop in gallery_in(folder).crops()}
