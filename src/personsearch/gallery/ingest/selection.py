"""Which pictures of a track are kept: large, sharp, alone, whole, and spread over the time it was seen.

Shapes: H height, W width, V views.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.config import Config
from personsearch.gallery.ingest.appearance import Appearance, describe, similarity
from personsearch.gallery.ingest.hog import hog_score
from personsearch.gallery.ingest.tracking import Sighting
from personsearch.gallery.ingest.video import Frame, Pixels

CONTEXT = 0.35
MARGIN = 0.04
LEAST_ASPECT = 0.42
GOOD_HEIGHT = 128.0
GOOD_SHARPNESS = 400.0
CUT_BY_BORDER = 0.35
BORDER_PIXELS = 2
MOST_BUCKETS = 12


class SelectionConfig(Config):
    """Which tracks count as people, and how many crops each gives."""

    crops_per_track: int = 4
    """Crops kept of each track, at most."""

    least_track_seconds: float = 0.8
    """Shorter tracks are left out, in seconds."""

    least_height: int = 40
    """Tracks whose tallest box is lower are left out, in pixels."""

    least_person_margin: float = -0.5
    """Margin of the HOG people detector that a track must reach; raise it when things are taken for people."""


@dataclass(frozen=True, slots=True)
class View:
    """One sighting with the pixels around it; `offset` is where they lie in the frame (x, y)."""

    frame_index: int
    seconds: float
    box: NDArray[np.float64]
    quality: float
    pixels: Pixels
    offset: tuple[int, int]

    def margin(self) -> float:
        """The people detector's margin for this view: above 0 it says person."""
        return hog_score(self.pixels, self.box - np.tile(self.offset, 2))

    def appearance(self) -> Appearance:
        """The colours of the person in this view."""
        return describe(self.pixels, self.box - np.tile(self.offset, 2))

    def crop_box(self) -> tuple[int, int, int, int]:
        """Left, top, width, height in the frame: the person with a small margin, about twice as high as wide."""
        left, top, right, bottom = _with_margin(self.box)
        x, y = max(round(left), self.offset[0]), max(round(top), self.offset[1])
        right = min(round(right), self.offset[0] + self.pixels.shape[1])
        bottom = min(round(bottom), self.offset[1] + self.pixels.shape[0])
        return x, y, right - x, bottom - y

    def crop(self) -> Pixels:
        """The pixels of `crop_box`."""
        x, y, width, height = self.crop_box()
        left, top = x - self.offset[0], y - self.offset[1]
        return self.pixels[top : top + height, left : left + width]


@dataclass
class TrackViews:
    """The best view in each stretch of a track's time; stretches double in length when they become too many."""

    number: int
    stretch: int
    sightings: list[tuple[int, NDArray[np.float64]]] = field(default_factory=list)
    best: dict[int, View] = field(default_factory=dict)
    times_sure: int = 0

    def add(self, frame: Frame, sighting: Sighting) -> None:
        """Take in one sighting."""
        self.times_sure += sighting.sure
        self.sightings.append((frame.index, sighting.box))
        bucket = frame.index // self.stretch
        quality = _quality(frame.pixels, sighting)
        if bucket not in self.best or quality > self.best[bucket].quality:
            self.best[bucket] = _view(frame, sighting, quality)
        if len(self.best) > MOST_BUCKETS:
            self._double_stretch()

    def length(self) -> int:
        """Frames from the first sighting to the last."""
        return self.sightings[-1][0] - self.sightings[0][0]

    def person_margin(self) -> float:
        """The people detector's margin that a quarter of the views kept exceeds: it misses most of an occluded walk,
        but hardly ever calls a thing a person that often.
        """
        return float(np.percentile([view.margin() for view in self.best.values()], 75))

    def height(self) -> float:
        """The tallest view's height in pixels."""
        return max(float(view.box[3] - view.box[1]) for view in self.best.values())

    def select(self, count: int) -> list[View]:
        """At most `count` views: the best first, then the best of those far enough in time from the ones taken.

        A view counts for less the less it looks like the others: somebody else stands in front.
        """
        apart = (self.sightings[-1][0] - self.sightings[0][0]) / (2 * count)
        views = list(self.best.values())
        appearances = [view.appearance() for view in views]
        alike_VV = np.array([[similarity(one, other) for other in appearances] for one in appearances])
        worth = np.median(alike_VV, axis=1) * [view.quality for view in views]
        chosen: list[View] = []
        for view in (views[n] for n in np.argsort(-worth, kind="stable")):
            if len(chosen) < count and all(abs(view.frame_index - other.frame_index) >= apart for other in chosen):
                chosen.append(view)
        return sorted(chosen, key=lambda view: view.frame_index)

    def _double_stretch(self) -> None:
        self.stretch *= 2
        views = sorted(self.best.values(), key=lambda view: view.quality)
        self.best = {view.frame_index // self.stretch: view for view in views}


def _quality(pixels_HW3: Pixels, sighting: Sighting) -> float:
    """In [0, 1]: size × sharpness × being alone × being whole."""
    left, top, right, bottom = sighting.box
    height, width = pixels_HW3.shape[:2]
    size = min(1.0, (bottom - top) / GOOD_HEIGHT) ** 0.5
    inside = pixels_HW3[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1]
    sharpness = float(cv2.Laplacian(cv2.cvtColor(inside, cv2.COLOR_BGR2GRAY), cv2.CV_32F).var())
    whole = left > BORDER_PIXELS and top > BORDER_PIXELS
    whole = whole and right < width - BORDER_PIXELS and bottom < height - BORDER_PIXELS
    clear = sharpness / (sharpness + GOOD_SHARPNESS)
    return float(size * (0.5 + 0.5 * clear) * (0.1 + 0.9 * sighting.isolation) * (1.0 if whole else CUT_BY_BORDER))


def _with_margin(box: NDArray[np.float64]) -> NDArray[np.float64]:
    left, top, right, bottom = box
    height = (bottom - top) * (1 + 2 * MARGIN)
    width = max((right - left) * (1 + 2 * MARGIN), LEAST_ASPECT * height)
    x, y = (left + right) / 2, (top + bottom) / 2
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def _view(frame: Frame, sighting: Sighting, quality: float) -> View:
    left, top, right, bottom = sighting.box
    context = CONTEXT * (bottom - top)
    x, y = max(0, int(left - context)), max(0, int(top - context))
    pixels = frame.pixels[y : int(bottom + context) + 1, x : int(right + context) + 1].copy()
    return View(frame.index, frame.seconds, sighting.box, quality, pixels, (x, y))
