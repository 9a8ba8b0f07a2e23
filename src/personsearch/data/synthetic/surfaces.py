"""The one primitive a figure is made of: a tube lofted through elliptic rings, sampled as points.

Shapes: T tubes, R rings, N points, S steps round a circle.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from personsearch.data.synthetic.cloth import Cloth, tufts
from personsearch.data.synthetic.palette import Floats

BACK_FACING = -0.1
"""Normals that point further away from the camera than this are left out."""
CIRCLE_STEPS = 720
X = np.array([1, 0, 0], np.float32)
Y = np.array([0, 1, 0], np.float32)
Z = np.array([0, 0, 1], np.float32)
"""The body's axes: to its left, up, forward."""


@dataclass(frozen=True, slots=True)
class Tube:
    """A closed surface through rings: centres (R, 3), half widths along `side` and `front` (R, 2).

    `squareness` below 1 turns the ellipse into a rounded box; `part` is the attribute it shows.
    """

    part: str
    cloth: Cloth
    centres: Floats
    radii: Floats
    side: Floats
    front: Floats
    squareness: float = 1.0


@dataclass(frozen=True, slots=True)
class Points:
    """Samples of tubes that face the camera, in the camera's axes (right, up, towards it).

    owner (N) is the index of each point's tube; places and normals (N, 3); along (N) in metres from the tube's top,
    share (N) of its length, angle (N) around it.
    """

    owner: NDArray[np.int64]
    places: Floats
    normals: Floats
    along: Floats
    share: Floats
    angle: Floats


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


def ellipsoid(
    part: str,
    cloth: Cloth,
    centre: Floats,
    radii: tuple[float, float, float],
    *,
    top: float = 1.0,
    bottom: float = -1.0,
) -> Tube:
    """An upright ellipsoid of half axes (side, up, front), cut at shares `top` and `bottom` of its height."""
    heights = np.sin(np.linspace(np.arcsin(top), np.arcsin(bottom), 9)).astype(np.float32)
    widths = np.sqrt(np.maximum(1 - heights**2, 0.004))
    centres = centre + heights[:, None] * radii[1] * Y
    return Tube(part, cloth, centres.astype(np.float32), np.stack([widths * radii[0], widths * radii[2]], 1), X, Z)


def sample(tubes: list[Tube], rotation: Floats, spacing: float) -> Points:
    """Points about `spacing` metres apart over all tubes, where they face the camera of `rotation` (3, 3)."""
    slices = [_slices(tube, spacing) for tube in tubes]
    rows = _Rows(
        np.repeat(np.arange(len(tubes)), [len(each) for each in slices]),
        np.concatenate(slices),
        np.array([max(8, int(2 * np.pi * tube.radii.max() / spacing)) for tube in tubes]),
    )
    axes_T33 = (np.stack([_own_axes(tube) for tube in tubes]) @ rotation.T).astype(np.float32)
    return _facing_points(tubes, rows, axes_T33, rotation)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rings of all tubes at the same spacing: owner (R), values from `_slices`, points per ring (T)."""

    owner: NDArray[np.int64]
    values: Floats
    columns: NDArray[np.int64]


def _slices(tube: Tube, spacing: float) -> Floats:
    """Rings about `spacing` apart (n, 8): centre, two half widths, slope of the width, metres along, share along."""
    rings = np.concatenate([tube.centres, tube.radii], axis=1)
    moves, swells = np.diff(tube.centres, axis=0), np.diff(tube.radii.max(axis=1))
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt((moves**2).sum(axis=1)) + 0.6 * np.abs(swells))])
    length = max(float(knots[-1]), 1e-6)
    along = np.linspace(0, length, max(4, int(length / spacing)))
    segment = np.clip(np.searchsorted(knots, along, side="right") - 1, 0, len(knots) - 2)
    steps = np.maximum(knots[1:] - knots[:-1], 1e-6)
    blend = ((along - knots[segment]) / steps[segment])[:, None]
    values = np.empty((len(along), 8), np.float32)
    values[:, :5] = rings[segment] * (1 - blend) + rings[segment + 1] * blend
    values[:, 5] = np.clip(swells / steps, -3, 3)[segment]
    values[:, 6], values[:, 7] = along, along / length
    return values


def _own_axes(tube: Tube) -> Floats:
    """The tube's side, front and axis (3, 3)."""
    return np.stack([tube.side, tube.front, _toward(tube.centres[0], tube.centres[-1])])


