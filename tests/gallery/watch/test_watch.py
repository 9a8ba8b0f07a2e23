"""Streams of a real RTSP server, which stalls, dies, comes back, sends damage, wants a password, has a wrong clock."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import UserError
from personsearch.files import alone
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.gallery.store import Gallery
from personsearch.gallery.watch.health import StreamHealth, health_file, problems_of, read_health
from personsearch.gallery.watch.streams import StreamConfig
from personsearch.gallery.watch.watch import Patience, watch
from personsearch.images import open_image
from personsearch.integrations.database.gallery import gallery_in
from tests.servers.rtsp import RtspServer, require_rtsp, rtsp_server

pytest.importorskip("onnx")
from tests.gallery.watch.film import BLUE, GREEN, RED, colour_detector, config, film

PATIENCE = Patience(first_wait=0.2, silent=2.0)
CAMERA = "gate 3"
PATIENT_SECONDS = 90.0


@pytest.fixture(scope="module")
def server_installed() -> None:
    try:
        require_rtsp()
    except RuntimeError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> IngestConfig:
    return config(colour_detector(tmp_path_factory.mktemp("detector") / "colour.onnx"))


@pytest.fixture(scope="module")
def passing(server_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people pass, and from the twelfth second on a third one stays."""
    visits = [(RED, 2.0, 4.0), (BLUE, 7.0, 9.0), (GREEN, 12.0, 120.0)]
    return film(tmp_path_factory.mktemp("film") / "passing.mp4", visits, seconds=120)


