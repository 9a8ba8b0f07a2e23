"""The generator without weights: finds the garment by colour and place, and changes its colour under the same light.

A pixel of cloth is the cloth's colour times the light on it, which is a product in OKLab too (see colours.py). So the
light is measured against the old colour and applied to the new one. A pixel at the edge is only partly cloth and takes
that part of the difference; otherwise a rim of the old colour would stay.

Shapes: H height, W width.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.augmentation.pdg.colours import LAB_OF_CLOTH, Floats, from_oklab, to_oklab
from personsearch.augmentation.pdg.garments import Part
from personsearch.augmentation.pdg.generator import Change, Pixels
from personsearch.augmentation.pdg.region import find_region, where_worn

ALGORITHM = "recolour-1"  # part of the cache's keys: raise it when the same input gives another image
LIGHT_RANGE = (0.35, 1.7)
BRIGHTEST, LIGHTEST_BLACK = 0.985, 0.2
DIM_CLOTH = 0.6  # cloth of this lightness or more shows its folds; on darker cloth, noise mixes in
DARK_OFFSET = 0.2  # added to the lightness of black cloth, where the cube root exaggerates small differences
SMOOTHEST = 0.012  # blur of the light when black cloth turns white, as a share of the height
EDGE = 0.012  # half the width of the band in which pixels may be partly cloth, as a share of the height
FOREIGN_CHROMA = 0.085  # a pixel whose chroma differs this much is not cloth: a print, a strap, a hand
FLAT, ROUNDED, EDGE_SHADE = 0.12, 0.035, 0.3  # spread below which light is flat; depth and darkness of shaded edges
FADING = 0.8  # share of the old chroma's unevenness that is removed


@dataclass(frozen=True, slots=True)
class Recolour:
    """Changes clothes only: bags, shoes and hats are too small to find by colour and place alone."""

    parts: frozenset[Part] = frozenset({"upper", "lower", "whole"})

    def generate(self, image: Pixels, caption: str, change: Change) -> Pixels:
        """The garment in its new colour.

        Raises:
            GenerationRefused: the garment cannot be told from its surroundings.
        """
        region = find_region(image, where_worn(change.part, change.garment), change.cloth, shared=change.shared)
        return repaint(image, region, change.new_colour)


def repaint(rgb_HW3: NDArray[np.uint8], mask_HW: NDArray[np.uint8], new: str) -> NDArray[np.uint8]:
    """The picture with the cloth under the mask in the colour `new`, a name in CLOTH."""
    lab = to_oklab(rgb_HW3)
    cloth = np.median(lab[mask_HW == 1], axis=0)
    target = _as_exposed(LAB_OF_CLOTH[new], lab)
    coverage, inside = _coverage(lab, mask_HW)
    lightness = _spread(_calm(lab[..., 0], inside, target[0] / max(cloth[0], 0.05)), inside)[..., None]
    old = np.concatenate([lightness, cloth[1:] * _light(lightness, cloth[0], 0.0)], axis=-1)
    share = (coverage * _own(lab, old))[..., None]
    dimness = float(np.clip(1 - cloth[0] / DIM_CLOTH, 0, 1))
    light = _light(lightness, cloth[0], DARK_OFFSET * dimness)
    if target[0] > cloth[0]:
        light = light * _rounding(mask_HW, light[inside].std())[..., None]
    grain = (
        (lab - old) * (coverage > 0.95)[..., None] * np.array([dimness if target[0] > cloth[0] else 0, FADING, FADING])
    )
    return from_oklab(lab + share * (_lit(target, light ** _depth(cloth[0], target[0])) - old - grain))


def _light(lightness: Floats, cloth: float, offset: float) -> Floats:
    """The light on cloth whose usual lightness is `cloth`, as a factor: 1 is usual."""
    return np.asarray(np.clip((lightness + offset) / max(cloth + offset, 0.05), *LIGHT_RANGE))


def _rounding(mask_HW: NDArray[np.uint8], unevenness: float) -> Floats:
    """Shading towards the edges [H, W], for cloth too black to show any light; without it, it looks like cut paper."""
    depth = cv2.distanceTransform(mask_HW, cv2.DIST_L2, 3) / (ROUNDED * len(mask_HW))
    shade = EDGE_SHADE * float(np.clip(1 - unevenness / FLAT, 0, 1))
    return np.asarray(1 - shade * np.exp(-depth), np.float32)


def _depth(old: float, new: float) -> float:
    """The exponent of the light: it softens the folds of dark cloth that turns light, which would look like stains."""
    return float(np.clip(old / DIM_CLOTH, 0.4, 1.0)) if new > old else 1.0


def _calm(lightness_HW: Floats, inside_HW: NDArray[np.bool_], gain: float) -> Floats:
    """The lightness, smoothed so that multiplying it by `gain` does not amplify noise."""
    sigma = SMOOTHEST * len(lightness_HW) * float(np.clip((gain - 1) / 2.5, 0, 1))
    return lightness_HW if sigma < 0.3 else _mean_inside(lightness_HW[..., None], inside_HW, sigma)[..., 0]


def _lit(colour: Floats, light_HW1: Floats) -> Floats:
    """A cloth's colour in this light [H, W, 3]; highlights roll off before they reach white."""
    room = max(BRIGHTEST - colour[0], 0.02) / colour[0]
    rolled = np.where(light_HW1 <= 1, light_HW1, 1 + room * (1 - np.exp(-(light_HW1 - 1) / room)))
    return np.asarray(colour * rolled, np.float32)


