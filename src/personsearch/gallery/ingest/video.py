"""Frames of a video file, in order and with their times, as FFmpeg decodes them (through PyAV).

Frames come as they are meant to be seen: upright, and with square pixels.

Shapes: H height, W width; pixels are uint8 BGR [H, W, 3].
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from personsearch.errors import UserError, check_exists

Pixels = NDArray[np.uint8]

PROBED_PACKETS = 300
MOST_UNREADABLE_PLACES = 1000
SEEK_LEADS = (0.0, 10.0)  # seconds before the time that is looked for: some containers land behind the one asked for
SAME_SECONDS = 0.0015  # times of crops are kept to the millisecond


class NotAVideo(UserError):
    """A file that cannot be decoded as a video."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video's beginning and header say: its size as it is seen, and the usual number of frames per second.

    `frame_count` and `seconds` are 0 where the header claims nothing.
    """

    width: int
    height: int
    frames_per_second: float
    frame_count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, its number among those that can be read, from 0, and the seconds since the first of them."""

    index: int
    seconds: float
    pixels: Pixels


def read_info(path: Path, *, frames_per_second: float | None = None) -> VideoInfo:
    """What the beginning of a video says. `frames_per_second` is for a stream without timestamps.

    Raises:
        UserError: the file is missing, empty or not a video that can be decoded, or nothing says how fast its
            frames follow one another.
    """
    first = next(read_frames(path, frames_per_second=frames_per_second), None)
    if first is None:
        raise UserError(f"{path}: no frame can be decoded; a video file expected")
    with _opened(path) as (container, stream):
        rate = frames_per_second or _usual_rate(path, container, stream)
        seconds = float((stream.duration or 0) * (stream.time_base or 0)) or (container.duration or 0) / av.time_base
        claimed = stream.frames
        if container.format.name == "avi" and stream.average_rate:  # counts in units of its header's rate
            claimed = round(claimed / float(stream.average_rate) * rate)
    height, width = first.pixels.shape[:2]
    return VideoInfo(width, height, rate, frame_count=claimed, seconds=seconds)


def read_frames(path: Path, *, every: int = 1, frames_per_second: float | None = None) -> Iterator[Frame]:
    """Every `every`-th of the frames that can be read; what is damaged in between is left out.

    Times are the stream's own, or count frames where `frames_per_second` is given.

    Raises:
        UserError: the file cannot be opened, or has no timestamps and no rate is given.
    """
    with _opened(path) as (container, stream):
        usual = 1 / (frames_per_second or _usual_rate(path, container, stream))
    clock = _Clock(usual, counts_frames=frames_per_second is not None)
    with _opened(path) as (container, stream):
        picture = Picture()
        for index, frame in enumerate(_decoded(container, stream)):
            seconds = clock.read(frame)
            if index % every == 0:
                yield Frame(index, seconds, picture.pixels(frame, stream))


def read_between(
    file: BinaryIO, first: float, last: float, *, seek: bool, frames_per_second: float | None = None
) -> Iterator[Frame | None]:
    """The frames from `first` to `last` seconds after the first frame of an opened video, and None for each one that
    had to be decoded before them.

    With `seek`, what lies before is not read; a stream without timestamps, or whose time jumps, then gives no frames
    or others than `read_frames` has at these times. Indices count from the place where reading began.

    Raises:
        NotAVideo: as its name says.
        UserError: reading it fails.
    """
    usual = 1.0
    if not seek:
        with _container(file) as (container, stream):
            usual = 1 / (frames_per_second or _usual_rate(Path("video"), container, stream))
    with _container(file) as (container, stream):
        picture, frames = Picture(), _decoded(container, stream)
        clock = _Clock(usual, counts_frames=frames_per_second is not None)
        timed = _sought(container, stream, first) if seek else ((clock.read(frame), frame) for frame in frames)
        for index, (seconds, frame) in enumerate(timed):
            if seconds > last + SAME_SECONDS:
                return
            is_before = seconds < first - SAME_SECONDS
            yield None if is_before else Frame(index, seconds, picture.pixels(frame, stream))