@pytest.fixture(scope="module")
def busy(server_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody passes every four seconds."""
    visits = [((RED, BLUE, GREEN)[n % 3], 4.0 * n + 0.5, 4.0 * n + 1.9) for n in range(30)]
    return film(tmp_path_factory.mktemp("film") / "busy.mp4", visits, seconds=120)


class Watching:
    """`watch` in a thread."""

    def __init__(self, settings: IngestConfig, stream: StreamConfig, folder: Path) -> None:
        self.gallery = gallery_in(folder / "gallery")
        self.folder = folder / "watch"
        self.stopping = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._watching: Future[list[StreamHealth]] = self._pool.submit(
            watch,
            settings,
            {CAMERA: stream},
            self.gallery,
            self.folder,
            stopping=self.stopping,
            patience=PATIENCE,
        )

    def until(self, holds: Callable[[StreamHealth], bool]) -> StreamHealth:
        """Wait until what `status` would see is as expected."""
        deadline = time.monotonic() + PATIENT_SECONDS
        while time.monotonic() < deadline:
            for health in read_health(self.folder):
                if holds(health):
                    return health
            if self._watching.done():
                self._watching.result()
            time.sleep(0.2)
        raise AssertionError(f"still {read_health(self.folder)}")

    def stop(self) -> StreamHealth:
        self.stopping.set()
        [health] = self._watching.result(PATIENT_SECONDS)
        return health


@pytest.fixture
def start(settings: IngestConfig, tmp_path: Path) -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def begin(server: RtspServer, **values: object) -> Watching:
        started.append(Watching(settings, StreamConfig(address=server.address, **values), tmp_path))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for each in started:
        each.stopping.set()
        each._pool.shutdown()


def colours(gallery: Gallery) -> list[str]:
    """The colour of each track, in the order of time."""
    found = {}
    for crop in sorted(gallery.crops(), key=lambda crop: crop.captured_at):
        pixels = np.asarray(open_image(gallery.picture(crop)))
        middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]
        found[crop.track_id] = ("red", "green", "blue")[int(middle.argmax())]
    return list(found.values())


def test_people_of_a_live_stream_are_stored_as_they_pass(passing: Path, start: Callable[..., Watching]) -> None:
    with rtsp_server(passing) as server:
        watching = start(server)
        health = watching.until(lambda health: health.people >= 2)
        assert health.state == "watching"
        assert health.frames_per_second > 4
        assert problems_of([health]) == []
        time.sleep(6)  # the third one comes, and stays
        stopped = watching.stop()
    assert (stopped.state, stopped.people, stopped.lost, stopped.reconnects) == ("stopped", 3, 0, 0)
    assert colours(watching.gallery) == ["red", "blue", "green"]
    crops = sorted(watching.gallery.crops(), key=lambda crop: crop.captured_at)
    assert abs((crops[2].captured_at - crops[0].captured_at) - timedelta(seconds=5)) < timedelta(seconds=1.5)
    assert health.clock_offset is not None
    assert abs(health.clock_offset) < 1.0
    assert all(crop.bbox.height > 80 and 80 < crop.bbox.y < 105 for crop in crops)


def test_a_server_that_stalls_is_left_and_found_again(busy: Path, start: Callable[..., Watching]) -> None:
    with rtsp_server(busy) as server:
        watching = start(server)
        watching.until(lambda health: health.people >= 1)
        server.stall()
        lost = watching.until(lambda health: health.state == "lost")
        assert lost.problem in ("nothing arrives", "Connection timed out")
        stored = lost.people
        server.resume()
        again = watching.until(lambda health: health.people > stored + 1)
        assert (again.state, again.lost) == ("watching", 0)
        assert again.reconnects >= 1
        watching.stop()
    ids = [crop.crop_id for crop in watching.gallery.crops()]
    assert len(ids) == len(set(ids))


def test_a_server_that_dies_and_returns_is_found_again(busy: Path, start: Callable[..., Watching]) -> None:
    with rtsp_server(busy) as server:
        watching = start(server)
        watching.until(lambda health: health.people >= 1)
    lost = watching.until(lambda health: health.state == "lost")
    assert "no frame" in problems_of([lost])[0]
    with rtsp_server(busy, port=server.port):
        again = watching.until(lambda health: health.state == "watching" and health.people > lost.people)
        assert again.reconnects >= 1
        watching.stop()


def test_a_damaged_stream_is_watched_as_far_as_it_can_be(busy: Path, start: Callable[..., Watching]) -> None:
    with rtsp_server(busy, "--damage", "0.0005") as server:
        watching = start(server)
        time.sleep(10)
        health = watching.until(lambda health: health.damaged + health.reconnects > 0)
        assert health.state in ("watching", "lost")
        assert watching.stop().state == "stopped"


def test_a_camera_whose_clock_is_minutes_off_is_named(passing: Path, start: Callable[..., Watching]) -> None:
    with rtsp_server(passing, clock=300) as server:
        watching = start(server, clock="camera")
        health = watching.until(lambda health: health.people >= 1)
        watching.stop()
    assert health.clock_offset == pytest.approx(300, abs=2)
    assert problems_of([health]) == [
        f"{CAMERA}: the camera's clock is 300 s ahead of ours; set it by NTP (its crops carry the camera's)"
    ]
    crop = next(watching.gallery.crops())
    assert timedelta(seconds=285) < crop.captured_at - crop.ingested_at < timedelta(seconds=302)
    assert "#our-time=" in crop.frame_uri


def test_a_password_opens_the_stream_and_is_shown_nowhere(
    busy: Path, start: Callable[..., Watching], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong/hunter2")
    with caplog.at_level("DEBUG"), rtsp_server(busy, "--password", "p@ss/hunter2") as server:
        watching = start(server, user="viewer", password_file=secret)
        refused = watching.until(lambda health: health.state == "lost")
        assert "401 Unauthorized" in refused.problem
        secret.write_text("p@ss/hunter2\n")
        watching.until(lambda health: health.people >= 1)
        watching.stop()
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != secret]
    assert not any(b"hunter2" in content for content in written)
    assert "hunter2" not in caplog.text


def test_one_camera_is_watched_once(settings: IngestConfig, tmp_path: Path) -> None:
    stream = StreamConfig(address="rtsp://127.0.0.1:1/stream")
    with (
        alone(health_file(tmp_path / "watch", CAMERA).with_suffix(".lock")),
        pytest.raises(UserError, match="another `personsearch watch` on this machine watches it"),
    ):
        watch(settings, {CAMERA: stream}, gallery_in(tmp_path), tmp_path / "watch", stopping=threading.Event())


def test_motion_cannot_watch(tmp_path: Path) -> None:
    stream = StreamConfig(address="rtsp://127.0.0.1:1/stream")
    with pytest.raises(UserError, match="must read ahead"):
        watch(
            IngestConfig(detector="motion"),
            {CAMERA: stream},
            gallery_in(tmp_path),
            tmp_path / "watch",
            stopping=threading.Event(),
        )
