"""Watches streams until told to stop: two threads for each, one that reads and one that looks."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from personsearch.errors import UserError, explain
from personsearch.files import alone
from personsearch.gallery.ingest.detectors import Detector
from personsearch.gallery.ingest.tracks import LOOKS_PER_SECOND, IngestConfig, make_detector
from personsearch.gallery.store import Gallery
from personsearch.gallery.watch.health import StreamHealth, StreamState, health_file, write_health
from personsearch.gallery.watch.reader import FIRST_WAIT, SILENT_SECONDS, Newest, StreamReader
from personsearch.gallery.watch.streams import StreamConfig
from personsearch.gallery.watch.watcher import LAST_SECONDS, LIVE, LONGEST_TRACK_SECONDS, StreamWatcher

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait before connecting again, for the next packet, and until a long track is stored, in seconds."""

    first_wait: float = FIRST_WAIT
    silent: float = SILENT_SECONDS
    longest_track: float = LONGEST_TRACK_SECONDS


def watch(
    config: IngestConfig,
    streams: Mapping[str, StreamConfig],
    gallery: Gallery,
    folder: Path,
    *,
    stopping: threading.Event,
    renew: Callable[[], None] = lambda: None,
    detector: Detector | None = None,
    patience: Patience | None = None,
) -> list[StreamHealth]:
    """Store the people of live streams, by camera, until `stopping` is set; open tracks are finished then.

    Writes each stream's health below `folder` every two seconds, and returns what was last written. `renew` is called
    as often; if it raises, watching ends as if it had been stopped, and then with that error.

    Raises:
        UserError: the detector cannot watch, a password is missing, or another process here watches one of the cameras.
    """
    detector = detector or _live_detector(config)
    for stream in streams.values():
        stream.address_with_credentials()
    patience = patience or Patience()
    with _alone(folder, streams):
        gallery.sweep()
        start = partial(_start, config, gallery=gallery, detector=detector, stopping=stopping, patience=patience)
        watched = [start(camera, stream) for camera, stream in streams.items()]
        said: dict[str, str] = {}
        try:
            while not stopping.wait(BEAT_SECONDS):
                renew()
                _beat(folder, (state for state, _ in watched), said)
        finally:
            stopping.set()
            for state, thread in watched:
                thread.join(LAST_SECONDS + 2 * BEAT_SECONDS)
                state.stop()
            last = _beat(folder, (state for state, _ in watched), said)
        return last


def _live_detector(config: IngestConfig) -> Detector:
    if config.detector == "motion":
        raise UserError("detector motion: must read ahead, as a live stream cannot; builtin or an ONNX file expected")
    return make_detector(config, Path(), LIVE)


def _start(
    config: IngestConfig,
    camera: str,
    stream: StreamConfig,
    *,
    gallery: Gallery,
    detector: Detector,
    stopping: threading.Event,
    patience: Patience,
) -> tuple[StreamState, threading.Thread]:
    state, newest = StreamState(camera, stream.shown_address, clock=stream.clock), Newest()
    watcher = StreamWatcher(
        config,
        stream,
        gallery=gallery,
        detector=detector,
        newest=newest,
        state=state,
        stopping=stopping,
        longest_track_seconds=patience.longest_track,
    )
    reader = StreamReader(
        stream,
        state,
        newest,
        looks_per_second=LOOKS_PER_SECOND,
        stopping=stopping,
        first_wait=patience.first_wait,
        silent_seconds=patience.silent,
    )
    threading.Thread(target=reader.run, name=f"read {camera}", daemon=True).start()
    watching = threading.Thread(target=watcher.run, name=f"watch {camera}", daemon=True)
    watching.start()
    return state, watching


def _beat(folder: Path, states: Iterable[StreamState], said: dict[str, str]) -> list[StreamHealth]:
    written = [state.health() for state in states]
    for health in written:
        line = f"{health.state}: {health.problem}" if health.problem else health.state
        if said.get(health.camera) != line:
            said[health.camera] = line
            logger.info("%s: %s", health.camera, line)
        try:
            write_health(folder, health)
        except OSError as error:  # a full disk must not end the watching
            logger.error("%s: %s", folder, explain(error))
    return written


@contextmanager
def _alone(folder: Path, cameras: Iterable[str]) -> Iterator[None]:
    """Two processes that watch one camera would store everybody twice."""
    with ExitStack() as held:
        for camera in cameras:
            try:
                held.enter_context(alone(health_file(folder, camera).with_suffix(".lock"), wait=False))
            except BlockingIOError as error:
                raise UserError(f"{camera}: another `personsearch watch` on this machine watches it") from error
        yield
