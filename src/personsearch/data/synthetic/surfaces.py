"""The one primitive a figure is made of: a tube lofted through elliptic rings, sampled as points.

Shapes: R rings, N points of one tube.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from personsearch.data.synthetic.cloth import Cloth
from personsearch.data.synthetic.palette import Floats


@dataclass(frozen=True, slots=True)
class Tube:
    """A closed surface through rings: centres (R, 3), half widths along `side` and `front` (R, 2).

    `squareness` below 1 turns the ellipse into a rounded box; `part` is the attribute it shows.
    """

    part: str
    cloth: Cloth
    centres_R3: Floats
    radii_R2: Floats
    side: Floats
    front: Floats
    squareness: float = 1.0


@dataclass(frozen=True, slots=True)
class Points:
    """Samples of a tube: places and normals (N, 3), metres along it and angle around it (N)."""

    places_N3: Floats
    normals_N3: Floats
    along_N: Floats
    share_N: Floats
    angle_N: Floats


def limb(part: str, cloth: Cloth, joints: list[Floats], radii: list[float], *, flat: float = 1.0) -> Tube:
    """A tube through joints with round ends; `flat` is the front radius as a share of the side radius."""
    first, last = joints[0], joints[-1]
    centres = [
        first - _toward(first, joints[1]) * radii[0] * 0.7,
        *joints,
        last + _toward(joints[-2], last) * radii[-1] * 0.7,
    ]
    widths = np.array([radii[0] * 0.25, *radii, radii[-1] * 0.25], np.float32)
    side, front = _axes(last - first)
    return Tube(part, cloth, np.array(centres, np.float32), np.stack([widths, widths * flat], axis=1), side, front)


def sample(tube: Tube, spacing: float) -> Points:
    """Points about `spacing` metres apart over the whole tube."""
    steps_R = np.linalg.norm(np.diff(tube.centres_R3, axis=0), axis=1) + 0.6 * np.abs(
        np.diff(tube.radii_R2.max(axis=1))
    )
    knots_R = np.concatenate([[0.0], np.cumsum(steps_R)])
    length, around = float(knots_R[-1]), float(2 * np.pi * tube.radii_R2.max())
    rows, columns = max(3, int(length / spacing)), max(6, int(around / spacing))
    along = np.linspace(0, length, rows)
    centre = np.stack([np.interp(along, knots_R, tube.centres_R3[:, axis]) for axis in range(3)], axis=1)
    radii = np.stack([np.interp(along, knots_R, tube.radii_R2[:, axis]) for axis in range(2)], axis=1).astype(
        np.float32
    )
    slope = np.gradient(radii.max(axis=1), along) if rows > 1 else np.zeros(rows)
    return _loft(tube, centre.astype(np.float32), radii, slope.astype(np.float32), along.astype(np.float32), columns)


def _loft(tube: Tube, centre: Floats, radii: Floats, slope: Floats, along: Floats, columns: int) -> Points:
    angle, cosine, sine = _circle(columns, tube.squareness)
    across = radii[:, 0, None] * cosine
    forward = radii[:, 1, None] * sine
    places = centre[:, None] + across[..., None] * tube.side + forward[..., None] * tube.front
    # The ellipse's normal, tilted against the axis where the tube widens or narrows.
    flat = (cosine / np.maximum(radii[:, 0, None], 1e-4))[..., None] * tube.side
    flat = flat + (sine / np.maximum(radii[:, 1, None], 1e-4))[..., None] * tube.front
    flat /= np.linalg.norm(flat, axis=-1, keepdims=True) + 1e-6
    axis = _toward(tube.centres_R3[0], tube.centres_R3[-1])
    normals = flat - np.clip(slope, -3, 3)[:, None, None] * axis
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-6
    rows = len(along)
    along_grid = np.repeat(along, columns)
    return Points(
        places.reshape(-1, 3),
        normals.reshape(-1, 3),
        along_grid,
        along_grid / max(float(along[-1]), 1e-6),
        np.tile(angle, rows),
    )


@lru_cache(maxsize=512)
def _circle(columns: int, squareness: float) -> tuple[Floats, Floats, Floats]:
    angle = np.linspace(-np.pi, np.pi, columns, endpoint=False).astype(np.float32)
    cosine, sine = np.cos(angle), np.sin(angle)
    if squareness != 1.0:
        cosine = np.sign(cosine) * np.abs(cosine) ** squareness
        sine = np.sign(sine) * np.abs(sine) ** squareness
    return angle, cosine, sine


def _toward(start: Floats, end: Floats) -> Floats:
    direction = end - start
    return np.asarray(direction / (np.linalg.norm(direction) + 1e-6), np.float32)


def _axes(direction: Floats) -> tuple[Floats, Floats]:
    """Two axes across a limb: to the body's left, and forward."""
    axis = _toward(np.zeros(3, np.float32), direction)
    reference = np.array([1, 0, 0], np.float32)
    if abs(float(axis[0])) > 0.9:
        reference = np.array([0, 1, 0], np.float32)
    side = reference - axis * float(axis @ reference)
    side /= np.linalg.norm(side)
    front = np.cross(side, axis)
    if front[2] < 0:
        front = -front
    return side.astype(np.float32), front.astype(np.float32)
