"""Finds a garment in an upright crop of one person: by where such garments are worn, and by its colour there.

Shapes: H height, W width of the working size; C clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.augmentation.pdg.colours import LIGHTNESS_WEIGHT, Floats, agreement, distance, to_oklab
from personsearch.augmentation.pdg.garments import LONG, Part
from personsearch.augmentation.pdg.generator import GenerationRefused, Pixels

Mask = NDArray[np.uint8]
"""1 inside, 0 outside."""

WORKING_HEIGHT = 160
CLUSTERS = 7
SAME_CLOTH = 0.075  # OKLab distance up to which a neighbouring cluster is the same cloth in other light
SAME_HUE, LEAST_CHROMA, DEEPEST_SHADE = 0.04, 0.045, 0.65
LEAST_AGREEMENT = 0.25  # of the garment's colour with the caption's word
LEAST_SHARE, LEAST_SHARE_OF_SEVERAL = 0.12, 0.05  # of the place where the garment is worn
MOST_LEFT_OUT = 0.15  # share of the pixels of the garment's colour that the mask may miss
LEAST_IN_PLACE = 0.5
MOST_AT_BORDER = 0.25  # of the picture's left or right border: what runs along it is scenery
WHITE_LIGHTNESS, MOST_BRIGHTENING = 0.95, 1.35
THERE, NOWHERE_NEAR = 0.3, 0.02  # weights above and below which a pixel is in the garment's place, or far from it
BYTE_OFFSET, BYTE_SCALE = np.array([0, 0.35, 0.35], np.float32), np.array([255, 364, 364], np.float32)
HEAD_ROWS, LEAST_NECK = 3, 0.06
SPECK = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kind of garment is worn, in shares of height and width, and the least share of the picture it covers.

    It may reach beyond `top` and `bottom` by `soft`, and sideways by another `half_width`.
    """

    top: float
    bottom: float
    half_width: float
    soft: float
    least_area: float


PLACES: dict[Part, Place] = {
    "upper": Place(0.19, 0.50, 0.24, 0.07, 0.03),
    "lower": Place(0.52, 0.87, 0.22, 0.07, 0.03),
    "whole": Place(0.19, 0.72, 0.24, 0.08, 0.05),
    "shoes": Place(0.86, 0.97, 0.34, 0.04, 0.004),
    "bag": Place(0.22, 0.70, 0.34, 0.10, 0.012),
    "headwear": Place(0.04, 0.13, 0.14, 0.04, 0.005),
}
LONG_PLACE = Place(0.19, 0.66, 0.24, 0.08, 0.04)


def where_worn(part: Part, garment: str) -> Place:
    """The place where a garment is worn, given its part and its word."""
    return LONG_PLACE if part == "upper" and garment in LONG else PLACES[part]


def weights_of(place: Place, height: int, width: int) -> Floats:
    """How much each pixel [H, W] of a crop belongs to the place, from 0 to 1."""
    rows = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    columns = np.abs((np.arange(width, dtype=np.float32)[None] + 0.5) / width - 0.5)
    vertical = _smooth((rows - place.top) / place.soft + 1) * _smooth((place.bottom - rows) / place.soft + 1)
    return np.asarray(vertical * _smooth(2 - columns / place.half_width), np.float32)


def brightening(lab_HW3: Floats) -> float:
    """The factor that makes a picture's lightest parts white, within limits: people name colours as seen by day."""
    lightest = float(np.percentile(lab_HW3[..., 0], 99))
    return float(np.clip(WHITE_LIGHTNESS / max(lightest, 0.1), 1, MOST_BRIGHTENING))


def find_region(image: Pixels, place: Place, cloth: Sequence[str], *, shared: bool = False) -> Mask:
    """The pixels [H, W] of a garment whose colour is one of `cloth`; `shared` if it has other colours too.

    Raises:
        GenerationRefused: nothing there has the colour, too little has it, or it cannot be told from the scenery.
    """
    height, width = image.shape[:2]
    size = (max(8, round(width * WORKING_HEIGHT / height)), WORKING_HEIGHT)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if height > WORKING_HEIGHT else cv2.INTER_CUBIC)
    lab = to_oklab(cv2.bilateralFilter(small, 7, 24, 5))
    lab *= brightening(lab)
    weights = weights_of(place, size[1], size[0])
    seeds = _seeds(lab, weights, cloth, LEAST_SHARE_OF_SEVERAL if shared else LEAST_SHARE)
    mask = _without_specks(_cut_out(lab, weights, seeds), weights)
    _check_shape(weights, mask, place.least_area)
    if agreement(np.median(lab[mask == 1], axis=0), cloth) < LEAST_AGREEMENT:
        raise GenerationRefused("colour-unlike")
    _check_whole(weights, seeds, mask)
    _check_head(lab, weights, mask)
    full = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(full > 0.5, np.uint8)


