"""One image of one person as a detector would cut it from a camera's frame.

Shapes: H × W the canvas in drawing pixels.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.layout import LAYOUT_GRID, PARTS, write_layout
from personsearch.data.synthetic.attributes import Person, draw_person
from personsearch.data.synthetic.camera import Camera, develop, encode, for_one_shot
from personsearch.data.synthetic.captions import Facing, Sight
from personsearch.data.synthetic.figure import PART_INDEX, Figure, Light, View, draw_figure
from personsearch.data.synthetic.palette import Floats, lab_to_linear
from personsearch.data.synthetic.scene import mottle, scene
from personsearch.data.synthetic.skeleton import Pose

PIXELS_PER_METRE = 92.0
NUM_BYSTANDERS = 40
NUM_SCENES = 40
PART_WEIGHTS = {
    "background": 1.0,
    "upper": 1.0,
    "lower": 1.0,
    "beard": 5.0,
    "eyewear": 12.0,
    "hi-vis": 1.0,
    "vehicle": 2.0,
}
SMALL_PART_WEIGHT = 3.0
"""Of all other parts. A cell shows the part that covers most of it, by weight."""
MINIMUM_SHARE = {
    "upper": 0.03, "lower": 0.03, "inner": 0.008, "pattern": 0.006, "hair": 0.008, "headwear": 0.008, "bag": 0.012,
    "shoes": 0.006, "eyewear": 0.003, "beard": 0.003, "handheld": 0.004, "umbrella": 0.03, "scarf": 0.006,
    "hood": 0.01, "tie": 0.003, "hi-vis": 0.02, "vehicle": 0.04,
}  # fmt: skip
"""The share of a whole figure's pixels from which a part can be made out."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An image and what it shows."""

    jpeg: bytes
    sight: Sight
    layout: str


def draw_pose(person: Person, rng: np.random.Generator) -> Pose:
    """A random moment of walking or standing that fits what the hands carry."""
    weights = {"swing": 0.56, "hang": 0.14, "pocket": 0.14, "hold": 0.16}
    arms = [str(rng.choice(list(weights), p=list(weights.values()))) for _ in range(2)]
    if person.handheld == "phone":
        arms[0] = "phone" if rng.random() < 0.6 else "hold"
    if person.handheld == "bottle":
        arms[0] = "hold"
    if person.handheld in ("paper", "folder"):
        arms[1] = "hold" if rng.random() < 0.7 else "hang"
    if person.bag in ("handbag", "plastic bag", "briefcase", "suitcase"):
        arms = [arm if arm in ("phone",) else "hang" for arm in arms]
    if person.umbrella_colour != "none":
        arms[1] = "hold"
    if person.vehicle != "none":
        arms = _pushing_arms(person, arms)
    riding = person.vehicle == "ridden bicycle"
    walking = bool(rng.random() < 0.72)
    return Pose(
        walking and not riding,
        float(rng.uniform(0, 2 * np.pi)),
        float(rng.uniform(0.25, 0.52)),
        float(rng.uniform(-0.03, 0.14)),
        (arms[0], arms[1]),
        riding,
    )


def _pushing_arms(person: Person, arms: list[str]) -> list[str]:
    return ["push", "push"] if person.vehicle != "bicycle" else ["push", arms[1] if arms[1] != "pocket" else "hang"]


def draw_light(camera: Camera, rng: np.random.Generator) -> Light:
    """The camera's sun from a random side, with the sky balancing it."""
    sun = camera.sun * float(rng.uniform(0.7, 1.2))
    direction = (float(rng.uniform(-1, 1)), float(rng.uniform(0.5, 1.4)), float(rng.uniform(-0.2, 1)))
    return Light(direction, sun, 1.0 - 0.55 * min(sun, 1.0))


def take_snapshot(person: Person, phase: float, camera: Camera, rng: np.random.Generator) -> Snapshot:
    """Draw, place, occlude, crop, photograph and encode one image."""
    yaw = float(rng.uniform(-np.pi, np.pi))
    pose, light = draw_pose(person, rng), draw_light(camera, rng)
    view = View(yaw, float(np.clip(camera.pitch + rng.normal(0, 0.06), 0, 0.7)), float(rng.uniform(5, 14)))
    person_height = float(rng.uniform(*camera.person_height))
    pixels_per_metre = float(np.clip(0.75 * person_height, 52, 100))
    figure = draw_figure(person, pose, view, light, pixels_per_metre=pixels_per_metre, phase=phase)
    box = jittered_box(figure, rng)
    canvas, parts = compose(figure, box, camera, light, rng)
    height = int(person_height * (box[3] - box[1]) / figure.alpha.shape[0])
    width = max(12, round(height * (box[2] - box[0]) / (box[3] - box[1])))
    small = cv2.resize(canvas, (width, max(28, height)), interpolation=cv2.INTER_AREA)
    visible = visible_parts(parts, figure.parts, height)
    jpeg = encode(develop(small, for_one_shot(camera, rng), rng), camera, rng)
    return Snapshot(jpeg, Sight(visible, facing(yaw), pose.walking, pose.riding), part_layout(parts))


