"""A person seen by a camera: geometry, z-buffer, light; pixels with what each of them shows.

Shapes: N points of all tubes, P visible pixels, H × W the canvas.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.layout import PARTS
from personsearch.data.synthetic.attributes import Person
from personsearch.data.synthetic.belongings import carried_tubes
from personsearch.data.synthetic.body import hands, head_tubes
from personsearch.data.synthetic.cloth import creases, paint
from personsearch.data.synthetic.garments import (
    high_visibility_tubes,
    lower_tubes,
    scarf,
    shoe_tubes,
    tie_tubes,
    upper_cloth,
    upper_tubes,
)
from personsearch.data.synthetic.palette import Floats
from personsearch.data.synthetic.skeleton import Pose, build_skeleton
from personsearch.data.synthetic.surfaces import Points, Tube, sample
from personsearch.data.synthetic.vehicles import vehicle_tubes

EDGE_SOFTNESS = 0.6
PART_INDEX = {part: index for index, part in enumerate(PARTS)}


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera is: `yaw` of the body (0 faces it, π/2 walks to the right), `pitch` looking down, radians."""

    yaw: float
    pitch: float
    distance: float = 9.0


@dataclass(frozen=True, slots=True)
class Light:
    """A sun (direction to it, in the camera's axes, its strength) and a sky (strength)."""

    direction: tuple[float, float, float]
    sun: float
    sky: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawn person: linear RGB (H, W, 3), coverage 0..1 (H, W), part of each pixel (H, W), feet (x, y)."""

    rgb: Floats
    alpha: Floats
    parts: NDArray[np.uint8]
    feet: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Cloud:
    """All tubes, and their points that face the camera."""

    tubes: list[Tube]
    points: Points


@dataclass(frozen=True, slots=True)
class _Raster:
    """The nearest point of every canvas pixel, -1 where none is (H, W), and where the feet's middle lies (x, y)."""

    nearest: NDArray[np.int64]
    feet: tuple[float, float]


def draw_figure(
    person: Person, pose: Pose, view: View, light: Light, *, pixels_per_metre: float, phase: float
) -> Figure:
    """Draw one person. `phase` (a number of the identity) fixes folds, pattern offsets and the carrying side."""
    cloud = _point_cloud(dress(person, pose, phase), view, 0.85 / pixels_per_metre)
    return _shade(cloud, _rasterise(cloud.points, view, pixels_per_metre), light)


def dress(person: Person, pose: Pose, phase: float) -> list[Tube]:
    """All tubes of a person in a pose."""
    skeleton = build_skeleton(person, pose)
    hidden = (pose.arms[0] == "pocket", pose.arms[1] == "pocket")
    return [
        *lower_tubes(person, skeleton, phase),
        *shoe_tubes(person, skeleton),
        *upper_tubes(person, skeleton, upper_cloth(person, phase)),
        *tie_tubes(person, skeleton),
        *high_visibility_tubes(person, skeleton, phase),
        *hands(person, skeleton, phase, hidden=hidden),
        *head_tubes(person, skeleton, phase),
        *scarf(person, skeleton, phase),
        *carried_tubes(person, skeleton, phase),
        *vehicle_tubes(person, skeleton, phase),
    ]


def _point_cloud(tubes: list[Tube], view: View, spacing: float) -> _Cloud:
    cos_y, sin_y, cos_p, sin_p = np.cos(view.yaw), np.sin(view.yaw), np.cos(view.pitch), np.sin(view.pitch)
    turn = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    tilt = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
    rotation = (tilt @ turn).astype(np.float32)
    return _Cloud(tubes, sample(tubes, rotation, spacing))


def _rasterise(points: Points, view: View, pixels_per_metre: float) -> _Raster:
    """Perspective projection onto the smallest canvas that holds the figure."""
    nearness_N = points.places[:, 2]
    screen_N2 = points.places[:, :2] * (pixels_per_metre * view.distance / (view.distance - nearness_N))[:, None]
    low, high = screen_N2.min(axis=0) - 3, screen_N2.max(axis=0) + 3
    width, height = (int(extent) + 1 for extent in high - low)
    columns_N = (screen_N2[:, 0] - low[0]).astype(np.int64)
    rows_N = (high[1] - screen_N2[:, 1]).astype(np.int64)
    nearest = _z_buffer(rows_N * width + columns_N, nearness_N, height * width)
    return _Raster(nearest.reshape(height, width), (float(-low[0]), float(high[1])))


