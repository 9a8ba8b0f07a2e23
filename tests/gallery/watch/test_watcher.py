"""People of a stream are stored when they leave, at once or later, in bounded memory."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.errors import UserError
from personsearch.gallery.ingest.boxes import NO_BOXES
from personsearch.gallery.ingest.detectors import Detections
from personsearch.gallery.ingest.selection import SelectionConfig
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.gallery.ingest.video import Frame
from personsearch.gallery.store import Gallery
from personsearch.gallery.watch import watcher as module
from personsearch.gallery.watch.health import StreamState
from personsearch.gallery.watch.reader import Newest
from personsearch.gallery.watch.streams import StreamConfig
from personsearch.gallery.watch.watcher import StreamWatcher
from personsearch.integrations.database.gallery import gallery_in

STREAM = StreamConfig(address="rtsp://10.0.0.7/stream1?token=s3cret")
SHADES = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
CONFIG = IngestConfig(selection=SelectionConfig(crops_per_track=2))


class Script:
    """A detector that sees one person whenever `visible` says so; `broken` fails."""

    def __init__(self) -> None:
        self.visible = True
        self.broken = False

    def detect(self, frame: Frame, expected_K4: np.ndarray) -> Detections:
        if self.broken:
            raise ValueError("a bad frame")
        boxes = np.array([[40.0, 60.0, 90.0, 190.0]]) if self.visible else NO_BOXES
        return Detections(boxes, np.ones(len(boxes), dtype=bool))


class Stage:
    """A watcher whose frames a test gives, ten a second of a clock that begins now."""

    def __init__(self, gallery: Gallery, *, stream: StreamConfig = STREAM, **options: Any) -> None:
        self.detector = Script()
        self.state = StreamState("gate 3", STREAM.address, clock=stream.clock)
        self.gallery = gallery
        self.stopping = threading.Event()
        self.newest = Newest()
        self.watcher = StreamWatcher(
            CONFIG,
            stream,
            gallery=gallery,
            detector=self.detector,
            newest=self.newest,
            state=self.state,
            stopping=self.stopping,
            **options,
        )
        self.now = time.monotonic()

    def show(self, seconds: float, *, visible: bool) -> None:
        self.detector.visible = visible
        for _ in range(round(10 * seconds)):
            self.now += 0.1
            self.newest.put(Frame(round(1000 * self.now), self.now, SHADES))
            self.watcher._step()

    def end(self) -> None:
        self.stopping.set()
        self.watcher.run()


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return gallery_in(tmp_path / "gallery")


@pytest.fixture
def stage(gallery: Gallery) -> Iterator[Stage]:
    staged = Stage(gallery)
    yield staged
    staged.stopping.set()


def test_a_person_is_stored_when_they_have_left(stage: Stage) -> None:
    stage.show(2, visible=True)
    assert stage.gallery.count() == 0
    stage.show(3, visible=False)
    assert (stage.gallery.count(), stage.state.people, stage.state.crops) == (2, 1, 2)
    assert {crop.frame_uri for crop in stage.gallery.crops()} == {"rtsp://10.0.0.7/stream1?token=***"}
    assert len({crop.track_id for crop in stage.gallery.crops()}) == 1


def test_who_is_in_the_picture_at_the_end_is_stored(stage: Stage) -> None:
    stage.show(2, visible=True)
    stage.end()
    assert (stage.gallery.count(), stage.state.lost) == (2, 0)


def test_who_was_in_the_picture_when_the_stream_was_lost_is_stored_without_another_frame(stage: Stage) -> None:
    stage.show(2, visible=True)
    stage.now = time.monotonic()
    stage.watcher._last = Frame(1, time.monotonic() - 60, SHADES)
    stage.watcher._step()
    assert stage.gallery.count() == 2


def test_somebody_who_stays_is_stored_now_and_then_under_one_track(gallery: Gallery) -> None:
    stage = Stage(gallery, longest_track_seconds=5)
    stage.show(18, visible=True)
    assert stage.state.people == 3
    assert [len(views.sightings) <= 51 for views in stage.watcher._finder._growing.values()] == [True]
    stage.end()
    crops = list(gallery.crops())
    assert len(crops) == len({crop.captured_at for crop in crops}) == 8
    assert len({crop.track_id for crop in crops}) == 1


def test_a_gallery_that_cannot_be_reached_costs_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise UserError("the server has gone")

    with monkeypatch.context() as patch:
        patch.setattr(stage.gallery, "add", fail)
        stage.show(2, visible=True)
        stage.show(3, visible=False)
        health = stage.state.health()
        assert (health.waiting, health.problem) == (1, "cannot be stored: the server has gone")
    stage.watcher._retry_at = 0.0
    stage.watcher._step()
    assert (stage.gallery.count(), stage.state.waiting, stage.state.health().problem) == (2, 0, "")


def test_what_waits_too_long_is_lost_and_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise OSError("disk is full")

    monkeypatch.setattr(stage.gallery, "add", fail)
    monkeypatch.setattr(module, "MOST_WAITING", 1)
    monkeypatch.setattr(module, "LAST_SECONDS", 0.0)
    for _ in range(2):
        stage.show(2, visible=True)
        stage.show(3, visible=False)
    assert (stage.state.waiting, stage.state.lost) == (1, 1)
    stage.end()
    assert stage.state.lost == 2


def test_a_frame_that_breaks_the_detector_ends_nothing(stage: Stage) -> None:
    stage.detector.broken = True
    stage.watcher._survive(lambda: stage.show(0.1, visible=True))
    assert stage.state.health().problem == "frames cannot be looked at: a bad frame"
    stage.detector.broken = False
    stage.show(2, visible=True)
    stage.end()
    assert (stage.gallery.count(), stage.state.health().problem) == (2, "")


def test_crops_sent_again_after_an_error_are_stored_once(stage: Stage) -> None:
    stage.show(2, visible=True)
    stage.show(3, visible=False)
    [*crops] = stage.gallery.crops()
    before = stage.gallery.last_sequence()
    stage.watcher._waiting.append([(crop, stage.gallery.picture(crop)) for crop in crops])
    stage.watcher._store()
    assert stage.gallery.last_sequence() == before


def test_either_clock_is_kept(gallery: Gallery) -> None:
    for name, clock in (("ours", "ours"), ("theirs", "camera")):
        stage = Stage(gallery, stream=STREAM.model_copy(update={"clock": clock}))
        stage.state.camera = name
        stage.state.clock_offset = 300.0
        stage.show(2, visible=True)
        stage.end()
    [ours, *_], [theirs, *_] = ([c for c in gallery.crops() if c.camera_id == name] for name in ("ours", "theirs"))
    assert 280 < (theirs.captured_at - ours.captured_at).total_seconds() < 330
    assert "#camera-time=" in ours.frame_uri
    assert "#our-time=" in theirs.frame_uri


def test_only_the_newest_frame_waits() -> None:
    newest = Newest()
    assert newest.take(0.0) is None
    for number in range(3):
        newest.put(Frame(number, 0.0, SHADES))
    taken = newest.take(0.0)
    assert taken is not None
    assert (taken.index, newest.replaced, newest.take(0.0)) == (2, 2, None)
