"""Follows the people of one stream and stores each track when it ends; what cannot be stored waits, within bounds."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from personsearch.errors import UserError
from personsearch.gallery.ingest.detectors import Detector
from personsearch.gallery.ingest.selection import TrackViews
from personsearch.gallery.ingest.stage import jpeg_of
from personsearch.gallery.ingest.tracks import LOOKS_PER_SECOND, IngestConfig, TrackFinder
from personsearch.gallery.ingest.video import Frame, VideoInfo
from personsearch.gallery.store import Gallery, path_name
from personsearch.gallery.watch.health import StreamState
from personsearch.gallery.watch.reader import Newest
from personsearch.gallery.watch.streams import StreamConfig
from personsearch.search.crop import BoundingBox, Crop

logger = logging.getLogger(__name__)

TICKS = 1000  # a frame's index counts milliseconds
LIVE = VideoInfo(width=0, height=0, frames_per_second=float(TICKS), frame_count=0, seconds=0.0)
TAKE_SECONDS = 0.25
LONGEST_TRACK_SECONDS = 300.0
SLOWEST_LOOK_SECONDS = 2.0
SMOOTHING = 0.1
MOST_WAITING = 200
FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0
LAST_SECONDS = 10.0

Crops = list[tuple[Crop, bytes]]


class StreamWatcher:
    """Takes the newest frames, looks for people in them, and stores the best crops of each.

    Ids are derived from camera, time and track, so crops that are stored again after an error are stored once. Somebody
    who stays for long is stored every few minutes, under one track id, so memory has a bound.
    """

    def __init__(
        self,
        config: IngestConfig,
        stream: StreamConfig,
        *,
        gallery: Gallery,
        detector: Detector,
        newest: Newest,
        state: StreamState,
        stopping: threading.Event,
        longest_track_seconds: float = LONGEST_TRACK_SECONDS,
    ) -> None:
        self._config = config
        self._stream = stream
        self._gallery = gallery
        self._detector = detector
        self._newest = newest
        self._state = state
        self._stopping = stopping
        self._longest_track = round(TICKS * longest_track_seconds)
        self._finder = self._new_finder()
        self._interval = 1.0 / LOOKS_PER_SECOND
        self._last: Frame | None = None
        self._names: dict[int, tuple[str, int]] = {}
        self._waiting: deque[Crops] = deque()
        self._retry_seconds, self._retry_at = FIRST_RETRY, 0.0

    def run(self) -> None:
        """Watch until told to stop, then store who is in the picture."""
        while not self._stopping.is_set():
            self._survive(self._step)
        self._survive(lambda: self._keep(self._finder.finish()))
        deadline = time.monotonic() + LAST_SECONDS
        while self._waiting and time.monotonic() < deadline:
            self._retry_at = 0.0
            self._store()
            if self._waiting:
                time.sleep(FIRST_RETRY)
        self._state.lost += len(self._waiting)

    def _survive(self, act: Callable[[], None]) -> None:
        """Act; one stream's bad frame must not end the watching of others, nor of what follows it."""
        try:
            act()
        except Exception as error:
            logger.exception("%s", self._state.camera)
            self._state.looking_problem = f"frames cannot be looked at: {error}"
            self._finder, self._names = self._new_finder(), {}
            self._stopping.wait(FIRST_RETRY)

    def _step(self) -> None:
        frame = self._newest.take(TAKE_SECONDS)
        if frame is not None and (self._last is None or frame.index > self._last.index):
            self._look(frame)
        elif self._last is not None and self._is_over(self._last):
            self._keep(self._finder.finish())  # they would wait for the next frame, which may never come
            self._last = None
        self._store()

    def _look(self, frame: Frame) -> None:
        if self._last is not None:
            passed = min(frame.seconds - self._last.seconds, SLOWEST_LOOK_SECONDS)
            self._interval += SMOOTHING * (passed - self._interval)
            self._finder.every = max(1, round(TICKS * self._interval))  # a slow machine has fewer boxes of a person
        self._last = frame
        self._state.looks += 1
        self._state.lag = max(0.0, time.monotonic() - frame.seconds)
        self._keep(self._finder.add(frame))
        self._keep(self._finder.split(self._longest_track))
        self._state.looking_problem = ""
        self._names = {number: self._names[number] for number in self._finder.alive() & self._names.keys()}

    def _is_over(self, last: Frame) -> bool:
        return time.monotonic() - last.seconds > self._config.tracking.longest_gap_seconds + SLOWEST_LOOK_SECONDS

    def _keep(self, tracks: Iterable[TrackViews]) -> None:
        for track in tracks:
            self._waiting.append(self._crops(track))
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self._state.lost += 1
        self._state.waiting = len(self._waiting)

    def _store(self) -> None:
        while self._waiting and time.monotonic() >= self._retry_at:
            try:
                added = self._gallery.add(self._waiting[0])
            except (UserError, OSError) as error:
                if not self._state.storing_problem:
                    logger.error("%s: people cannot be stored: %s", self._state.camera, error)
                self._state.storing_problem = f"cannot be stored: {error}"
                self._retry_at = time.monotonic() + self._retry_seconds
                self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY)
                return
            self._waiting.popleft()
            self._state.people += 1
            self._state.crops += added
            self._state.waiting = len(self._waiting)
            self._state.storing_problem, self._retry_seconds = "", FIRST_RETRY

    def _crops(self, track: TrackViews) -> Crops:
        track_id, began = self._names.setdefault(track.number, self._name(track))
        crops = []
        for view in track.select(self._config.selection.crops_per_track):
            captured_at, frame_uri = self._moment(view.seconds)
            crop = Crop(
                crop_id=f"{track_id}-t{view.frame_index - began:06d}",
                camera_id=self._state.camera,
                captured_at=captured_at,
                track_id=track_id,
                image_uri="",
                bbox=BoundingBox(*view.crop_box()),
                frame_uri=frame_uri,
                quality=view.quality,
                ingested_at=datetime.now(UTC),
            )
            crops.append((crop, jpeg_of(view)))
        return crops

    def _name(self, track: TrackViews) -> tuple[str, int]:
        """A track's id, and the index of its first frame."""
        began = track.sightings[0][0]
        at, _ = self._moment(began / TICKS)
        stamp = f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}"
        return f"{path_name(self._state.camera)}-{stamp}-{track.number:04d}", began

    def _moment(self, taken: float) -> tuple[datetime, str]:
        """When a frame was taken, by the clock that the crops carry, and its address with the other clock's time."""
        address = self._stream.shown_address
        ours = datetime.now(UTC) - timedelta(seconds=time.monotonic() - taken)
        if self._state.clock_offset is None:
            return ours, address
        cameras = ours + timedelta(seconds=self._state.clock_offset)
        first, second, other = (ours, cameras, "camera") if self._stream.clock == "ours" else (cameras, ours, "our")
        text = second.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return first, f"{address}#{other}-time={text}"

    def _new_finder(self) -> TrackFinder:
        return TrackFinder(self._config, Path(self._state.camera), LIVE, detector=self._detector)
