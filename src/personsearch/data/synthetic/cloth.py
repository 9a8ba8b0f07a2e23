"""What a surface looks like: colour, pattern, openings and folds, as functions of the position on its tube.

Shapes: N positions on one tube; along (metres from its top), share (along / length), angle (π/2 is the front).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.data.synthetic.palette import Floats

Mask = NDArray[np.bool_]
TORSO_RADIUS = 0.16


@dataclass(frozen=True, slots=True)
class Cloth:
    """A material. Colours are linear RGB; `phase` individualises its pattern and folds.

    `pattern`: plain, striped, checked, dotted, logo, back-logo, two-tone, sole, stripe (along a limb), reflective (the
    bands of a high-visibility vest), vents (of a helmet).
    `opening`: half width in radians of an unbuttoned front that shows `detail`, down to the share `opening_top` of
    the length (0: all the way); `zip_line` draws one shut.
    `folds`, `grain`, `gloss`, `fur`: strengths of creases, of weave, of highlights, of tufts.
    """

    colour: Floats
    detail: Floats | None = None
    pattern: str = "plain"
    detail_part: str = ""
    opening: float = 0.0
    opening_top: float = 0.0
    zip_line: bool = False
    folds: float = 0.25
    grain: float = 0.06
    gloss: float = 0.0
    quilted: float = 0.0
    fur: float = 0.0
    phase: float = 0.0
    pitch: float = 0.06


def paint(cloth: Cloth, along_N: Floats, share_N: Floats, angle_N: Floats) -> tuple[Floats, Mask]:
    """Linear RGB (N, 3) of positions, and where the detail colour shows."""
    rgb = np.broadcast_to(cloth.colour, (len(along_N), 3)).copy()
    shows = np.zeros(len(along_N), bool)
    if cloth.detail is None:
        return rgb, shows
    if cloth.pattern != "plain":
        strength = _pattern(cloth, along_N, share_N, angle_N)
        rgb += strength[:, None] * (cloth.detail - cloth.colour)
        shows |= strength > 0.5
    if cloth.opening > 0:
        gap, edge = _opening(cloth, share_N, angle_N)
        rgb[gap] = cloth.detail
        rgb[edge] *= 0.72
        shows |= gap
    return rgb, shows


def _opening(cloth: Cloth, share: Floats, angle: Floats) -> tuple[Mask, Mask]:
    """Where an unbuttoned front gapes, and the shadow along its edges."""
    from_front = np.abs(angle - np.pi / 2)
    if cloth.opening_top == 0:  # gapes more towards its hem
        width = cloth.opening * (0.5 + 0.7 * share)
    else:  # a V that closes at `opening_top`
        width = cloth.opening * (1 - (share - 0.08) / cloth.opening_top)
    below_collar = share > 0.04
    gap = (from_front < width) & below_collar
    return gap, ~gap & (from_front < width + 0.12) & below_collar


def _pattern(cloth: Cloth, along: Floats, share: Floats, angle: Floats) -> Floats:
    """How much of the detail colour shows, 0..1."""
    strength: Floats | Mask
    match cloth.pattern:
        case "striped":
            strength = _band(along / cloth.pitch + cloth.phase, 0.42)
        case "checked":
            across = _band(along / cloth.pitch + cloth.phase, 0.4)
            strength = 0.55 * across + 0.45 * _band(angle * TORSO_RADIUS / cloth.pitch + cloth.phase, 0.4)
        case "dotted":
            row = along / cloth.pitch
            column = angle * TORSO_RADIUS / cloth.pitch + 0.5 * (np.floor(row) % 2)
            strength = np.hypot(row % 1 - 0.5, column % 1 - 0.5) < 0.27
        case "logo":
            strength = _logo(cloth, along, share, angle)
        case "back-logo":
            strength = _logo(cloth, along, share, -angle)
        case "two-tone":
            strength = share < 0.34 + 0.1 * np.sin(cloth.phase * 6)
        case "stripe":
            strength = np.minimum(np.abs(angle), np.pi - np.abs(angle)) < 0.3
        case "reflective":
            bands = (np.abs(share - 0.56) < 0.055) | (np.abs(share - 0.82) < 0.055)
            strength = bands | ((share < 0.56) & (np.abs(np.abs(np.cos(angle)) - 0.55) < 0.13))
        case "vents":
            strength = (angle * 11 / np.pi % 2 < 0.6) & (share > 0.18) & (share < 0.8)
        case "sole":
            strength = angle < -1.0
        case _:
            strength = np.zeros_like(along)
    return strength.astype(np.float32)


def _logo(cloth: Cloth, along: Floats, share: Floats, angle: Floats) -> Floats:
    """Something like letters on the chest, where `angle` is about π/2."""
    on_chest = (np.abs(share - 0.36) < 0.13) & (np.abs(angle - np.pi / 2) < 0.55)
    letters = np.sin(angle * 21 + cloth.phase * 9) * np.sin(along * 95 + cloth.phase * 5) > -0.35
    return np.asarray(on_chest & letters, np.float32)


def _band(position: Floats, width: float) -> Floats:
    return np.asarray(position % 1 < width, np.float32)


def creases(cloth: Cloth, along_N: Floats, angle_N: Floats) -> Floats:
    """Brightness factors (N) of folds, quilting and weave lines that follow the garment."""
    swirl = np.sin(along_N * 31 + 3.2 * np.sin(angle_N + cloth.phase) + 7 * cloth.phase)
    drape = np.sin(angle_N * 4 + 3 * np.sin(along_N * 8 + 3 * cloth.phase) + 9 * cloth.phase)
    factor = 1 + cloth.folds * (0.28 * swirl + 0.3 * drape)
    if cloth.quilted:
        factor *= 1 - cloth.quilted * np.abs(np.cos(along_N * np.pi / 0.085 + cloth.phase)) ** 3
    if cloth.fur:
        factor *= 1 + cloth.fur * tufts(along_N, angle_N, cloth.phase)
    if cloth.zip_line:
        factor *= np.where(np.abs(angle_N - np.pi / 2) < 0.07, 0.6, 1.0)
    return np.asarray(factor, np.float32)


def tufts(along_N: Floats, angle_N: Floats, phase: float | Floats) -> Floats:
    """How far the tufts of a fur stand out, -1..1 (N)."""
    row = along_N * 42 + 0.6 * np.sin(angle_N * 5 + 9 * phase)
    column = angle_N * 6 + 0.7 * np.sin(along_N * 31 + 5 * phase)
    chance = np.sin(np.floor(row) * 12.9898 + np.floor(column) * 78.233 + phase) * 43758.5453
    return np.asarray(1.5 * (chance - np.floor(chance)) - 1 + 0.5 * np.sin(2 * np.pi * row), np.float32)