def _facing_points(tubes: list[Tube], rows: _Rows, axes_T33: Floats, rotation: Floats) -> Points:
    """All points of all rings, less those that face away."""
    counts_R = rows.columns[rows.owner]
    row_N = np.repeat(np.arange(len(counts_R)), counts_R)
    place_N = np.arange(len(row_N)) - np.repeat(np.cumsum(counts_R) - counts_R, counts_R)
    turn_N = (place_N * np.repeat(CIRCLE_STEPS / counts_R, counts_R)).astype(np.int64)
    squareness = [tube.squareness for tube in tubes]
    circles_T3S = np.stack([_circle(value) for value in squareness])
    owner_N = rows.owner[row_N]
    cosine, sine = circles_T3S[owner_N, 1, turn_N], circles_T3S[owner_N, 2, turn_N]
    # The ellipse's normal, tilted against the axis where the tube widens or narrows.
    across, forward = cosine / rows.values[row_N, 3], sine / rows.values[row_N, 4]
    slope = rows.values[row_N, 5] * np.sqrt(across**2 + forward**2)
    toward_T3 = axes_T33[:, :, 2]
    nearness = across * toward_T3[owner_N, 0] + forward * toward_T3[owner_N, 1] - slope * toward_T3[owner_N, 2]
    kept = np.flatnonzero(nearness > BACK_FACING * np.sqrt(across**2 + forward**2 + slope**2))
    row, owner = row_N[kept], owner_N[kept]
    values, side, front = rows.values[row], axes_T33[owner, 0], axes_T33[owner, 1]
    normals = across[kept, None] * side + forward[kept, None] * front - slope[kept, None] * axes_T33[owner, 2]
    normals /= np.sqrt((normals**2).sum(axis=1, keepdims=True)) + np.float32(1e-9)
    angle = circles_T3S[owner, 0, turn_N[kept]]
    bumps = 1 + _per_tube(tubes, "folds")[owner] * 0.05 * np.sin(
        values[:, 6] * 38 + 3 * angle + _per_tube(tubes, "phase")[owner] * 40
    )
    fur = _per_tube(tubes, "fur")
    if fur.any():
        bumps += fur[owner] * 0.1 * tufts(values[:, 6], angle, _per_tube(tubes, "phase")[owner])
    offset = (values[:, 3] * cosine[kept] * bumps)[:, None] * side + (values[:, 4] * sine[kept] * bumps)[
        :, None
    ] * front
    return Points(owner, (rows.values[:, :3] @ rotation.T)[row] + offset, normals, values[:, 6], values[:, 7], angle)


def _per_tube(tubes: list[Tube], name: str) -> Floats:
    """A property of each tube's cloth."""
    return np.array([getattr(tube.cloth, name) for tube in tubes], np.float32)


@lru_cache(maxsize=16)
def _circle(squareness: float) -> Floats:
    """Angle, cosine and sine (3, CIRCLE_STEPS) of points evenly spaced round a superellipse."""
    angle = np.linspace(-np.pi, np.pi, 1441)
    cosine = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** squareness
    sine = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** squareness
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(cosine), np.diff(sine)))])
    even = np.linspace(0, travelled[-1], CIRCLE_STEPS, endpoint=False)
    return np.stack([np.interp(even, travelled, values) for values in (angle, cosine, sine)]).astype(np.float32)


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