def _smooth(x: Floats) -> Floats:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def _seeds(lab_HW3: Floats, weights_HW: Floats, cloth: Sequence[str], least_share: float) -> Mask:
    """Pixels [H, W] where the garment is worn whose colour cluster fits the caption's word."""
    there = weights_HW > THERE
    labels, centres_C3 = _clusters(lab_HW3[there])
    weights_C = np.bincount(labels, weights=weights_HW[there], minlength=CLUSTERS) / weights_HW[there].sum()
    fits_C = agreement(centres_C3, cloth)
    main = int(np.argmax(weights_C * fits_C * (fits_C >= LEAST_AGREEMENT)))
    if fits_C[main] < LEAST_AGREEMENT:
        raise GenerationRefused("colour-not-found")
    chosen_C = (fits_C >= LEAST_AGREEMENT) | _in_other_light(centres_C3, centres_C3[main])
    if weights_C[chosen_C].sum() < least_share:
        raise GenerationRefused("region-too-small")
    seeds = np.zeros(weights_HW.shape, np.uint8)
    seeds[there] = chosen_C[labels]
    return seeds


def _in_other_light(centres_C3: Floats, main_3: Floats) -> NDArray[np.bool_]:
    """Whether each colour [C, 3] may be cloth of the main colour [3] in shade or sun.

    In OKLab the same cloth in other light is a multiple of its colour. That helps only with coloured cloth: all greys
    are multiples of each other.
    """
    light_C = centres_C3[:, 0] / max(float(main_3[0]), 0.05)
    multiple = distance(centres_C3, main_3 * light_C[:, None]) < SAME_HUE
    is_coloured = float(np.hypot(*main_3[1:])) > LEAST_CHROMA
    near = distance(centres_C3, main_3) < SAME_CLOTH
    return np.asarray(near | (is_coloured & multiple & (light_C > DEEPEST_SHADE) & (light_C < 1 / DEEPEST_SHADE)))


def _clusters(lab_N3: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Cluster of each pixel [N] and the clusters' mean colours [C, 3], by k-means in which lightness counts less."""
    scale = np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32)
    cv2.setRNGSeed(0)  # OpenCV draws from one generator per thread: the result must not depend on earlier calls
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 1e-3)
    _, labels, centres = cv2.kmeans(
        np.ascontiguousarray(lab_N3 * scale), CLUSTERS, None, until, 2, cv2.KMEANS_PP_CENTERS
    )
    return labels[:, 0], np.asarray(centres / scale, np.float32)


def _cut_out(lab_HW3: Floats, weights_HW: Floats, seeds_HW: Mask) -> Mask:
    """GrabCut in OKLab: the seeds are probably the garment; what lies far from its place certainly is not."""
    picture = np.clip((lab_HW3 + BYTE_OFFSET) * BYTE_SCALE, 0, 255).astype(np.uint8)
    labels = np.where(seeds_HW == 1, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[weights_HW < NOWHERE_NEAR] = cv2.GC_BGD
    if not 20 <= (labels == cv2.GC_PR_FGD).sum() <= labels.size - 20:
        raise GenerationRefused("region-too-small")
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return np.asarray(labels == cv2.GC_PR_FGD, np.uint8)


def _without_specks(mask_HW: Mask, weights_HW: Floats) -> Mask:
    """The mask, opened and closed, without pieces that weigh less than a tenth of the largest."""
    mask_HW = cv2.morphologyEx(cv2.morphologyEx(mask_HW, cv2.MORPH_OPEN, SPECK), cv2.MORPH_CLOSE, SPECK)
    count, pieces_HW = cv2.connectedComponents(mask_HW, connectivity=4)
    areas = np.bincount(pieces_HW.ravel(), weights=weights_HW.ravel(), minlength=count)
    areas[0] = 0
    return np.asarray(((areas > 0) & (areas >= 0.1 * areas.max()))[pieces_HW], np.uint8)


def _check_shape(weights_HW: Floats, mask_HW: Mask, least_area: float) -> None:
    inside = mask_HW == 1
    if inside.mean() < least_area:
        raise GenerationRefused("region-too-small")
    if weights_HW[inside].mean() < LEAST_IN_PLACE:
        raise GenerationRefused("region-elsewhere")
    if max(inside[:, 0].mean(), inside[:, -1].mean()) > MOST_AT_BORDER:
        raise GenerationRefused("region-is-scenery")


def _check_whole(weights_HW: Floats, seeds_HW: Mask, mask_HW: Mask) -> None:
    left_out = (seeds_HW == 1) & (cv2.dilate(mask_HW, SPECK) == 0)
    if weights_HW[left_out].sum() > MOST_LEFT_OUT * weights_HW[seeds_HW == 1].sum():
        raise GenerationRefused("garment-not-whole")


def _check_head(lab_HW3: Floats, weights_HW: Floats, mask_HW: Mask) -> None:
    """Refuse a mask whose colour continues above the garment: that is hair, or a hood that would keep its colour."""
    top = int(np.argmax(weights_HW.max(axis=1) >= NOWHERE_NEAR))
    reaching = mask_HW[top : top + HEAD_ROWS].max(axis=0) == 1
    if top < HEAD_ROWS or reaching.mean() < LEAST_NECK:
        return
    like_cloth = (
        distance(lab_HW3[top - HEAD_ROWS : top, reaching], np.median(lab_HW3[mask_HW == 1], axis=0)) < SAME_CLOTH
    )
    if like_cloth.mean() > 0.5:
        raise GenerationRefused("region-runs-into-hair")
