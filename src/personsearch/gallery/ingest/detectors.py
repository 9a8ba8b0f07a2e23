"""Detects people in a frame, by a trained model or by motion, silhouettes and HOG."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.gallery.ingest.background import RollingBackground, foreground, shrink, surely
from personsearch.gallery.ingest.boxes import NO_BOXES, Boxes, coverage
from personsearch.gallery.ingest.heights import HeightModel, fit_heights
from personsearch.gallery.ingest.hog import hog_people, hog_score
from personsearch.gallery.ingest.silhouettes import explain, find_blobs
from personsearch.gallery.ingest.video import Frame, Pixels, VideoInfo

WORKING_WIDTH = 960
MOVING_CAMERA = 0.4
SHRUNKEN = 0.7  # a person bent or cut by a post, relative to the least height
MOST_STILL_CHANGE = 10.0


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes in the frame's pixels, and whether the detector is sure of each: the others only continue tracks."""

    boxes_N4: Boxes
    sure_N: NDArray[np.bool_]


class Detector(Protocol):
    """Finds the people of one frame; frames come in order."""

    def detect(self, frame: Frame, expected_K4: Boxes) -> Detections:
        """What a frame shows. `expected_K4` is where the tracker expects people."""
        ...


class MotionDetector:
    """For a fixed camera: explains the foreground by silhouettes; HOG finds people who never move."""

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        samples: int,
        sample_seconds: float,
        threshold: float,
        still_seconds: float,
        least_still_margin: float,
        least_height: float,
    ) -> None:
        self._scale = min(1.0, WORKING_WIDTH / info.width)
        self._least_height = least_height * self._scale
        self._background = RollingBackground(
            path, info, samples=samples, sample_seconds=sample_seconds, scale=self._scale, threshold=threshold
        )
        self._threshold = threshold
        self._still_seconds = still_seconds
        self._least_still_margin = least_still_margin
        self._heights: HeightModel | None = None
        self._still = NO_BOXES
        self._still_pixels = np.zeros((0, 0, 3), np.uint8)
        self._still_due = 0.0
        self.changed_frames = 0

    def detect(self, frame: Frame, expected_K4: Boxes) -> Detections:
        """Sure of every box, since motion knows no scores: whether a track is a person is judged at its end."""
        pixels = shrink(frame.pixels, self._scale)
        scene = self._background.at(frame.index)
        if frame.index == 0:
            self._heights = fit_heights(self._single_people(scene))
        evidence = foreground(pixels, scene, threshold=self._threshold)
        moving = NO_BOXES
        if surely(evidence).mean() >= MOVING_CAMERA:
            self.changed_frames += 1
        else:
            moving = explain(
                evidence, self._heights, expected_K4 * self._scale, least_height=SHRUNKEN * self._least_height
            )
        boxes = np.concatenate([moving, self._still_people(frame.seconds, pixels, moving)]) / self._scale
        return Detections(boxes, np.ones(len(boxes), dtype=bool))

    def _still_people(self, seconds: float, pixels: Pixels, moving_N4: Boxes) -> Boxes:
        """People absorbed by the background; looked for now and then, and assumed to stay where they are in between."""
        if seconds >= self._still_due:
            self._still = hog_people(pixels, least_margin=self._least_still_margin)
            self._still_pixels = pixels
            self._still_due = seconds + self._still_seconds
        alone = coverage(self._still, moving_N4).max(axis=1, initial=0.0) < 0.2
        unchanged = [_difference(self._still_pixels, pixels, box) < MOST_STILL_CHANGE for box in self._still]
        self._still = self._still[alone & np.array(unchanged, dtype=bool)]
        return self._still

    def _single_people(self, scene: Pixels) -> Boxes:
        """Boxes of blobs in the sampled frames that have a person's shape and that HOG calls a person."""
        people = [
            box
            for pixels in self._background.samples()
            for box in _person_shaped(surely(foreground(pixels, scene, threshold=self._threshold)))
            if hog_score(pixels, box) > 0
        ]
        return np.array(people).reshape(-1, 4)


def _difference(first_HW3: Pixels, second_HW3: Pixels, box: NDArray[np.float64]) -> float:
    """Mean absolute difference of two frames inside a box, in grey levels."""
    left, top, right, bottom = np.clip(box, 0, None).astype(int)
    return float(cv2.absdiff(first_HW3[top:bottom, left:right], second_HW3[top:bottom, left:right]).mean())


def _person_shaped(mask_HW: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    height, width = mask_HW.shape
    boxes = []
    for blob in find_blobs(mask_HW, least_area=100):
        right, bottom = blob.left + blob.width, blob.top + blob.height
        inside = blob.left > 1 and blob.top > 1 and right < width - 1 and bottom < height - 1
        if inside and 1.8 < blob.height / blob.width < 4.5:
            boxes.append(np.array([blob.left, blob.top, right, bottom], dtype=np.float64))
    return boxes
