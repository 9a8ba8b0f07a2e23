"""How each watched stream is, for `personsearch status`: one file per camera, written every few seconds.

`<home>/watch/<camera>.json`, where `<camera>` is as `path_name` spells it.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from personsearch.config import Config
from personsearch.files import write_json
from personsearch.gallery.store import path_name

OLDEST_BEAT_SECONDS = 30.0
LONGEST_SILENCE_SECONDS = 30.0
CLOCK_TOLERANCE_SECONDS = 5.0

State = Literal["connecting", "watching", "lost", "stopped"]


class StreamHealth(Config):
    """What a watching process last said of a stream. Times are seconds since 1970; counts began with the process."""

    camera: str
    """Its name."""

    address: str
    """Where its stream is."""

    state: State
    """Whether frames arrive; `stopped` if the process was told to stop."""

    problem: str
    """Why no frames arrive, or why people cannot be stored; empty where all is well."""

    beat_at: float
    """When this was written."""

    last_frame_at: float | None
    """When the last frame arrived."""

    frames: int
    """Frames that arrived."""

    frames_per_second: float
    """Frames that arrived, per second of the last few."""

    looks_per_second: float
    """Frames in which people were looked for, per second of the last few."""

    dropped: int
    """Frames that were left out because they were late or the detector was busy."""

    damaged: int
    """Packets and frames that could not be decoded."""

    reconnects: int
    """Connections after the first."""

    people: int
    """Tracks stored."""

    crops: int
    """Crops stored."""

    waiting: int
    """People who wait to be stored."""

    lost: int
    """People who could not be stored for so long that others took their place."""

    lag: float
    """Seconds from when the last frame was taken until people were looked for in it."""

    clock: Literal["ours", "camera"]
    """Whose time the crops carry."""

    clock_offset: float | None
    """Seconds by which the camera's clock is ahead of ours; null where it sends none."""


class StreamState:
    """The same while it changes; reader and watcher of a stream share it."""

    def __init__(self, camera: str, address: str, *, clock: Literal["ours", "camera"]) -> None:
        self.camera = camera
        self.dropped = self.damaged = 0
        self.people = self.crops = self.waiting = self.lost = self.looks = 0
        self.looking_problem = self.storing_problem = ""
        self.lag = 0.0
        self.clock_offset: float | None = None
        self._address = address
        self._clock = clock
        self._state: State = "connecting"
        self._problem = ""
        self._connections = 0
        self._frames = 0
        self._last_frame_at: float | None = None
        self._counted = (time.monotonic(), 0, 0)
        self._lock = threading.Lock()

    def connected(self) -> None:
        """The stream is open; frames should follow."""
        self._connections += 1

    def lose(self, problem: str) -> None:
        """There is no stream any more."""
        self._state, self._problem = "lost", problem

    def count_frame(self) -> None:
        """A frame arrived."""
        self._frames += 1
        self._last_frame_at = time.time()
        self._state, self._problem = "watching", ""

    def stop(self) -> None:
        """The process was told to stop."""
        self._state, self._problem = "stopped", ""

    def health(self) -> StreamHealth:
        """Everything as it is now, with rates since the last call."""
        with self._lock:
            now, frames, looks = time.monotonic(), self._frames, self.looks
            then, frames_then, looks_then = self._counted
            self._counted = now, frames, looks
        seconds = max(now - then, 1e-3)
        return StreamHealth(
            camera=self.camera,
            address=self._address,
            state=self._state,
            problem=self._problem or self.looking_problem or self.storing_problem,
            beat_at=time.time(),
            last_frame_at=self._last_frame_at,
            frames=frames,
            frames_per_second=round((frames - frames_then) / seconds, 1),
            looks_per_second=round((looks - looks_then) / seconds, 1),
            dropped=self.dropped,
            damaged=self.damaged,
            reconnects=max(0, self._connections - 1),
            people=self.people,
            crops=self.crops,
            waiting=self.waiting,
            lost=self.lost,
            lag=round(self.lag, 2),
            clock=self._clock,
            clock_offset=self.clock_offset,
        )


def health_file(folder: Path, camera: str) -> Path:
    """Where a stream's health is kept."""
    return folder / f"{path_name(camera)}.json"


def write_health(folder: Path, health: StreamHealth) -> None:
    """Replace what is known of a stream."""
    write_json(health_file(folder, health.camera), health.model_dump(mode="json"))


def read_health(folder: Path) -> list[StreamHealth]:
    """Every stream that was ever watched here, by name; a damaged file is left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(StreamHealth.model_validate_json(path.read_bytes()))
        except (OSError, ValueError):
            continue
    return found


def problems_of(streams: Sequence[StreamHealth], *, now: float | None = None) -> list[str]:
    """One line for each thing that is wrong with a stream that should be watched."""
    now = time.time() if now is None else now
    return [f"{stream.camera}: {line}" for stream in streams for line in _wrong(stream, now)]


def _wrong(stream: StreamHealth, now: float) -> list[str]:
    lines = []
    if stream.lost:
        lines.append(f"{stream.lost} people could not be stored and are lost")
    if stream.state == "stopped":
        return lines
    if now - stream.beat_at > OLDEST_BEAT_SECONDS:
        return [*lines, "was being watched until its process ended; start `personsearch watch` again"]
    silence = now - (stream.last_frame_at or 0.0)
    if stream.state == "lost" or silence > LONGEST_SILENCE_SECONDS:
        since = f"no frame for {silence:.0f} s" if stream.last_frame_at else "no frame yet"
        lines.append(f"{since} ({stream.problem or stream.state})")
    if stream.waiting:
        lines.append(f"{stream.waiting} people wait to be stored ({stream.problem or 'the gallery is slow'})")
    if stream.clock_offset is not None and abs(stream.clock_offset) > CLOCK_TOLERANCE_SECONDS:
        lines.append(_wrong_clock(stream.clock_offset, stream.clock))
    return lines


def _wrong_clock(offset: float, clock: Literal["ours", "camera"]) -> str:
    where = "ahead of" if offset > 0 else "behind"
    carry = "its crops carry ours" if clock == "ours" else "its crops carry the camera's"
    return f"the camera's clock is {abs(offset):.0f} s {where} ours; set it by NTP ({carry})"
