"""OpenCV's histogram-of-oriented-gradients people detector (Dalal and Triggs, 2005): where people are, and whether
a box holds one.

Shapes: H height, W width, N boxes. The detector's window is 64×128 with the person about 96 pixels high in it.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.gallery.ingest.boxes import Boxes, suppress
from personsearch.gallery.ingest.video import Pixels

WINDOW = (64, 128)
WINDOW_PER_PERSON = 128 / 96
ENLARGEMENT = 2.0
WINDOW_SIZES = (1.0, 1.12, 1.25)


def hog_score(pixels_HW3: Pixels, box: NDArray[np.float64]) -> float:
    """The detector's margin for the person in a box: above 0 it says person. The best of a few window sizes."""
    return max(_margin(pixels_HW3, box, size) for size in WINDOW_SIZES)


def hog_people(pixels_HW3: Pixels, *, least_margin: float) -> Boxes:
    """Boxes [N, 4] around the people that the detector finds in a frame enlarged two times."""
    enlarged = cv2.resize(pixels_HW3, None, fx=ENLARGEMENT, fy=ENLARGEMENT, interpolation=cv2.INTER_CUBIC)
    windows, margins = _detector().detectMultiScale(
        enlarged, hitThreshold=least_margin, winStride=(8, 8), padding=(8, 8), scale=1.08, groupThreshold=0
    )
    if len(windows) == 0:
        return np.zeros((0, 4))
    left, top, width, height = (np.asarray(windows, dtype=np.float64) / ENLARGEMENT).T
    person_height, person_width = height / WINDOW_PER_PERSON, width * 0.55
    middle, top = left + width / 2, top + (height - person_height) / 2
    boxes = np.stack([middle - person_width / 2, top, middle + person_width / 2, top + person_height], axis=1)
    return boxes[suppress(boxes, np.asarray(margins, dtype=np.float64).ravel(), most_overlap=0.3)]


def _margin(pixels_HW3: Pixels, box: NDArray[np.float64], size: float) -> float:
    left, top, right, bottom = box
    height = (bottom - top) * WINDOW_PER_PERSON * size
    centre = (float(left + right) / 2, float(top + bottom) / 2)
    scale = WINDOW[1] / max(height, 1.0)
    shift = (WINDOW[0] / 2 - centre[0] * scale, WINDOW[1] / 2 - centre[1] * scale)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    window = cv2.warpAffine(pixels_HW3, matrix, WINDOW, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weights = _weights()
    return float(np.ravel(_detector().compute(window)) @ weights[:-1] + weights[-1])


@cache
def _weights() -> NDArray[np.float32]:
    weights: NDArray[np.float32] = np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32).reshape(-1)
    return weights


@cache
def _detector() -> cv2.HOGDescriptor:
    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    return detector
