"""Explains a foreground mask by upright people, several of them if their silhouettes touch.

Candidates are placed where heads or feet stick out of the mask, where the tracker expects somebody, and around each
blob. The candidate whose silhouette explains most of the mask and covers least of the background is taken, the pixels
that it explains no longer count, and this repeats as long as a candidate explains enough (after Zhao and Nevatia,
"Segmenting multiple humans in crowds", 2004, without the sampling).

Foreground that is uncertain (`background.foreground`) counts half, for a person and against.

Shapes: H height, W width, N boxes.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.gallery.ingest.boxes import NO_BOXES, Boxes, area
from personsearch.gallery.ingest.heights import HeightModel

REDUCTION = 2
WIDTH_PER_HEIGHT = 0.38
UNEXPLAINED_COST = 0.6
LEAST_GAIN = 0.3
SIZE_POWER = 0.5
EXPECTED_BONUS = 0.1
LEAST_VISIBLE = 0.45
SHORTEST, TALLEST = 0.7, 1.35
NARROWEST = 0.22
LEVELS = (0.5, 0.25)  # of evidence: blobs of what is sure, and of what is uncertain as well
LEAST_BLOB, LEAST_BLOB_HEIGHT = 24, 0.2
MOST_CANDIDATES = 400
SILHOUETTE_PER_BOX = 0.7  # share of a box that its silhouette fills, roughly
# Half width of an upright person, relative to the box, at rows relative to its height: head, shoulders, hips, feet.
PROFILE_ROWS = (0.0, 0.05, 0.12, 0.17, 0.24, 0.5, 0.75, 1.0)
PROFILE_HALF_WIDTHS = (0.08, 0.19, 0.19, 0.26, 0.42, 0.42, 0.36, 0.36)

Mask = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Blob:
    """A connected piece of the mask: its box, and for each column [W] its first row and the row after its last."""

    left: int
    top: int
    width: int
    height: int
    heads: NDArray[np.int_]
    feet: NDArray[np.int_]


def find_blobs(mask_HW: NDArray[np.uint8], *, least_area: int) -> list[Blob]:
    """The mask's connected pieces of at least `least_area` pixels."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask_HW, connectivity=8)
    blobs = []
    for label, (left, top, width, height, pixels) in enumerate(statistics):
        if label > 0 and pixels >= least_area:
            piece = labels[top : top + height, left : left + width] == label
            heads = top + piece.argmax(axis=0)
            feet = top + height - piece[::-1].argmax(axis=0)
            blobs.append(Blob(int(left), int(top), int(width), int(height), heads, feet))
    return blobs


def explain(evidence_HW: Mask, heights: HeightModel | None, expected_N4: Boxes, *, least_height: float = 0.0) -> Boxes:
    """Boxes [N, 4] of the people of at least `least_height` who explain the foreground, in its pixels."""
    reduced: Mask = cv2.resize(evidence_HW, None, fx=1 / REDUCTION, fy=1 / REDUCTION, interpolation=cv2.INTER_AREA)
    blobs = [
        blob
        for level in LEVELS
        for blob in find_blobs((reduced > level).astype(np.uint8), least_area=LEAST_BLOB)
        if blob.height >= LEAST_BLOB_HEIGHT * least_height / REDUCTION
    ]
    standing = np.array([box for blob in blobs for box in _candidates(blob, heights)]).reshape(-1, 4)
    shifted = _shifted(expected_N4 / REDUCTION)
    boxes = np.concatenate([standing, shifted])
    bonuses = np.concatenate([np.zeros(len(standing)), np.full(len(shifted), EXPECTED_BONUS)])
    likely = _most_promising(reduced, boxes, bonuses, least_height=least_height / REDUCTION)
    size_power = 0.0 if heights and heights.slope > 0 else SIZE_POWER
    chosen = _choose(reduced, boxes[likely], bonuses[likely], size_power=size_power)
    return _fitted(reduced, chosen) * REDUCTION


