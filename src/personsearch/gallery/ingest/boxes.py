"""Arithmetic on boxes.

Shapes: N, M boxes; a box is float64 (left, top, right, bottom) in pixels.
"""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

NO_BOXES: Boxes = np.zeros((0, 4))


def area(boxes_N4: Boxes) -> NDArray[np.float64]:
    """Area of each box [N]; 0 if right < left or bottom < top."""
    sides = np.maximum(boxes_N4[..., 2:] - boxes_N4[..., :2], 0.0)
    product: NDArray[np.float64] = sides[..., 0] * sides[..., 1]
    return product


def intersection(first_N4: Boxes, second_M4: Boxes) -> NDArray[np.float64]:
    """Shared area of each pair [N, M]."""
    low = np.maximum(first_N4[:, None, :2], second_M4[None, :, :2])
    high = np.minimum(first_N4[:, None, 2:], second_M4[None, :, 2:])
    return area(np.concatenate([low, high], axis=2))


def overlap(first_N4: Boxes, second_M4: Boxes) -> NDArray[np.float64]:
    """Intersection over union of each pair [N, M]."""
    shared = intersection(first_N4, second_M4)
    union = area(first_N4)[:, None] + area(second_M4)[None, :] - shared
    return shared / np.maximum(union, 1e-9)


def coverage(first_N4: Boxes, second_M4: Boxes) -> NDArray[np.float64]:
    """Share of each first box covered by each second box [N, M]."""
    return intersection(first_N4, second_M4) / np.maximum(area(first_N4)[:, None], 1e-9)


def suppress(boxes_N4: Boxes, scores_N: NDArray[np.float64], *, most_overlap: float) -> NDArray[np.intp]:
    """Non-maximum suppression: indices of the boxes kept, best score first, equal scores in input order."""
    order = np.argsort(-scores_N, kind="stable")
    overlaps = overlap(boxes_N4, boxes_N4)
    kept: list[int] = []
    for candidate in order:
        if all(overlaps[candidate, other] <= most_overlap for other in kept):
            kept.append(int(candidate))
    return np.asarray(kept, dtype=np.intp)
