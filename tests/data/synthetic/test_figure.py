"""Figures show their attributes: true colours, the right side, everything inside the canvas."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from personsearch.data.synthetic.attributes import Person, draw_person, true_lab
from personsearch.data.synthetic.figure import PART_INDEX, Figure, Light, View, draw_figure
from personsearch.data.synthetic.palette import DENIM, PALETTE, draw_colour, lab_to_linear
from personsearch.data.synthetic.skeleton import Pose, build_skeleton

STANDING = Pose(walking=False, phase=0.0, stride=0.4, lean=0.0, arms=("hang", "hang"))
DAYLIGHT = Light((0.3, 1.0, 0.8), sun=0.5, sky=0.62)


def plain_person(seed: int, **changes: object) -> Person:
    bare = {"bag": "none", "headwear": "none", "scarf_colour": "none", "umbrella_colour": "none", "handheld": "nothing"}
    clothes = {"gender": "man", "upper": "sweater", "sleeves": "long", "pattern": "plain", "open_front": False}
    person = draw_person(np.random.default_rng(seed))
    return replace(person, **bare, **clothes, lower="trousers", **changes)  # type: ignore[arg-type]


def draw(person: Person, *, yaw: float = 0.0) -> Figure:
    return draw_figure(person, STANDING, View(yaw, 0.2), DAYLIGHT, pixels_per_metre=70, phase=0.4)


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Lab of 8-bit sRGB pixels (..., 3)."""
    flat = rgb.reshape(1, -1, 3).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2LAB), np.float32).reshape(rgb.shape)


def nearest_name(lab: np.ndarray) -> str:
    """The palette's name whose centre is nearest."""
    return min(PALETTE, key=lambda name: math.dist(lab, PALETTE[name].lab))


def mean_light(person: Person, part: str) -> np.ndarray:
    figure = draw(person)
    return figure.rgb[(figure.parts == PART_INDEX[part]) & (figure.alpha > 0.95)].mean(axis=0)


@pytest.mark.parametrize("name", PALETTE)
@pytest.mark.parametrize("part", ["upper", "lower"])
def test_a_garment_is_drawn_in_the_colour_it_is_named_by(name: str, part: str) -> None:
    person = plain_person(3)
    key = f"{part}:{getattr(person, part + '_colour')}"
    drawn, white = (
        mean_light(replace(person, labs={**person.labs, key: lab}), part) for lab in (PALETTE[name].lab, (100, 0, 0))
    )
    # The same garment in white tells how much light falls on it, as a grey card does.
    measured = rgb_to_lab(((drawn / white) ** (1 / 2.2) * 255).clip(0, 255).astype(np.uint8)[None])[0]
    assert np.linalg.norm(measured - PALETTE[name].lab) < 8
    assert nearest_name(measured) == name


def test_colours_of_a_name_stay_near_its_centre() -> None:
    rng = np.random.default_rng(0)
    for name, colour in (PALETTE | {f"denim {key}": value for key, value in DENIM.items()}).items():
        offsets = np.array([np.subtract(draw_colour(colour, rng), colour.lab) for _ in range(200)])
        assert (np.abs(offsets) <= 2.001 * np.asarray(colour.spread)).all(), name
        assert offsets.std(axis=0).min() > 0.5, name


def test_linear_light_comes_back_as_the_same_lab() -> None:
    for colour in (PALETTE["red"], PALETTE["beige"], PALETTE["dark grey"]):
        srgb = (lab_to_linear(colour.lab) ** (1 / 2.2) * 255).round().astype(np.uint8)
        assert np.linalg.norm(rgb_to_lab(srgb[None])[0] - colour.lab) < 2.5


def pixels_of(figure: Figure, part: str) -> int:
    return int((figure.parts == PART_INDEX[part]).sum())


def test_a_backpack_is_seen_from_behind_and_hardly_from_the_front() -> None:
    person = replace(plain_person(5), bag="backpack")
    assert pixels_of(draw(person, yaw=np.pi), "bag") > 3 * pixels_of(draw(person, yaw=0.0), "bag") > 0


def test_the_shirt_under_an_open_jacket_is_seen_from_the_front_only() -> None:
    person = replace(plain_person(6), upper="jacket", open_front=True)
    assert pixels_of(draw(person), "inner") > 50
    assert pixels_of(draw(person, yaw=np.pi), "inner") == 0


def test_glasses_are_darker_and_larger_than_bare_eyes_and_not_seen_from_behind() -> None:
    bare, dark = (replace(plain_person(8), eyewear=eyewear, headwear="none") for eyewear in ("none", "sunglasses"))
    heads = [figure.rgb[: figure.rgb.shape[0] // 8] for figure in map(draw, (bare, dark))]
    assert heads[1].mean() < 0.97 * heads[0].mean()
    assert pixels_of(draw(dark), "eyewear") > 1.2 * pixels_of(draw(replace(dark, eyewear="glasses")), "eyewear") > 8
    assert pixels_of(draw(dark, yaw=np.pi), "eyewear") == 0


def test_the_light_comes_from_where_the_sun_is() -> None:
    person = plain_person(7)
    lit = [
        draw_figure(person, STANDING, View(0, 0.1), Light((side, 0.2, 0.2), 1.0, 0.2), pixels_per_metre=70, phase=0.4)
        for side in (-1.0, 1.0)
    ]
    half = lit[0].rgb.shape[1] // 2
    assert lit[0].rgb[:, :half].sum() > 1.2 * lit[0].rgb[:, half:].sum()
    assert lit[1].rgb[:, half:].sum() > 1.2 * lit[1].rgb[:, :half].sum()


def test_the_canvas_holds_the_whole_figure_and_its_feet() -> None:
    for seed in range(8):
        person = draw_person(np.random.default_rng(seed))
        figure = draw(person, yaw=float(seed))
        assert figure.alpha[0].max() < 0.5
        assert figure.alpha[-1].max() < 0.5
        assert figure.alpha[:, [0, -1]].max() < 0.5
        assert 0 <= figure.feet[0] < figure.alpha.shape[1]


@pytest.mark.parametrize("phase", np.linspace(0, 2 * np.pi, 9))
def test_a_walking_body_stays_on_the_ground_and_keeps_its_bones(phase: float) -> None:
    skeleton = build_skeleton(plain_person(1), Pose(True, phase, 0.45, 0.05, ("swing", "swing")))
    lowest = min(skeleton.left.toe[1], skeleton.right.toe[1])
    assert lowest == pytest.approx(0.035 * skeleton.scale, abs=1e-5)
    for side in (skeleton.left, skeleton.right):
        assert np.linalg.norm(side.hip - side.knee) == pytest.approx(0.42 * skeleton.scale, rel=1e-3)
        assert np.linalg.norm(side.knee - side.ankle) == pytest.approx(0.41 * skeleton.scale, rel=1e-3)


def test_true_lab_is_the_colour_of_the_part() -> None:
    person = plain_person(2)
    assert true_lab(person, "upper") == person.labs[f"upper:{person.upper_colour}"]