def _candidates(blob: Blob, heights: HeightModel | None) -> list[tuple[float, float, float, float]]:
    usual = heights.at_foot((blob.top + blob.height) * REDUCTION) / REDUCTION if heights else blob.height
    boxes = []
    if SHORTEST < blob.height / usual < TALLEST:
        boxes.append(_upright(blob.left + blob.width / 2, blob.top, blob.height))
    for column in _extremes(-blob.heads, reach=max(2, blob.height // 16)):
        head = float(blob.heads[column])
        boxes += _around(
            blob.left + column, head, heights.at_head(head * REDUCTION) / REDUCTION if heights else blob.height
        )
    for column in _extremes(blob.feet, reach=max(2, blob.height // 16)):
        foot = float(blob.feet[column])
        height = heights.at_foot(foot * REDUCTION) / REDUCTION if heights else blob.height
        boxes += _around(blob.left + column, foot - height, height)
    return boxes


def _around(x: float, top: float, height: float) -> list[tuple[float, float, float, float]]:
    return [_upright(x + shift * height, top, height) for shift in (-0.12, -0.06, 0.0, 0.06, 0.12)]


def _upright(x: float, top: float, height: float) -> tuple[float, float, float, float]:
    half = WIDTH_PER_HEIGHT * height / 2
    return (x - half, top, x + half, top + height)


def _extremes(profile_W: NDArray[np.int_], *, reach: int) -> list[int]:
    """Columns whose value is the largest within `reach` columns; for a plateau, its middle."""
    padded = np.pad(profile_W, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    peaks = np.flatnonzero(profile_W >= windows.max(axis=1))
    runs = np.split(peaks, np.flatnonzero(np.diff(peaks) > 1) + 1)
    return [int(run[len(run) // 2]) for run in runs if len(run)]


def _shifted(boxes_N4: Boxes) -> Boxes:
    """Each box and copies of it shifted by a few pixels."""
    shifts = np.array([(x, y, x, y) for x in (-2, 0, 2) for y in (-2, 0, 2)], dtype=np.float64)
    return (boxes_N4[:, None, :] + shifts[None, :, :]).reshape(-1, 4)


def _most_promising(
    mask: Mask, boxes_N4: Boxes, bonuses_N: NDArray[np.float64], *, least_height: float
) -> NDArray[np.intp]:
    """Indices of at most MOST_CANDIDATES boxes: those tall enough that hold most foreground for their size."""
    height, width = mask.shape
    sums = cv2.integral(mask)
    left, top, right, bottom = np.clip(boxes_N4.round().astype(int), 0, (width, height, width, height)).T
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    share = inside / np.maximum(SILHOUETTE_PER_BOX * area(boxes_N4), 1e-9) + bonuses_N
    share[boxes_N4[:, 3] - boxes_N4[:, 1] < least_height] = -np.inf
    order = np.argsort(-share, kind="stable")[:MOST_CANDIDATES]
    return np.sort(order[share[order] > LEAST_GAIN])


def _choose(mask: Mask, boxes_N4: Boxes, bonuses_N: NDArray[np.float64], *, size_power: float) -> Boxes:
    """Greedily, those that gain enough. Where the height of people is hardly known, size counts as well (`size_power`):
    a torso alone is purer foreground than a whole person.
    """
    unexplained = mask.copy()
    gains = np.array([_gain(mask, unexplained, box) for box in boxes_N4]) + bonuses_N
    weights = area(boxes_N4) ** size_power
    chosen: list[NDArray[np.float64]] = []
    while len(gains) and gains.max() > LEAST_GAIN:
        taken = int(np.where(gains > LEAST_GAIN, gains * weights, -np.inf).argmax())
        best = boxes_N4[taken]
        chosen.append(best)
        _remove(unexplained, best)
        gains[taken] = -np.inf
        near = (np.minimum(boxes_N4[:, 2:], best[2:]) > np.maximum(boxes_N4[:, :2], best[:2])).all(axis=1)
        for index in np.flatnonzero(near & (gains > LEAST_GAIN)):
            gains[index] = _gain(mask, unexplained, boxes_N4[index]) + bonuses_N[index]
    return np.array(chosen).reshape(-1, 4) if chosen else NO_BOXES


def _gain(mask: Mask, unexplained: Mask, box: NDArray[np.float64]) -> float:
    """Share of the silhouette that is unexplained foreground, minus a penalty for background that it covers."""
    silhouette, rows, columns = _placed(mask.shape, box)
    size = float(silhouette.sum())
    if size < LEAST_VISIBLE * _full_size(box):
        return -1.0
    explained = float((silhouette * unexplained[rows, columns]).sum())
    ground = size - float((silhouette * mask[rows, columns]).sum())
    return (explained - UNEXPLAINED_COST * ground) / size


def _remove(unexplained: Mask, box: NDArray[np.float64]) -> None:
    """Remove the foreground that a person explains: the silhouette, widened for swinging arms and legs."""
    width, height = box[2:] - box[:2]
    widening = np.array([-0.15 * width, -0.03 * height, 0.15 * width, 0.03 * height])
    silhouette, rows, columns = _placed(unexplained.shape, box + widening)
    unexplained[rows, columns] *= 1 - silhouette


def _placed(shape: tuple[int, ...], box: NDArray[np.float64]) -> tuple[Mask, slice, slice]:
    """The part of a silhouette inside the frame, and its position."""
    left, top = round(float(box[0])), round(float(box[1]))
    width, height = max(1, round(float(box[2] - box[0]))), max(1, round(float(box[3] - box[1])))
    silhouette = _silhouette(height, width)
    rows = slice(max(top, 0), max(min(top + height, shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, shape[1]), 0))
    inside = silhouette[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return np.zeros((0, 0), np.float32), slice(0, 0), slice(0, 0)
    return inside, rows, columns


def _full_size(box: NDArray[np.float64]) -> float:
    return float(_silhouette(max(1, round(float(box[3] - box[1]))), max(1, round(float(box[2] - box[0])))).sum())


@lru_cache(maxsize=4096)
def _silhouette(height: int, width: int) -> Mask:
    """1 inside an upright person who fills a box, else 0: [height, width]."""
    half_widths = np.interp((np.arange(height) + 0.5) / height, PROFILE_ROWS, PROFILE_HALF_WIDTHS)
    distance = np.abs((np.arange(width) + 0.5) / width - 0.5)
    return (distance[None, :] <= half_widths[:, None]).astype(np.float32)


def _fitted(mask: Mask, boxes_N4: Boxes) -> Boxes:
    """Boxes drawn tight around the foreground pixels that are nearest to each of them, inside the frame."""
    fitted = np.array([_fit(mask, boxes_N4, index) for index in range(len(boxes_N4))]).reshape(-1, 4)
    height, width = mask.shape
    return np.asarray(np.clip(fitted, 0, (width, height, width, height)), dtype=np.float64)


def _fit(mask: Mask, boxes_N4: Boxes, index: int) -> NDArray[np.float64]:
    box: NDArray[np.float64] = boxes_N4[index]
    own_2P = _own_pixels(mask, boxes_N4, index)
    if own_2P.shape[1] < 10:
        return box
    half_pixel = np.array([-0.5, 0.5])
    left, right = np.percentile(own_2P[0], (1, 99)) + half_pixel
    top, bottom = np.percentile(own_2P[1], (0.5, 99.5)) + half_pixel
    person_shaped = bottom - top > SHORTEST * (box[3] - box[1]) and right - left > NARROWEST * (bottom - top)
    return np.array([left, top, right, bottom], dtype=np.float64) if person_shaped else box


def _own_pixels(mask: Mask, boxes_N4: Boxes, index: int) -> NDArray[np.float64]:
    """Positions (x, y) of foreground pixels in and around a box that are nearest to that box: [2, P pixels]."""
    box = boxes_N4[index]
    reach = 0.15 * (box[3] - box[1])
    left, top = max(0, int(box[0] - reach)), max(0, int(box[1] - 0.7 * reach))
    piece = mask[top : int(box[3] + 0.7 * reach) + 1, left : int(box[2] + reach) + 1] > 0.5
    places_2P = np.flip(np.argwhere(piece), axis=1).T + np.array([[left + 0.5], [top + 0.5]])
    near = np.flatnonzero((boxes_N4[:, 0] < box[2] + reach) & (boxes_N4[:, 2] > box[0] - reach))
    owners_P = near[np.argmin([_distance(boxes_N4[other], places_2P) for other in near], axis=0)]
    return np.asarray(places_2P[:, owners_P == index], dtype=np.float64)


def _distance(box: NDArray[np.float64], places_2P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of positions from a box's centre, in units of its width and height."""
    middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    return np.asarray(np.linalg.norm((places_2P - middle[:, None]) / size[:, None], axis=0))
