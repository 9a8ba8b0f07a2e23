"""A person seen by a camera: geometry, z-buffer, light; pixels with what each of them shows.

Shapes: N points of all tubes, P visible pixels, H × W the canvas.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.data.synthetic.attributes import Person
from personsearch.data.synthetic.body import hands, head_tubes
from personsearch.data.synthetic.cloth import creases, paint
from personsearch.data.synthetic.palette import Floats
from personsearch.data.synthetic.skeleton import Pose, build_skeleton
from personsearch.data.synthetic.surfaces import Points, Tube, sample
from personsearch.data.synthetic.wardrobe import carried_tubes, lower_tubes, scarf, shoe_tubes, upper_cloth, upper_tubes

PARTS = (
    "background", "skin", "hair", "beard", "eyewear", "headwear", "hood", "scarf", "upper", "inner", "pattern", "lower",
    "shoes", "bag", "handheld", "umbrella",
)  # fmt: skip
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
    tubes: list[Tube]
    owner_N: NDArray[np.int32]
    places_N3: Floats
    normals_N3: Floats
    along_N: Floats
    share_N: Floats
    angle_N: Floats


def draw_figure(
    person: Person, pose: Pose, view: View, light: Light, *, pixels_per_metre: float, phase: float
) -> Figure:
    """Draw one person. `phase` (a number of the identity) fixes folds, pattern offsets and the carrying side."""
    cloud = _point_cloud(dress(person, pose, phase), 0.8 / pixels_per_metre)
    screen_N3, normals_N3 = _project(cloud, view)
    low = screen_N3[:, :2].min(axis=0) - 4 / pixels_per_metre
    size = np.ceil((screen_N3[:, :2].max(axis=0) + 4 / pixels_per_metre - low) * pixels_per_metre).astype(int)
    width, height = int(size[0]), int(size[1])
    columns = ((screen_N3[:, 0] - low[0]) * pixels_per_metre).astype(np.int64)
    rows = height - 1 - ((screen_N3[:, 1] - low[1]) * pixels_per_metre).astype(np.int64)
    nearest_HW = _z_buffer(rows * width + columns, screen_N3[:, 2], normals_N3[:, 2] > -0.1, height * width)
    return _shade(
        cloud,
        normals_N3,
        screen_N3[:, 2],
        nearest_HW.reshape(height, width),
        light,
        (float(-low[0] * pixels_per_metre), float(height + low[1] * pixels_per_metre)),
    )


def dress(person: Person, pose: Pose, phase: float) -> list[Tube]:
    """All tubes of a person in a pose."""
    skeleton = build_skeleton(person, pose)
    hidden = (pose.arms[0] == "pocket", pose.arms[1] == "pocket")
    return [
        *lower_tubes(person, skeleton, phase),
        *shoe_tubes(person, skeleton),
        *upper_tubes(person, skeleton, upper_cloth(person, phase)),
        *hands(person, skeleton, phase, hidden=hidden),
        *head_tubes(person, skeleton, phase),
        *scarf(person, skeleton, phase),
        *carried_tubes(person, skeleton, phase),
    ]


def _point_cloud(tubes: list[Tube], spacing: float) -> _Cloud:
    samples: list[Points] = [sample(tube, spacing) for tube in tubes]
    counts = [len(points.along_N) for points in samples]
    return _Cloud(
        tubes,
        np.repeat(np.arange(len(tubes), dtype=np.int32), counts),
        np.concatenate([points.places_N3 for points in samples]),
        np.concatenate([points.normals_N3 for points in samples]),
        np.concatenate([points.along_N for points in samples]),
        np.concatenate([points.share_N for points in samples]),
        np.concatenate([points.angle_N for points in samples]),
    )


def _project(cloud: _Cloud, view: View) -> tuple[Floats, Floats]:
    """Screen coordinates (right, up, nearness in metres) of the points, and their normals in the same axes."""
    cos_y, sin_y, cos_p, sin_p = np.cos(view.yaw), np.sin(view.yaw), np.cos(view.pitch), np.sin(view.pitch)
    turn = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    tilt = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
    rotation = (tilt @ turn).astype(np.float32)
    screen_N3 = cloud.places_N3 @ rotation.T
    screen_N3[:, :2] *= (view.distance / (view.distance - screen_N3[:, 2]))[:, None]
    return screen_N3, cloud.normals_N3 @ rotation.T


def _z_buffer(
    pixels_N: NDArray[np.int64], nearness_N: Floats, facing_N: NDArray[np.bool_], num_pixels: int
) -> NDArray[np.int64]:
    """The index of the nearest facing point of each pixel, -1 where none is."""
    candidates = np.flatnonzero(facing_N)
    # Nearness in tenths of a millimetre above the index, so that one maximum finds the nearest point.
    keys = ((nearness_N[candidates] * 10_000 + 100_000).astype(np.int64) << 24) | candidates
    best = np.full(num_pixels, -1, np.int64)
    np.maximum.at(best, pixels_N[candidates], keys)
    return np.where(best >= 0, best & 0xFFFFFF, -1)


def _shade(
    cloud: _Cloud,
    normals_N3: Floats,
    nearness_N: Floats,
    nearest_HW: NDArray[np.int64],
    light: Light,
    feet: tuple[float, float],
) -> Figure:
    covered_HW = nearest_HW >= 0
    chosen_P = nearest_HW[covered_HW]
    rgb_P3, parts_P = _albedo(cloud, chosen_P)
    depth_HW = np.zeros(nearest_HW.shape, np.float32)
    depth_HW[covered_HW] = nearness_N[chosen_P]
    shading_P = _lighting(cloud, chosen_P, normals_N3, light) * _ambient_occlusion(depth_HW, covered_HW)[covered_HW]
    gloss_P = np.array([tube.cloth.gloss for tube in cloud.tubes], np.float32)[cloud.owner_N[chosen_P]]
    highlight_P = gloss_P * np.clip(normals_N3[chosen_P] @ _unit(light.direction), 0, 1) ** 12 * 0.25 * light.sun
    rgb_HW3 = np.zeros((*nearest_HW.shape, 3), np.float32)
    rgb_HW3[covered_HW] = rgb_P3 * shading_P[:, None] + highlight_P[:, None]
    parts_HW = np.zeros(nearest_HW.shape, np.uint8)
    parts_HW[covered_HW] = parts_P
    return Figure(rgb_HW3, covered_HW.astype(np.float32), parts_HW, feet)


def _albedo(cloud: _Cloud, chosen_P: NDArray[np.int64]) -> tuple[Floats, NDArray[np.uint8]]:
    owner_P = cloud.owner_N[chosen_P]
    rgb_P3 = np.zeros((len(chosen_P), 3), np.float32)
    parts_P = np.zeros(len(chosen_P), np.uint8)
    for index, tube in enumerate(cloud.tubes):
        mine = np.flatnonzero(owner_P == index)
        if not len(mine):
            continue
        points = chosen_P[mine]
        along, angle = cloud.along_N[points], cloud.angle_N[points]
        rgb, shows = paint(tube.cloth, along, cloud.share_N[points], angle)
        rgb_P3[mine] = rgb * creases(tube.cloth, along, angle)[:, None]
        parts_P[mine] = PART_INDEX[tube.part]
        if tube.cloth.detail_part:
            parts_P[mine[shows]] = PART_INDEX[tube.cloth.detail_part]
    return rgb_P3, parts_P


def _lighting(cloud: _Cloud, chosen_P: NDArray[np.int64], normals_N3: Floats, light: Light) -> Floats:
    normals = normals_N3[chosen_P]
    sun = np.clip((normals @ _unit(light.direction) + 0.15) / 1.15, 0, 1) * light.sun
    sky = light.sky * (0.72 + 0.28 * normals[:, 1]) * (0.75 + 0.25 * np.clip(normals[:, 2], 0, 1))
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