def _z_buffer(pixels_N: NDArray[np.int64], nearness_N: Floats, num_pixels: int) -> NDArray[np.int64]:
    """The index of the nearest point of each pixel, -1 where none is."""
    # Nearness in tenths of a millimetre above the index, so that one maximum finds the nearest point.
    keys_N = ((nearness_N * 10_000 + 100_000).astype(np.int64) << 24) | np.arange(len(pixels_N))
    best = np.full(num_pixels, -1, np.int64)
    np.maximum.at(best, pixels_N, keys_N)
    return np.where(best >= 0, best & 0xFFFFFF, -1)


def _shade(cloud: _Cloud, raster: _Raster, light: Light) -> Figure:
    covered_HW = raster.nearest >= 0
    chosen_P = raster.nearest[covered_HW]
    rgb_P3, parts_P = _albedo(cloud, chosen_P)
    normals_P3 = cloud.points.normals[chosen_P]
    depth_HW = np.zeros(covered_HW.shape, np.float32)
    depth_HW[covered_HW] = cloud.points.places[chosen_P, 2]
    shading_P = _lighting(normals_P3, light) * _ambient_occlusion(depth_HW, covered_HW)[covered_HW]
    gloss_P = np.array([tube.cloth.gloss for tube in cloud.tubes], np.float32)[cloud.points.owner[chosen_P]]
    highlight_P = gloss_P * np.clip(normals_P3 @ _unit(light.direction), 0, 1) ** 12 * 0.25 * light.sun
    rgb_HW3 = np.zeros((*covered_HW.shape, 3), np.float32)
    rgb_HW3[covered_HW] = rgb_P3 * shading_P[:, None] + highlight_P[:, None]
    parts_HW = np.zeros(covered_HW.shape, np.uint8)
    parts_HW[covered_HW] = parts_P
    return Figure(*_antialias(rgb_HW3, covered_HW.astype(np.float32)), parts_HW, raster.feet)


def _antialias(rgb_HW3: Floats, covered_HW: Floats) -> tuple[Floats, Floats]:
    """Colours and coverage softened by about a pixel; colours of covered pixels alone are mixed."""
    alpha = cv2.GaussianBlur(covered_HW, (0, 0), EDGE_SOFTNESS)
    rgb = cv2.GaussianBlur(rgb_HW3, (0, 0), EDGE_SOFTNESS)
    return rgb / np.maximum(alpha, 1e-3)[..., None], alpha


def _albedo(cloud: _Cloud, chosen_P: NDArray[np.int64]) -> tuple[Floats, NDArray[np.uint8]]:
    owner_P = cloud.points.owner[chosen_P]
    order = np.argsort(owner_P, kind="stable")
    bounds = np.searchsorted(owner_P[order], np.arange(len(cloud.tubes) + 1))
    rgb_P3 = np.zeros((len(chosen_P), 3), np.float32)
    parts_P = np.zeros(len(chosen_P), np.uint8)
    for index, tube in enumerate(cloud.tubes):
        mine = order[bounds[index] : bounds[index + 1]]
        if not len(mine):
            continue
        points = chosen_P[mine]
        along, angle = cloud.points.along[points], cloud.points.angle[points]
        rgb, shows = paint(tube.cloth, along, cloud.points.share[points], angle)
        rgb_P3[mine] = rgb * creases(tube.cloth, along, angle)[:, None]
        parts_P[mine] = PART_INDEX[tube.part]
        if tube.cloth.detail_part:
            parts_P[mine[shows]] = PART_INDEX[tube.cloth.detail_part]
    return rgb_P3, parts_P


def _lighting(normals_P3: Floats, light: Light) -> Floats:
    """Brightness of a sun that reaches a little round the edge, and of a sky that is brighter above."""
    sun = np.clip((normals_P3 @ _unit(light.direction) + 0.15) / 1.15, 0, 1) * light.sun
    sky = light.sky * (0.72 + 0.28 * normals_P3[:, 1]) * (0.75 + 0.25 * np.clip(normals_P3[:, 2], 0, 1))
    return np.asarray(sun + sky, np.float32)


def _ambient_occlusion(depth_HW: Floats, covered_HW: NDArray[np.bool_]) -> Floats:
    """Darkening where nearer surfaces surround a pixel: under hems and chins, between the legs."""
    weights = covered_HW.astype(np.float32)
    radius = max(2.0, depth_HW.shape[0] / 45)
    around = cv2.GaussianBlur(depth_HW * weights, (0, 0), radius) / (cv2.GaussianBlur(weights, (0, 0), radius) + 1e-3)
    return np.asarray(np.clip(1 - 3.2 * np.clip(around - depth_HW - 0.005, 0, 0.2), 0.4, 1), np.float32)


def _unit(direction: tuple[float, float, float]) -> Floats:
    vector = np.asarray(direction, np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)