def part_layout(parts_HW: NDArray[np.uint8]) -> str:
    """Which part each cell of the image shows; a small one outweighs the garment or the ground around it."""
    rows, columns = LAYOUT_GRID
    shares = [
        cv2.resize((parts_HW == index).astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        * PART_WEIGHTS.get(part, SMALL_PART_WEIGHT)
        for index, part in enumerate(PARTS)
    ]
    return write_layout(np.argmax(shares, axis=0))


def facing(yaw: float) -> Facing:
    """The side of the body that the camera sees most of; left and right are the image's."""
    turn = (yaw + np.pi) % (2 * np.pi) - np.pi
    if abs(turn) < 0.9:
        return "front"
    if abs(turn) > np.pi - 0.9:
        return "back"
    return "right" if turn > 0 else "left"


def jittered_box(figure: Figure, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in the figure's pixels, as detectors cut: loose, tight, off centre, about 1:2."""
    height, width = figure.alpha.shape
    middle = width / 2
    if (figure.parts == PART_INDEX["vehicle"]).any():
        width, middle = _width_with_vehicle(figure, rng)
    margin_top, margin_bottom = rng.normal(0.06, 0.07, 2) * height
    if rng.random() < 0.12:
        margin_bottom = -rng.uniform(0.05, 0.4) * height
    top, bottom = -margin_top, height + margin_bottom
    aspect = rng.uniform(0.34, 0.6)
    half = max(0.5 * (bottom - top) * aspect, 0.4 * min(width, 0.6 * height))
    centre = middle + rng.normal(0, 0.045) * height
    return int(centre - half), int(top), int(centre + half), int(bottom)


def _width_with_vehicle(figure: Figure, rng: np.random.Generator) -> tuple[float, float]:
    """Width and middle of what a detector boxes of a person with a vehicle: anything from the person to all of it."""
    columns = np.flatnonzero(((figure.parts > 0) & (figure.parts != PART_INDEX["vehicle"])).any(axis=0))
    share, right = rng.uniform(0.35, 1.0), figure.alpha.shape[1]
    start, end = columns[0] * (1 - share), columns[-1] * (1 - share) + right * share
    return float(end - start), float(start + end) / 2


def compose(
    figure: Figure, box: tuple[int, int, int, int], camera: Camera, light: Light, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.uint8]]:
    """The box's content in linear light, and the part that each of its pixels shows."""
    left, top, right, bottom = box
    canvas = background(bottom - top, right - left, camera, rng) * (light.sky + 0.55 * light.sun)
    if rng.random() < 0.22:
        _add_bystander(canvas, light, rng)
    cast_shadow(canvas, figure, (left, top), light)
    parts = np.zeros(canvas.shape[:2], np.uint8)
    paste(canvas, figure.rgb, figure.alpha, (-left, -top))
    paste_parts(parts, figure.parts, (-left, -top))
    if rng.random() < 0.16:
        _occlude(canvas, parts, rng)
    return canvas, parts


def background(height: int, width: int, camera: Camera, rng: np.random.Generator) -> Floats:
    """A piece of one of the scenes at a random scale; sometimes a plain, mottled surface."""
    if rng.random() < 0.06:
        plain = lab_to_linear((rng.uniform(15, 90), rng.normal(0, 15), rng.normal(0, 15)))
        return np.asarray(
            mottle((height, width), rng, strength=float(rng.uniform(0, 0.5)))[..., None] * plain, np.float32
        )
    whole = scene(int(rng.integers(NUM_SCENES)), camera.indoors)
    scale = float(rng.uniform(0.7, 1.7))
    cut = (min(whole.shape[0], int(height / scale)), min(whole.shape[1], int(width / scale)))
    y, x = int(rng.integers(whole.shape[0] - cut[0] + 1)), int(rng.integers(whole.shape[1] - cut[1] + 1))
    piece = cv2.resize(whole[y : y + cut[0], x : x + cut[1]], (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(piece[:, ::-1] if rng.random() < 0.5 else piece, np.float32).copy()


def cast_shadow(canvas: Floats, figure: Figure, corner: tuple[int, int], light: Light) -> None:
    """Darken the ground under the feet, and along the silhouette's shadow when the sun shines."""
    height, width = canvas.shape[:2]
    feet_x, feet_y = figure.feet[0] - corner[0], figure.feet[1] - corner[1]
    contact = np.zeros((height, width), np.float32)
    reach = figure.alpha.shape[0]
    cv2.ellipse(contact, (int(feet_x), int(feet_y)), (int(reach * 0.13), int(reach * 0.035)), 0, 0, 360, 0.5, -1)
    contact = cv2.GaussianBlur(contact, (0, 0), reach * 0.02)
    if light.sun > 0.3:
        slant, squash = -1.2 * light.direction[0], 0.35 * (1 if light.direction[2] < 0.4 else -0.7)
        shear = np.array([[1, -slant * 0.7, 0], [0, squash, 0]], np.float32)
        shear[:, 2] = np.array([feet_x, feet_y]) - shear[:, :2] @ np.array(figure.feet)
        shadow = cv2.warpAffine(figure.alpha, shear, (width, height))
        contact = np.maximum(contact, cv2.GaussianBlur(shadow, (0, 0), 1.2) * min(0.75, light.sun * 0.8))
    canvas *= 1 - contact[..., None]


def paste(canvas: Floats, rgb: Floats, alpha: Floats, at: tuple[int, int]) -> None:
    """Draw a cut-out over the canvas with its top left corner at (x, y); what lies outside is dropped."""
    target, source = _overlap(canvas.shape[:2], alpha.shape, at)
    weight = alpha[source][..., None]
    canvas[target] = canvas[target] * (1 - weight) + rgb[source] * weight


def _overlap(
    canvas: tuple[int, ...], cut_out: tuple[int, ...], at: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    target, source = [], []
    for start, room, length in ((at[1], canvas[0], cut_out[0]), (at[0], canvas[1], cut_out[1])):
        first, last = max(0, start), max(0, min(room, start + length))
        first = min(first, last)
        target.append(slice(first, last))
        source.append(slice(max(0, first - start), max(0, last - start)))
    return (target[0], target[1]), (source[0], source[1])


def paste_parts(parts: NDArray[np.uint8], figure_parts: NDArray[np.uint8], at: tuple[int, int]) -> None:
    """Enter a figure's parts over those of the canvas, its top left corner at (x, y)."""
    target, source = _overlap(parts.shape, figure_parts.shape, at)
    parts[target] = np.where(figure_parts[source] > 0, figure_parts[source], parts[target])


@lru_cache(maxsize=NUM_BYSTANDERS)
def bystander(index: int) -> Figure:
    """One of a fixed cast of other people for backgrounds and occlusion."""
    rng = np.random.default_rng([index, 4242])
    person = draw_person(rng)
    view = View(float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(0.05, 0.4)))
    return draw_figure(
        person,
        draw_pose(person, rng),
        view,
        Light((0.4, 1.0, 0.6), 0.4, 0.75),
        pixels_per_metre=PIXELS_PER_METRE,
        phase=float(rng.random()),
    )


def _add_bystander(canvas: Floats, light: Light, rng: np.random.Generator) -> None:
    """Another person behind, partly in the image."""
    other = bystander(int(rng.integers(NUM_BYSTANDERS)))
    height, width = canvas.shape[:2]
    scale = float(rng.uniform(0.55, 1.0))
    size = (max(2, int(other.alpha.shape[1] * scale)), max(2, int(other.alpha.shape[0] * scale)))
    rgb, alpha = (
        cv2.resize(other.rgb, size, interpolation=cv2.INTER_AREA),
        cv2.resize(other.alpha, size, interpolation=cv2.INTER_AREA),
    )
    side = -1 if rng.random() < 0.5 else 1
    x = int(width / 2 + side * rng.uniform(0.4, 0.75) * width - size[0] / 2)
    paste(canvas, rgb, alpha, (x, int(rng.uniform(-0.1, 0.25) * height)))


def _occlude(canvas: Floats, parts: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Something in front: a post, a low thing, or a person at the edge."""
    height, width = canvas.shape[:2]
    kind = rng.random()
    if kind < 0.3:
        other = bystander(int(rng.integers(NUM_BYSTANDERS)))
        offset = (
            (width * rng.uniform(0.68, 0.9))
            if rng.random() < 0.5
            else width * rng.uniform(-0.1, 0.2) - other.alpha.shape[1] * 0.6
        )
        at = (int(offset), int(rng.uniform(-0.02, 0.3) * height))
        paste(canvas, other.rgb, other.alpha, at)
        target, source = _overlap(parts.shape, other.alpha.shape, at)
        parts[target][other.alpha[source] > 0.5] = 0
        return
    if kind < 0.65:
        x, wide = int(rng.uniform(0, width)), max(1, int(rng.uniform(0.04, 0.16) * width))
        area = (slice(None), slice(x, x + wide))
    else:
        area = (slice(int(height * rng.uniform(0.62, 0.95)), None), slice(None))
    colour = lab_to_linear((rng.uniform(15, 90), rng.normal(0, 15), rng.normal(3, 15)))
    canvas[area] = colour * mottle(canvas[area].shape[:2], rng, strength=0.15)[..., None]
    parts[area] = 0


def visible_parts(parts_HW: NDArray[np.uint8], whole_HW: NDArray[np.uint8], height: int) -> frozenset[str]:
    """The parts that can be made out. In a small image small things cannot, and a caption must not mention them."""
    counts = np.bincount(parts_HW.ravel(), minlength=len(PARTS))
    whole = max(1, int((whole_HW > 0).sum()))
    blur = max(1.0, 80 / max(height, 1))
    return frozenset(part for part, share in MINIMUM_SHARE.items() if counts[PART_INDEX[part]] >= share * blur * whole)
