"""Reads one stream in a thread: connects again when it is lost, and hands over only the newest frame.

Nobody waits for a frame that is late. Frames that arrive while an earlier one waits take its place; when the stream
itself lags behind, packets up to the next key frame are left out. Both are counted.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from personsearch.addresses import hide_credentials
from personsearch.errors import UserError
from personsearch.gallery.ingest.video import Frame, Picture
from personsearch.gallery.watch.clock import StreamClock
from personsearch.gallery.watch.health import StreamState
from personsearch.gallery.watch.streams import StreamConfig

logger = logging.getLogger(__name__)

CONNECT_SECONDS, SILENT_SECONDS = 10.0, 10.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
STEADY_SECONDS = 30.0
LATE_SECONDS = 2.0
OPTIONS = {
    "rtsp_transport": "tcp",
    "protocol_whitelist": "rtsp,rtsps,rtp,tcp,tls",
    "analyzeduration": "1000000",
}

T = TypeVar("T")


class StreamLost(Exception):
    """The stream ended or cannot be had; the message says why, without a password."""


class Newest:
    """Holds one frame for its taker: a newer one takes its place."""

    def __init__(self) -> None:
        self.replaced = 0
        self._frame: Frame | None = None
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> None:
        """Offer a frame."""
        with self._changed:
            self.replaced += self._frame is not None
            self._frame = frame
            self._changed.notify()

    def take(self, timeout: float) -> Frame | None:
        """The newest frame, or None if none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None, timeout)
            frame, self._frame = self._frame, None
            return frame


class StreamReader:
    """Offers about `looks_per_second` frames of a stream, and keeps the facts in `state` up to date.

    A frame's `seconds` are those of `time.monotonic`, its `index` the same in milliseconds.
    """

    def __init__(
        self,
        stream: StreamConfig,
        state: StreamState,
        newest: Newest,
        *,
        looks_per_second: float,
        stopping: threading.Event,
        first_wait: float = FIRST_WAIT,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._stream = stream
        self._state = state
        self._newest = newest
        self._interval = 1.0 / looks_per_second
        self._stopping = stopping
        self._first_wait = first_wait
        self._silent_seconds = silent_seconds
        self._skipped = 0
        self._due = 0.0

    def run(self) -> None:
        """Read until told to stop."""
        wait = self._first_wait
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._read()
            except (StreamLost, UserError) as lost:
                self._state.lose(str(lost))
            except Exception as error:  # whatever a camera sends, the others are watched on
                logger.exception("%s", self._state.camera)
                self._state.lose(f"cannot be read: {type(error).__name__}")
            if time.monotonic() - began > STEADY_SECONDS:
                wait = self._first_wait
            self._stopping.wait(wait * random.uniform(0.7, 1.0))  # cameras behind one switch come back one by one
            wait = min(2 * wait, LONGEST_WAIT)

    def _read(self) -> None:
        with self._opened() as (container, stream):
            self._state.connected()
            clock, picture, skips = StreamClock(), Picture(), False
            decoded_at = time.monotonic()
            for packet in _packets(container, stream):
                if self._stopping.is_set():
                    return
                now = time.monotonic()
                taken = clock.arrived(_seconds(packet), now)
                self._read_camera_clock(packet, taken, now)
                skips = (skips or now - taken > LATE_SECONDS) and not (
                    packet.is_keyframe and now - taken <= LATE_SECONDS
                )
                if skips:
                    self._count_dropped(1)
                    continue
                for frame in self._decoded(packet):
                    decoded_at = now
                    self._offer(frame, stream, picture, clock.taken(_seconds(frame), now))
                if now - decoded_at > self._silent_seconds:
                    raise StreamLost(f"packets arrive, but for {self._silent_seconds:g} s none gave a picture")
        raise StreamLost("the server ended the stream")

    def _offer(self, frame: VideoFrame, stream: VideoStream, picture: Picture, taken: float) -> None:
        self._state.count_frame()
        if taken < self._due:
            return
        self._due = max(self._due + self._interval, taken - self._interval)
        self._newest.put(Frame(round(1000 * taken), taken, picture.pixels(frame, stream)))
        self._count_dropped(0)

    def _decoded(self, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:  # the next key frame is whole again
            self._state.damaged += 1
            return
        for frame in frames:
            if frame.is_corrupt:
                self._state.damaged += 1
            else:
                yield frame

    def _count_dropped(self, skipped: int) -> None:
        self._skipped += skipped
        self._state.dropped = self._skipped + self._newest.replaced

    def _read_camera_clock(self, packet: "Packet[VideoStream]", taken: float, now: float) -> None:
        """RTCP's sender reports tie timestamps to the camera's clock; FFmpeg passes them on with each packet."""
        if not packet.has_sidedata("prft"):
            return
        microseconds = int.from_bytes(bytes(packet.get_sidedata("prft"))[:8], "little", signed=True)
        ours = datetime.now(UTC).timestamp() - (now - taken)
        self._state.clock_offset = round(microseconds / 1e6 - ours, 3)

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        address = self._stream.address_with_credentials()
        timeouts = (CONNECT_SECONDS, self._silent_seconds)
        container = _explained(lambda: av.open(address, options=OPTIONS, timeout=timeouts))
        with container:
            if not container.streams.video:
                raise StreamLost("the stream holds no video")
            yield container, container.streams.video[0]


def _packets(container: InputContainer, stream: VideoStream) -> "Iterator[Packet[VideoStream]]":
    packets = container.demux(stream)
    while (packet := _explained(lambda: next(packets, None))) is not None:
        if packet.size:
            yield packet


def _explained(call: Callable[[], T]) -> T:
    """What a call of FFmpeg gives.

    Raises:
        StreamLost: it failed; FFmpeg's own message would show the address with its password.
    """
    try:
        return call()
    except av.error.ExitError as error:
        raise StreamLost("nothing arrives") from error
    except av.error.FFmpegError as error:
        raise StreamLost(hide_credentials(error.strerror or type(error).__name__)) from error


def _seconds(timed: "Packet[VideoStream] | VideoFrame") -> float | None:
    return None if timed.pts is None or timed.time_base is None else float(timed.pts * timed.time_base)
