"""Frames of a video file, in order, as OpenCV decodes them.

Shapes: H height, W width; pixels are uint8 BGR [H, W, 3].
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.errors import UserError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video's header claims; `frame_count` is 0 where it claims nothing."""

    width: int
    height: int
    frames_per_second: float
    frame_count: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame and its number in the file, from 0."""

    index: int
    pixels: Pixels


def read_info(path: Path) -> VideoInfo:
    """What the header says.

    Raises:
        UserError: the file is missing, empty or not a video that can be decoded.
    """
    with _capture(path) as capture:
        readable, _ = capture.read()
        frames_per_second = capture.get(cv2.CAP_PROP_FPS)
        if not readable:
            raise UserError(f"{path}: no frame can be decoded; a video file expected")
        if not (math.isfinite(frames_per_second) and 0.1 <= frames_per_second <= 1000):
            raise UserError(f"{path}: frame rate {frames_per_second}; 0.1 to 1000 frames per second expected")
        return VideoInfo(
            width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            frames_per_second=frames_per_second,
            frame_count=max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
        )


def read_frames(path: Path, *, every: int = 1) -> Iterator[Frame]:
    """Every `every`-th frame until the end, or until the first one that cannot be decoded."""
    with _capture(path) as capture:
        index = 0
        while capture.grab():
            if index % every == 0:
                readable, pixels = capture.retrieve()
                if not readable:
                    return
                yield Frame(index, pixels)
            index += 1


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.is_file():
        raise UserError(f"{path}: no such video file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty; a video expected")
    os.environ.setdefault(
        "OPENCV_FFMPEG_LOGLEVEL", "-8"
    )  # FFmpeg fills the terminal with messages about a broken stream
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise UserError(f"{path}: cannot be read as a video")
        yield capture
    finally:
        capture.release()
