"""Estimates the empty scene behind the people and finds what differs from it in a frame.

A recorded video can be read ahead: the per-pixel median over a couple of minutes around a frame shows the scene
without its passers-by. Someone who stands still for half a minute stays in the foreground; an adaptive model (MOG2)
would have absorbed them.

Whoever stands in one place for most of that time *is* the median there, and the floor behind them differs from it
once they leave. Such a ghost is told from a person by its outline: a person's outline is an edge in the frame, a
ghost's is an edge in the scene. Where ghosts appear, the frames that show them give the scene (`_without_ghosts`).

Shapes: H height, W width of the working frame, S samples.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.gallery.ingest.video import Frame, Pixels, VideoInfo, read_frames

DARKEST_SHADOW = 0.55
SHADOW_COLOUR_SHIFT = 14.0
SAME_LIGHT = 0.01
UNCERTAIN = np.float32(0.5)
LEAST_DIFFERENCE = 11.0
NOISE_FACTOR = 6.0
ROWS_AT_ONCE = 32
LEAST_GHOST_AREA = 0.002
LEAST_GHOST_SHARE, LEAST_GHOST_SAMPLES = 0.1, 3
GHOST_EDGE_RATIO = 1.5


Evidence = NDArray[np.float32]


class RollingBackground:
    """The median of frames sampled around the current one by a second reader that runs ahead of the first."""

    def __init__(
        self, path: Path, info: VideoInfo, *, samples: int, sample_seconds: float, scale: float, threshold: float
    ) -> None:
        longest_step = max(1, round(sample_seconds * info.frames_per_second))
        known_step = round(info.seconds * info.frames_per_second) // samples if info.seconds else longest_step
        self._step = min(longest_step, max(1, known_step))
        self._scale = scale
        self._threshold = threshold
        self._ahead: Iterator[Frame] = read_frames(path, every=self._step, frames_per_second=info.frames_per_second)
        self._window: deque[Frame] = deque(maxlen=samples)
        self._computed_at: int | None = None
        self._background: Pixels | None = None

    def at(self, frame_index: int) -> Pixels:
        """The scene around a frame; calls must not go backwards."""
        half_window = self._step * (self._window.maxlen or 0) // 2
        if self._background is None or self._computed_at is None or frame_index - self._computed_at >= half_window // 2:
            if self._read_until(frame_index + half_window) or self._background is None:
                samples = self.samples()
                self._background = _without_ghosts(_median(samples), samples, threshold=self._threshold)
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
            self._window.append(replace(frame, pixels=shrink(frame.pixels, self._scale)))
            read = True
        return read


def shrink(pixels_HW3: Pixels, scale: float) -> Pixels:
    """The frame at working size."""
    if scale == 1.0:
        return pixels_HW3
    resized: Pixels = cv2.resize(pixels_HW3, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return resized


def foreground(pixels_HW3: Pixels, background_HW3: Pixels, *, threshold: float) -> Evidence:
    """How surely each pixel differs from the scene: 1, UNCERTAIN or 0 [H, W].

    UNCERTAIN are weak differences and darker pixels of the scene's own colour: a cast shadow, or a grey coat.
    """
    frame = cv2.GaussianBlur(pixels_HW3, (3, 3), 0)
    scene = cv2.GaussianBlur(_as_bright_as(background_HW3, frame), (3, 3), 0)
    difference = cv2.absdiff(frame, scene)
    strongest = cv2.max(cv2.max(difference[..., 0], difference[..., 1]), difference[..., 2])
    weakest = min(threshold, max(LEAST_DIFFERENCE, NOISE_FACTOR * float(np.median(strongest[::4, ::4]))))
    evidence = np.where(strongest > weakest, UNCERTAIN, np.float32(0))
    rows, columns = np.nonzero(strongest > threshold)
    shadow = _is_shadow(frame[rows, columns].astype(np.float32), scene[rows, columns].astype(np.float32))
    evidence[rows[~shadow], columns[~shadow]] = 1.0
    return _without_specks(evidence)


def surely(evidence: Evidence) -> NDArray[np.uint8]:
    """1 where a pixel differs from the scene for sure, else 0."""
    return (evidence > UNCERTAIN).astype(np.uint8)


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


def _without_specks(evidence: Evidence) -> Evidence:
    """Close holes; remove specks and thin horizontal things (tape, cables, kerbs)."""
    closed = cv2.morphologyEx(evidence, cv2.MORPH_CLOSE, np.ones((7, 3), np.uint8))
    opened: Evidence = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((7, 2), np.uint8))
    return opened


def _median(samples: list[Pixels]) -> Pixels:
    """Median over samples, a few rows at a time, so that the sorted copy stays small."""
    background = np.empty_like(samples[0])
    middle = len(samples) // 2
    for top in range(0, background.shape[0], ROWS_AT_ONCE):
        rows = np.stack([sample[top : top + ROWS_AT_ONCE] for sample in samples])
        background[top : top + ROWS_AT_ONCE] = np.partition(rows, middle, axis=0)[middle]
    return background


def _without_ghosts(background_HW3: Pixels, samples: list[Pixels], *, threshold: float) -> Pixels:
    """The scene with people removed who stood in one place for most of the samples."""
    edges = _edges(background_HW3)
    total = np.zeros(background_HW3.shape, np.float32)
    votes = np.zeros(background_HW3.shape[:2], np.float32)
    for sample in samples:
        mask = surely(foreground(sample, background_HW3, threshold=threshold))
        ghosts = _ghosts(mask, _edges(sample), edges)
        cv2.accumulate(sample, total, mask=ghosts)
        votes += ghosts
    repaired = votes >= max(LEAST_GHOST_SAMPLES, LEAST_GHOST_SHARE * len(samples))
    scene = background_HW3.copy()
    scene[repaired] = np.rint(total[repaired] / votes[repaired][:, None])
    return scene


def _ghosts(
    mask_HW: NDArray[np.uint8], frame_edges_HW: NDArray[np.float32], scene_edges_HW: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """1 in the large blobs of a mask whose outline is an edge in the scene rather than in the frame, else 0: [H, W]."""
    ghosts = np.zeros_like(mask_HW)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask_HW, connectivity=8)
    for label in range(1, count):
        left, top, width, height, pixels = statistics[label]
        if pixels < LEAST_GHOST_AREA * mask_HW.size:
            continue
        place = np.s_[max(0, top - 3) : top + height + 3, max(0, left - 3) : left + width + 3]
        blob = (labels[place] == label).astype(np.uint8)
        outline = cv2.morphologyEx(blob, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
        stronger_P = scene_edges_HW[place][outline] - frame_edges_HW[place][outline]
        if np.maximum(stronger_P, 0).sum() > GHOST_EDGE_RATIO * np.maximum(-stronger_P, 0).sum():
            ghosts[place] |= blob
    return ghosts


def _edges(pixels_HW3: Pixels) -> NDArray[np.float32]:
    grey = cv2.cvtColor(pixels_HW3, cv2.COLOR_BGR2GRAY)
    edges: NDArray[np.float32] = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return edges