def _as_exposed(colour: Floats, lab_HW3: Floats) -> Floats:
    """The colour as this picture's exposure would show it, within its lightest and darkest tones."""
    darkest, lightest = np.percentile(lab_HW3[..., 0], (1, 99))
    scale = float(np.clip(0.45 + 0.65 * lightest, 0.72, 1.0))  # a picture need not hold anything white
    lightness = max(colour[0] * scale, min(darkest, LIGHTEST_BLACK))
    return np.array([lightness, *(colour[1:] * scale)], np.float32)


def _coverage(lab_HW3: Floats, mask_HW: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.bool_]]:
    """How much of each pixel is cloth [H, W], and where it certainly is all cloth [H, W].

    A pixel on the mask's edge mixes the colours of the cloth and of the scenery beside it; how far it lies between the
    two tells its share of cloth.
    """
    reach = max(1, round(EDGE * len(mask_HW)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = cv2.erode(mask_HW, kernel) == 1
    inside = inside if inside.sum() >= 0.2 * mask_HW.sum() else mask_HW == 1
    outside = cv2.dilate(mask_HW, kernel) == 0
    cloth, scenery = (_mean_inside(lab_HW3, known, 2.0 * reach) for known in (inside, outside))
    axis = cloth - scenery
    length = (axis**2).sum(axis=-1)
    between = np.clip(((lab_HW3 - scenery) * axis).sum(axis=-1) / np.maximum(length, 1e-6), 0, 1)
    by_mask = cv2.GaussianBlur(mask_HW.astype(np.float32), (0, 0), 0.6 * reach)
    trust = np.clip((length - 0.003) / 0.01, 0, 1)  # if both have the same colour, only the mask tells them apart
    band = trust * between + (1 - trust) * by_mask
    return np.asarray(np.where(inside, 1.0, np.where(outside, 0.0, band)), np.float32), inside


def _own(lab_HW3: Floats, old_HW3: Floats) -> Floats:
    """Near 1 where the chroma is the cloth's, near 0 where something on it has another colour, [H, W]."""
    squared = ((lab_HW3 - old_HW3)[..., 1:] ** 2).sum(axis=-1)
    return np.asarray(np.exp(-((squared / FOREIGN_CHROMA**2) ** 2)), np.float32)


def _spread(values_HW: Floats, inside_HW: NDArray[np.bool_]) -> Floats:
    """The values inside, extended to the pixels around."""
    around = _mean_inside(values_HW[..., None], inside_HW, 0.02 * len(values_HW))[..., 0]
    return np.asarray(np.where(inside_HW, values_HW, around))


def _mean_inside(values_HWC: Floats, inside_HW: NDArray[np.bool_], sigma: float) -> Floats:
    """At each pixel, the mean of the values inside [H, W, C], weighted by nearness."""
    weight = inside_HW.astype(np.float32)[..., None]
    overall = (values_HWC * weight).sum(axis=(0, 1)) / max(float(weight.sum()), 1.0)
    blurred = cv2.GaussianBlur((values_HWC * weight).astype(np.float32), (0, 0), sigma).reshape(values_HWC.shape)
    total = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    return np.asarray((blurred + 1e-5 * overall) / (total + 1e-5), np.float32)
