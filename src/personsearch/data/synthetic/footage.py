"""The stage that renders a video of synthetic people walking through a scene, with its ground truth."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from personsearch.config import Config
from personsearch.data.synthetic.attributes import Person, draw_person
from personsearch.data.synthetic.camera import Camera, Picture, develop, draw_camera
from personsearch.data.synthetic.captions import Sight, write_captions
from personsearch.data.synthetic.figure import Figure, Light, View, draw_figure
from personsearch.data.synthetic.palette import Floats
from personsearch.data.synthetic.scene import paint_junction
from personsearch.data.synthetic.skeleton import Pose
from personsearch.data.synthetic.snapshot import cast_shadow, draw_pose, facing, paste, paste_parts, visible_parts
from personsearch.errors import UserError
from personsearch.files import replacing, write_json
from personsearch.progress import track

FRAME_SIZE = (576, 768)
"""Height and width of a frame."""
FAR, NEAR = (0.4, 48.0), (0.96, 82.0)
"""(share of the frame's height where feet stand, pixels per metre there) of the farthest and the nearest path."""
PITCH = 0.36
WALKING_SPEED = 1.3
STRIDE_METRES = 1.45


class FootageConfig(Config):
    """A rendered video: how many people walk through, and for how long."""

    people: int = Field(12, ge=1, le=500)
    """How many people walk through."""

    seconds: float = Field(40.0, gt=0, le=3600)
    """Length of the video in seconds."""

    frames_per_second: int = Field(10, ge=1, le=60)
    """Frame rate."""

    seed: int = 0
    """Another seed gives other people and other walks."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One person's path on the ground: x in pixels of the frame, depth 0 (far) to 1 (near); times in seconds."""

    number: int
    person: Person
    pose: Pose
    phase: float
    start_time: float
    start: tuple[float, float]
    heading: tuple[float, float]
    pause: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Presence:
    """A person in a frame: the drawn figure, its top left corner (x, y), where the feet stand (y), the body's yaw."""

    walk: Walk
    figure: Figure
    corner: tuple[int, int]
    ground: float
    yaw: float
    walking: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """The lit, empty scene (H, W, 3), its camera and its light."""

    canvas: Floats
    camera: Camera
    light: Light


@dataclass(frozen=True, slots=True)
class _Record:
    """What the video has shown so far: the boxes of each frame, and what could be seen of each person."""

    frames: list[list[dict[str, Any]]]
    seen: dict[int, Sight]


def footage(config: FootageConfig, path: Path) -> dict[str, float]:
    """Render `path` (an .avi) and, beside it, `<name>.json`: boxes and people by frame, their appearance and captions.

    Raises:
        UserError: the name does not end in .avi, or the video cannot be written.
    """
    if path.suffix.lower() != ".avi":
        raise UserError(f"{path}: a name that ends in .avi expected")
    rng = np.random.default_rng([config.seed, 6])
    walks = [draw_walk(config, number) for number in range(1, config.people + 1)]
    place, record = _find_place(rng), _Record([], {})
    with replacing(path) as temporary:
        video = temporary.with_name(f"{temporary.name}.avi")
        _write_video(video, _render(config, walks, place, record, rng), config)
        video.replace(temporary)
    write_json(path.with_suffix(".json"), _ground_truth(config, walks, record))
    boxes = sum(map(len, record.frames))
    return {"frames": len(record.frames), "people": len(record.seen), "boxes": boxes}


def _find_place(rng: np.random.Generator) -> _Place:
    """A steady camera over a junction in mild sun."""
    drawn = draw_camera("footage", rng)
    camera = replace(
        drawn, exposure=1.35, contrast=1.2, black_level=0.06, saturation=1.0, gamma=0.95, blur=0.5, noise=0.008, sun=0.4
    )
    direction = (float(rng.uniform(-0.8, 0.8)), 1.0, float(rng.uniform(0, 0.7)))
    light = Light(direction, camera.sun, 1 - 0.55 * camera.sun)
    return _Place(paint_junction(rng, FRAME_SIZE) * (light.sky + 0.55 * light.sun), camera, light)


def draw_walk(config: FootageConfig, number: int) -> Walk:
    """The path of one person: across the frame at some depth, drifting nearer or farther; a few pause."""
    rng = np.random.default_rng([config.seed, number, 7])
    person = replace(draw_person(rng), umbrella_colour="none")
    pose = replace(draw_pose(person, rng), walking=True, stride=float(rng.uniform(0.36, 0.46)), lean=0.05)
    rightwards = bool(rng.random() < 0.5)
    x = -60.0 if rightwards else FRAME_SIZE[1] + 60.0
    depth = float(rng.uniform(0.05, 0.95))
    across = (1.0 if rightwards else -1.0) * float(rng.uniform(0.75, 1.0))
    nearer = float(np.sign(0.5 - depth) * rng.uniform(0.1, 0.6))
    # The first are already on their way when the video starts; the last enter with time left to be seen.
    begin = (number - 1 + float(rng.uniform(0, 0.8))) / config.people * (config.seconds + 2) - 8
    pause = (float(begin + rng.uniform(3, 7)), float(rng.uniform(1, 3)) if rng.random() < 0.25 else 0.0)
    return Walk(number, person, pose, float(rng.random()), begin, (x, depth), (across, nearer), pause)


def presence(walk: Walk, time: float, light: Light) -> Presence | None:
    """The person at a time; None before they enter and after they leave."""
    elapsed = time - walk.start_time
    paused = min(max(0.0, time - walk.pause[0]), walk.pause[1])
    if elapsed < 0:
        return None
    metres = (elapsed - paused) * WALKING_SPEED
    depth = float(np.clip(walk.start[1] + walk.heading[1] * metres / 22, 0, 1))
    scale = FAR[1] + (NEAR[1] - FAR[1]) * depth
    x = walk.start[0] + walk.heading[0] * metres * scale
    if not -80 < x < FRAME_SIZE[1] + 80:
        return None
    walking = not 0 < paused < walk.pause[1]
    yaw = float(np.arctan2(walk.heading[0], walk.heading[1]))
    pose = replace(walk.pose, walking=walking, phase=(walk.phase + metres / STRIDE_METRES) * 2 * np.pi)
    figure = draw_figure(walk.person, pose, View(yaw, PITCH, 14.0), light, pixels_per_metre=scale, phase=walk.phase)
    ground = (FAR[0] + (NEAR[0] - FAR[0]) * depth) * FRAME_SIZE[0]
    return Presence(walk, figure, (round(x - figure.feet[0]), round(ground - figure.feet[1])), ground, yaw, walking)


def _render(
    config: FootageConfig, walks: list[Walk], place: _Place, record: _Record, rng: np.random.Generator
) -> Iterator[Picture]:
    """The frames one by one; `record` collects their boxes and what has been seen of each person."""
    for index in track(range(round(config.seconds * config.frames_per_second)), "footage"):
        time = index / config.frames_per_second
        present = [someone for walk in walks if (someone := presence(walk, time, place.light)) is not None]
        present.sort(key=lambda someone: someone.ground)
        canvas = place.canvas.copy()
        for someone in present:
            cast_shadow_at(canvas, someone, place.light)
            paste(canvas, someone.figure.rgb, someone.figure.alpha, someone.corner)
        record.frames.append(_boxes(present, record.seen))
        yield develop(canvas, place.camera, rng)


def cast_shadow_at(canvas: Floats, someone: Presence, light: Light) -> None:
    """Draw one person's shadow on the part of the canvas around them; blurring the whole would be slow."""
    height, width = someone.figure.alpha.shape
    x, y = someone.corner
    top, left = max(0, y - height // 4), max(0, x - height)
    area = canvas[top : max(top, y + height + height // 2), left : max(left, x + width + height)]
    if area.size:
        cast_shadow(area, someone.figure, (left - x, top - y), light)


def _boxes(present: list[Presence], seen: dict[int, Sight]) -> list[dict[str, Any]]:
    """Boxes (left, top, right, bottom) within the frame, nearest first, with what of each person is left visible."""
    taken = np.zeros(FRAME_SIZE, bool)
    boxes = []
    for someone in reversed(present):
        mask = np.zeros(FRAME_SIZE, np.float32)
        paste(mask[..., None], someone.figure.alpha[..., None], np.ones_like(someone.figure.alpha), someone.corner)
        covered = mask > 0.5
        if covered.sum() < 30:
            continue
        rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
        visible = float((covered & ~taken).sum() / max(1, (someone.figure.alpha > 0.5).sum()))
        box = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
        boxes.append(
            {
                "person": someone.walk.number,
                "box": box,
                "visible": round(visible, 3),
                "parts": sorted(_parts_left(someone, taken)),
                "facing": facing(someone.yaw),
            }
        )
        taken |= covered
        _remember(seen, someone)
    return boxes


def _parts_left(someone: Presence, taken: NDArray[np.bool_]) -> frozenset[str]:
    """The parts that can be made out where neither somebody nearer nor the frame's edge hides them."""
    parts = np.zeros(FRAME_SIZE, np.uint8)
    paste_parts(parts, someone.figure.parts, someone.corner)
    return visible_parts(parts[~taken], someone.figure.parts, someone.figure.parts.shape[0])


def _remember(seen: dict[int, Sight], someone: Presence) -> None:
    parts = visible_parts(someone.figure.parts, someone.figure.parts, someone.figure.parts.shape[0])
    before = seen.get(someone.walk.number)
    seen[someone.walk.number] = Sight(parts | (before.visible if before else frozenset()), facing(someone.yaw), True)


def _write_video(path: Path, pictures: Iterator[Picture], config: FootageConfig) -> None:
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), fourcc, config.frames_per_second, FRAME_SIZE[::-1])
    if not writer.isOpened():
        raise UserError(f"{path}: cannot be written as a Motion-JPEG video")
    try:
        for picture in pictures:
            writer.write(np.ascontiguousarray(picture[..., ::-1]))
    finally:
        writer.release()


def _ground_truth(config: FootageConfig, walks: list[Walk], record: _Record) -> dict[str, Any]:
    people = {}
    for walk in walks:
        if walk.number in record.seen:
            rng = np.random.default_rng([config.seed, walk.number, 8])
            captions = write_captions(walk.person, record.seen[walk.number], rng, count=4).captions
            people[str(walk.number)] = {"attributes": walk.person.ground_truth(), "captions": captions}
    return {
        "frames_per_second": config.frames_per_second,
        "size": list(FRAME_SIZE),
        "people": people,
        "frames": record.frames,
    }
