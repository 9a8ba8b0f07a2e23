"""Places: outdoor and indoor backgrounds painted in perspective, in linear light."""

from functools import lru_cache

import cv2
import numpy as np

from personsearch.data.synthetic.palette import Floats, lab_to_linear

SCENE_SIZE = (432, 576)
"""Height and width in pixels of a painted scene."""
WALL_LABS = ((45, 18, 24), (70, 4, 14), (80, 0, 2), (35, 0, 0), (40, -16, 20), (60, 2, 8))


@lru_cache(maxsize=80)
def scene(seed: int, indoors: bool) -> Floats:
    """The scene of a seed, (432, 576, 3); cached and therefore read-only."""
    rng = np.random.default_rng([seed, 77])
    picture = paint_scene(rng, indoors=indoors)
    picture.flags.writeable = False
    return picture


def paint_scene(rng: np.random.Generator, *, indoors: bool) -> Floats:
    """Ground with its texture and markings, a wall behind it, things standing around."""
    height, width = SCENE_SIZE
    horizon = int(height * rng.uniform(0.0, 0.3))
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = _ground_colour(rng, indoors)
    for _ in range(int(rng.integers(0, 4))):
        _patch(picture, rng)
    picture *= mottle(SCENE_SIZE, rng, strength=0.16)[..., None]
    if rng.random() < 0.45:
        _paving(picture, horizon, rng)
    for _ in range(int(rng.integers(0, 5))):
        _marking(picture, rng)
    if horizon > 20:
        _wall(picture, horizon, rng, indoors=indoors)
    for _ in range(int(rng.integers(1, 7))):
        _thing(picture, horizon, rng)
    for _ in range(int(rng.integers(0, 3))):
        _soft_shadow(picture, rng)
    return picture


