"""Whole frames of footage around a crop, and short clips. A file is read from shortly before the crop on.

Shapes: H height, W width; pixels are uint8 BGR [H, W, 3].
"""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from personsearch.errors import UserError
from personsearch.gallery.footage import NoFootage, Origin
from personsearch.gallery.ingest.video import SAME_SECONDS, Frame, Pixels, read_between
from personsearch.images import open_image
from personsearch.search.crop import BoundingBox

MOST_PIXELS = 2**24
JPEG_QUALITY = 90
CLIP_RATE = 10
CLIP_WIDTH = 960
CLIP_OPTIONS = {"deadline": "realtime", "cpu-used": "8", "crf": "20"}
CLIP_BITS = 4_000_000  # a second, at most
MOST_APART = 0.4  # mean difference to the crop, in deviations of its pixels; another picture has about 1.1
JPEG_NOISE = 4.0


class TooSlow(UserError):
    """A frame was not found in the time that a request may take."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A crop where it was seen: its video and time, its box in the frame, its picture as the gallery keeps it."""

    origin: Origin
    box: BoundingBox
    picture: bytes

    def is_in(self, frame: Frame) -> bool:
        """Whether a frame shows the crop at its place: a file may have been replaced by another of its name."""
        x, y, width, height = self.box.x, self.box.y, self.box.width, self.box.height
        crop_HW3 = np.asarray(open_image(self.picture), dtype=np.float32)[..., ::-1]
        there_HW3 = frame.pixels[max(y, 0) : y + height, max(x, 0) : x + width]
        if there_HW3.shape != crop_HW3.shape:
            return False
        return float(np.abs(there_HW3 - crop_HW3).mean()) <= MOST_APART * float(crop_HW3.std()) + JPEG_NOISE

    def is_at(self, frame: Frame) -> bool:
        """Whether it is the frame that the crop was cut from, by its time."""
        return abs(frame.seconds - self.origin.seconds) <= SAME_SECONDS


def show_frame(file: BinaryIO, sight: Sight, *, limit_seconds: float) -> bytes:
    """The frame of a crop, as JPEG.

    Raises:
        NoFootage: the file shows something else there.
        TooSlow: it was not found within the limit.
        NotAVideo: as its name says.
        UserError: the file cannot be read.
    """
    until = time.monotonic() + limit_seconds
    for seek in (True, False):
        for frame in _frames(file, sight, 0.0, seek=seek, until=until):
            if sight.is_at(frame) and sight.is_in(frame):
                return _jpeg(frame.pixels)
    raise _other(sight)


def show_clip(file: BinaryIO, sight: Sight, *, around_seconds: float, limit_seconds: float) -> bytes:
    """The seconds before and after a crop, as WebM without sound.

    Raises:
        as `show_frame`.
    """
    until = time.monotonic() + limit_seconds
    for seek in (True, False):
        clip, is_right = _Clip(), False
        for frame in _frames(file, sight, around_seconds, seek=seek, until=until):
            is_right = is_right or (sight.is_at(frame) and sight.is_in(frame))
            clip.add(frame)
        if is_right:
            return clip.finish()
    raise _other(sight)


def _frames(file: BinaryIO, sight: Sight, around: float, *, seek: bool, until: float) -> Iterator[Frame]:
    """Frames around a crop, found by their time, or else by reading the video from its beginning as ingest did."""
    origin = sight.origin
    first, last = origin.seconds - around, origin.seconds + around
    if seek and origin.frames_per_second is not None:
        return
    for frame in read_between(file, first, last, seek=seek, frames_per_second=origin.frames_per_second):
        if time.monotonic() > until:
            raise TooSlow(f"{origin.video}: the frame was not found in time")
        if frame is not None:
            if frame.pixels.size > 3 * MOST_PIXELS:
                raise NoFootage(f"The frames of {origin.video!r} have more than {MOST_PIXELS:,} pixels.")
            yield frame


def _other(sight: Sight) -> NoFootage:
    return NoFootage(f"The footage is gone: the file {sight.origin.video!r} shows something else at this time.")


def _jpeg(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., ::-1])).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


class _Clip:
    """Encodes frames as they come."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._container: OutputContainer = av.open(self._buffer, "w", format="webm")
        self._stream: VideoStream | None = None
        self._first = 0.0
        self._next = 0.0

    def add(self, frame: Frame) -> None:
        """Take in a frame, unless it follows too soon."""
        if self._stream is None:
            self._stream, self._first, self._next = self._new_stream(frame.pixels), frame.seconds, frame.seconds
        if frame.seconds < self._next - SAME_SECONDS:
            return
        self._next = frame.seconds + 1 / CLIP_RATE
        picture = av.VideoFrame.from_ndarray(frame.pixels, format="bgr24")
        picture = picture.reformat(self._stream.width, self._stream.height, "yuv420p")
        picture.pts, picture.time_base = round(1000 * (frame.seconds - self._first)), Fraction(1, 1000)
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> bytes:
        """The file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()
        return self._buffer.getvalue()

    def _new_stream(self, pixels: Pixels) -> VideoStream:
        height, width = pixels.shape[:2]
        scale = min(1.0, CLIP_WIDTH / width)
        stream = self._container.add_stream("libvpx", rate=CLIP_RATE, options=CLIP_OPTIONS)
        stream.width, stream.height = (max(2, 2 * round(side * scale / 2)) for side in (width, height))
        stream.pix_fmt, stream.bit_rate = "yuv420p", CLIP_BITS
        stream.codec_context.time_base = Fraction(1, 1000)
        return stream