def _sought(container: InputContainer, stream: VideoStream, first: float) -> Iterator[tuple[float, VideoFrame]]:
    """Frames with their times, from a key frame before `first` on."""
    opening = next(_decoded(container, stream), None)
    if opening is None or opening.pts is None or not (opening.time_base and stream.time_base):
        return
    start = float(opening.pts * opening.time_base)
    for lead in SEEK_LEADS:
        target = start + max(first - lead, 0.0)
        try:
            container.seek(int(target / float(stream.time_base)), stream=stream)
        except av.error.FFmpegError:  # a file that can only be read from its beginning
            return
        timed = (
            (float(frame.pts * frame.time_base) - start, frame)
            for frame in _decoded(container, stream)
            if frame.pts is not None and frame.time_base
        )
        found = next(timed, None)
        if found is not None and found[0] <= max(first, 0.0) + SAME_SECONDS:
            yield found
            yield from timed
            return


class _Clock:
    """Seconds since the first frame. Where a stream's time jumps back, as when a recorder restarts, it continues."""

    def __init__(self, usual: float, *, counts_frames: bool) -> None:
        self._usual = usual
        self._counts_frames = counts_frames
        self._offset: float | None = None
        self._seconds = 0.0

    def read(self, frame: VideoFrame) -> float:
        own = None if self._counts_frames or frame.pts is None else float(frame.pts * (frame.time_base or 0))
        if self._offset is None:
            self._offset = own or 0.0
            return 0.0
        following = self._seconds + self._usual
        if own is not None and own <= self._offset + self._seconds:
            self._offset = own - following
        self._seconds = following if own is None else own - self._offset
        return self._seconds


class Picture:
    """Converts decoded frames to upright pixels of one size: that of the first frame, with square pixels."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None

    def pixels(self, frame: VideoFrame, stream: VideoStream) -> Pixels:
        """One frame's pixels; `stream` says how wide a pixel is."""
        if self._size is None:
            self._size = _seen_size(frame, stream)
        width, height = self._size
        converted = self._reformatter.reformat(frame, width=width, height=height, format="bgr24").to_ndarray()
        upright: Pixels = np.ascontiguousarray(np.rot90(converted, round(frame.rotation / 90)))
        return upright


def _seen_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Width and height with square pixels: the shorter side is stretched, so that nothing is lost."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    if not aspect:
        return frame.width, frame.height
    return round(frame.width * max(1.0, float(aspect))), round(frame.height * max(1.0, 1 / float(aspect)))


def _usual_rate(path: Path, container: InputContainer, stream: VideoStream) -> float:
    """Frames per second, by the median time between the first frames."""
    packets = islice(container.demux(stream), PROBED_PACKETS)
    times = sorted({float(p.pts * p.time_base) for p in packets if p.pts is not None and p.time_base})
    if not times:
        raise NotAVideo(f"{path}: the stream has no timestamps; say how many frames it has per second: --fps")
    rate = 1 / float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    if not 0.1 <= rate <= 1000:
        raise NotAVideo(f"{path}: frame rate {rate:g}; 0.1 to 1000 frames per second expected")
    return round(rate, 3)


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in _packets(container, stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:  # damaged; the next key frame is whole again
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _packets(container: InputContainer, stream: VideoStream) -> "Iterator[Packet[VideoStream]]":
    """Packets until the end of the file; continues behind places where the container itself is damaged."""
    for _ in range(MOST_UNREADABLE_PLACES):
        try:
            yield from container.demux(stream)
        except av.error.FFmpegError:
            continue
        return


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    check_exists(path, "a video file")
    if not path.is_file():
        raise UserError(f"{path}: a video file expected")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty; a video expected")
    # A playlist must not open other files or addresses.
    with _container(f"file:{path}", protocols="file", name=str(path)) as opened:
        yield opened


@contextmanager
def _container(
    source: str | BinaryIO, *, protocols: str = "none", name: str = "the footage"
) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not isinstance(source, str):
        source.seek(0)
    try:
        container = av.open(source, "r", options={"protocol_whitelist": protocols}, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise NotAVideo(f"{name}: cannot be read as a video") from error
    with container:
        if not container.streams.video:
            raise NotAVideo(f"{name}: holds no video")
        yield container, container.streams.video[0]