def paint_junction(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """The scene of a video: a paved path between lawns, a building behind, a car and a post beside the path."""
    height, width = size
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = lab_to_linear((rng.uniform(52, 62), 0, rng.uniform(-1, 3)))
    horizon = int(height * 0.17)
    lawn = [float(c) for c in lab_to_linear((rng.uniform(38, 46), -17, 27))]
    slope = float(rng.uniform(-0.06, 0.06)) * width
    far = np.array([[0, horizon], [width, horizon], [width, height * 0.27 + slope], [0, height * 0.27 - slope]])
    near = np.array([[0, height], [0, height * 0.6], [width * 0.3, height * 0.72], [width * 0.62, height]])
    for corners in (far, near):
        cv2.fillPoly(picture, [corners.astype(np.int32)], lawn, cv2.LINE_AA)
        cv2.polylines(picture, [corners.astype(np.int32)], True, (0.45, 0.44, 0.4), 3, cv2.LINE_AA)
    picture *= mottle(size, rng, strength=0.15)[..., None]
    cv2.line(
        picture, (int(width * 0.5), int(height * 0.45)), (width, int(height * 0.95)), (0.55, 0.45, 0.12), 2, cv2.LINE_AA
    )
    _wall(picture, horizon, rng, indoors=False, lab=(46, 18, 24))
    _car(picture, int(width * rng.uniform(0.6, 0.75)), horizon + 26, [0.7, 0.7, 0.68])
    cv2.rectangle(
        picture,
        (int(width * 0.55), int(height * 0.05)),
        (int(width * 0.55) + 6, int(height * 0.36)),
        (0.3, 0.32, 0.33),
        -1,
    )
    return picture


def mottle(size: tuple[int, int], rng: np.random.Generator, *, strength: float) -> Floats:
    """Brightness factors of several scales around 1."""
    height, width = size
    total = np.zeros(size, np.float32)
    for cell, share in ((60, 0.5), (14, 0.25), (4, 0.2), (1, 0.35)):
        noise = rng.standard_normal((height // cell + 2, width // cell + 2), np.float32)
        total += share * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(1 + strength * total, 0.3, 2), np.float32)


def _ground_colour(rng: np.random.Generator, indoors: bool) -> Floats:
    if not indoors and rng.random() < 0.22:
        return lab_to_linear((rng.uniform(35, 55), rng.uniform(-18, -7), rng.uniform(13, 29)))
    if rng.random() < 0.08:
        return lab_to_linear((rng.uniform(25, 80), rng.normal(2, 9), rng.normal(4, 11)))
    return lab_to_linear((rng.uniform(32, 82), rng.normal(0, 3), rng.normal(3, 6)))


def _patch(picture: Floats, rng: np.random.Generator) -> None:
    """A region of other ground: lawn, gravel, road."""
    height, width = picture.shape[:2]
    edge = rng.uniform(0, height, 2)
    down = rng.random() < 0.5
    far = height if down else 0
    corners = np.array(
        [[0, edge[0]], [width * 0.4, edge.mean() + rng.normal(0, 30)], [width, edge[1]], [width, far], [0, far]],
        np.int32,
    )
    cv2.fillPoly(picture, [corners], [float(c) for c in _ground_colour(rng, False)], cv2.LINE_AA)


def _paving(picture: Floats, horizon: int, rng: np.random.Generator) -> None:
    """Joints between slabs, converging towards the horizon."""
    height, width = picture.shape[:2]
    shade = float(rng.uniform(0.75, 0.95))
    joints = np.ones((height, width), np.float32)
    spacing, y = rng.uniform(7, 16), float(horizon)
    vanishing = (width * rng.uniform(-0.5, 1.5), horizon - rng.uniform(60, 300))
    while y < height:
        cv2.line(joints, (0, int(y)), (width, int(y + rng.normal(0, 2))), shade, 1, cv2.LINE_AA)
        spacing *= 1.06
        y += spacing
    for x in np.arange(-2 * width, 3 * width, rng.uniform(25, 60)):
        cv2.line(joints, (int(vanishing[0]), int(vanishing[1])), (int(x), height), shade, 1, cv2.LINE_AA)
    picture *= joints[..., None]


def _marking(picture: Floats, rng: np.random.Generator) -> None:
    """A painted line, a kerb, a crack, barrier tape."""
    height, width = picture.shape[:2]
    start = (int(rng.uniform(-50, width)), int(rng.uniform(0, height)))
    end = (int(rng.uniform(0, width + 50)), int(rng.uniform(0, height)))
    colours = ((0.8, 0.8, 0.78), (0.75, 0.6, 0.15), (0.05, 0.05, 0.05), (0.4, 0.4, 0.38), (0.6, 0.1, 0.1))
    colour = colours[int(rng.integers(len(colours)))]
    cv2.line(picture, start, end, colour, int(rng.integers(1, 6)), cv2.LINE_AA)


def _wall(
    picture: Floats,
    horizon: int,
    rng: np.random.Generator,
    *,
    indoors: bool,
    lab: tuple[int, int, int] | None = None,
) -> None:
    """What stands behind the ground: brick, plaster or glass with doors and windows, or a hedge."""
    width = picture.shape[1]
    lightness, a, b = lab or WALL_LABS[int(rng.integers(len(WALL_LABS)))]
    picture[:horizon] = lab_to_linear((lightness + rng.normal(0, 8), a, b))
    picture[:horizon] *= mottle((horizon, width), rng, strength=0.14)[..., None]
    if rng.random() < 0.5 and not indoors:
        picture[:horizon:4] *= 0.85
    x = 0.0
    while x < width:
        x += rng.uniform(20, 120)
        high, wide = int(horizon * rng.uniform(0.3, 0.9)), int(rng.uniform(15, 70))
        colour = lab_to_linear((rng.uniform(10, 85), rng.normal(0, 8), rng.normal(0, 12)))
        cv2.rectangle(
            picture,
            (int(x), horizon - high),
            (int(x) + wide, horizon - int(rng.uniform(0, high * 0.6))),
            [float(c) for c in colour],
            -1,
        )
        x += wide


def _thing(picture: Floats, horizon: int, rng: np.random.Generator) -> None:
    """A post, a sign, a cone, a bin, a car, a bush."""
    height, width = picture.shape[:2]
    x, y = int(rng.uniform(0, width)), int(rng.uniform(horizon * 0.8, height))
    colour = [float(c) for c in lab_to_linear((rng.uniform(8, 92), rng.normal(0, 22), rng.normal(4, 22)))]
    kind = int(rng.integers(5))
    if kind == 0:
        cv2.rectangle(picture, (x, y - int(rng.uniform(80, 300))), (x + int(rng.integers(2, 9)), y), colour, -1)
    elif kind == 1:
        cv2.rectangle(
            picture, (x, y - 60), (x + int(rng.uniform(15, 45)), y - 60 + int(rng.uniform(15, 50))), colour, -1
        )
    elif kind == 2:
        corners = np.array([[x, y], [x + 22, y], [x + 13, y - 34], [x + 9, y - 34]], np.int32)
        cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA)
    elif kind == 3:
        _car(picture, x, y, colour)
    else:
        cv2.ellipse(
            picture,
            (x, y),
            (int(rng.uniform(10, 60)), int(rng.uniform(8, 40))),
            0,
            0,
            360,
            (0.04, 0.09, 0.03),
            -1,
            cv2.LINE_AA,
        )


def _car(picture: Floats, x: int, y: int, colour: list[float]) -> None:
    cv2.rectangle(picture, (x, y - 38), (x + 150, y - 8), colour, -1)
    roof = np.array([[x + 25, y - 38], [x + 45, y - 64], [x + 110, y - 64], [x + 132, y - 38]], np.int32)
    cv2.fillPoly(picture, [roof], [0.03, 0.04, 0.05], cv2.LINE_AA)
    for wheel in (30, 120):
        cv2.circle(picture, (x + wheel, y - 8), 12, (0.02, 0.02, 0.02), -1, cv2.LINE_AA)


def _soft_shadow(picture: Floats, rng: np.random.Generator) -> None:
    """The shadow of something outside the picture."""
    height, width = picture.shape[:2]
    mask = np.ones((height // 4, width // 4), np.float32)
    corners = np.stack([rng.uniform(-40, width // 4 + 40, 4), rng.uniform(-40, height // 4 + 40, 4)], axis=1)
    cv2.fillPoly(mask, [corners.astype(np.int32)], float(rng.uniform(0.45, 0.8)))
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.8, 6)))
    picture *= cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
