"""Estimates the empty scene behind the people and finds what differs from it in a frame.

A recorded video can be read ahead: the per-pixel median over a couple of minutes around a frame shows the scene
without its passers-by. Someone who stands still for half a minute stays in the foreground; an adaptive model (MOG2)
would have absorbed them.

Shapes: H height, W width of the working frame, S samples.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.gallery.ingest.video import Frame, Pixels, VideoInfo, read_frames

DARKEST_SHADOW = 0.55
SHADOW_COLOUR_SHIFT = 14.0
SAME_LIGHT = 0.01
ROWS_AT_ONCE = 32


class RollingBackground:
    """The median of frames sampled around the current one by a second reader that runs ahead of the first."""

    def __init__(self, path: Path, info: VideoInfo, *, samples: int, sample_seconds: float, scale: float) -> None:
        longest_step = max(1, round(sample_seconds * info.frames_per_second))
        known_step = info.frame_count // samples if info.frame_count else longest_step
        self._step = min(longest_step, max(1, known_step))
        self._scale = scale
        self._ahead: Iterator[Frame] = read_frames(path, every=self._step)
        self._window: deque[Frame] = deque(maxlen=samples)
        self._computed_at: int | None = None
        self._background: Pixels | None = None

    def at(self, frame_index: int) -> Pixels:
        """The scene around a frame; calls must not go backwards."""
        half_window = self._step * (self._window.maxlen or 0) // 2
        if self._background is None or self._computed_at is None or frame_index - self._computed_at >= half_window // 2:
            if self._read_until(frame_index + half_window) or self._background is None:
                self._background = _median(self.samples())
            self._computed_at = frame_index
        return self._background

    def samples(self) -> list[Pixels]:
        """The sampled frames behind the current median, at working size."""
        return [frame.pixels for frame in self._window]

    def _read_until(self, frame_index: int) -> bool:
        """Sample up to a frame; returns whether there were new samples."""
        wanted = self._window.maxlen or 0
        read = False
        while len(self._window) < wanted or self._window[-1].index < frame_index:
            frame = next(self._ahead, None)
            if frame is None:
                break
            self._window.append(Frame(frame.index, shrink(frame.pixels, self._scale)))
            read = True
        return read


def shrink(pixels_HW3: Pixels, scale: float) -> Pixels:
    """The frame at working size."""
    if scale == 1.0:
        return pixels_HW3
    resized: Pixels = cv2.resize(pixels_HW3, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return resized


def foreground(pixels_HW3: Pixels, background_HW3: Pixels, *, threshold: float) -> NDArray[np.uint8]:
    """1 where a frame differs from the scene by more than light, noise and cast shadows do, else 0: [H, W]."""
    frame = cv2.GaussianBlur(pixels_HW3, (3, 3), 0)
    scene = cv2.GaussianBlur(_as_bright_as(background_HW3, frame), (3, 3), 0)
    difference = cv2.absdiff(frame, scene)
    mask = (cv2.max(cv2.max(difference[..., 0], difference[..., 1]), difference[..., 2]) > threshold).astype(np.uint8)
    rows, columns = np.nonzero(mask)
    shadow = _is_shadow(frame[rows, columns].astype(np.float32), scene[rows, columns].astype(np.float32))
    mask[rows[shadow], columns[shadow]] = 0
    return _without_specks(mask)


def _as_bright_as(background_HW3: Pixels, frame: Pixels) -> Pixels:
    """The scene adjusted to the frame's brightness, since clouds and automatic exposure change all of it."""
    ratio = float(np.median((frame[::8, ::8] + np.float32(1)) / (background_HW3[::8, ::8] + np.float32(1))))
    if abs(ratio - 1.0) < SAME_LIGHT:
        return background_HW3
    scaled: Pixels = cv2.convertScaleAbs(background_HW3, alpha=min(max(ratio, 0.5), 2.0))
    return scaled


def _is_shadow(frame_P3: NDArray[np.float32], scene_P3: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each of P pixels is in shadow: darker than the scene but of the same colour."""
    ratio = frame_P3.mean(axis=1) / np.maximum(scene_P3.mean(axis=1), 1.0)
    shift = np.abs(frame_P3 - scene_P3 * ratio[:, None]).max(axis=1)
    shadow: NDArray[np.bool_] = (ratio > DARKEST_SHADOW) & (ratio < 1.0) & (shift < SHADOW_COLOUR_SHIFT)
    return shadow


def _without_specks(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Close holes; remove specks and thin horizontal things (tape, cables, kerbs)."""
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 3), np.uint8))
    opened: NDArray[np.uint8] = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((7, 2), np.uint8))
    return opened


def _median(samples: list[Pixels]) -> Pixels:
    """Median over samples, a few rows at a time, so that the sorted copy stays small."""
    background = np.empty_like(samples[0])
    middle = len(samples) // 2
    for top in range(0, background.shape[0], ROWS_AT_ONCE):
        rows = np.stack([sample[top : top + ROWS_AT_ONCE] for sample in samples])
        background[top : top + ROWS_AT_ONCE] = np.partition(rows, middle, axis=0)[middle]
    return background
