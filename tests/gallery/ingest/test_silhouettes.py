"""Scene, foreground and the people who explain it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from personsearch.gallery.ingest import silhouettes
from personsearch.gallery.ingest.background import RollingBackground, foreground, surely
from personsearch.gallery.ingest.boxes import NO_BOXES
from personsearch.gallery.ingest.heights import HeightModel, fit_heights
from personsearch.gallery.ingest.scoring import agreement
from personsearch.gallery.ingest.silhouettes import explain
from personsearch.gallery.ingest.video import read_info

from .clips import Walker, draw, scene, write_clip

RED, BLUE = (30, 30, 180), (160, 60, 20)
EIGHTY = HeightModel(slope=0.0, intercept=80.0, lowest=40.0)


def boxes(walkers: list[Walker], index: int = 0) -> np.ndarray:
    return np.array([walker.box_at(index) for walker in walkers])


@pytest.mark.parametrize("distance", [22, 26, 34, 60])
def test_people_who_touch_are_told_apart(distance: int) -> None:
    walkers = [Walker(RED, 100, 0), Walker(BLUE, 100 + distance, 0)]
    mask = foreground(draw(0, walkers), scene(), threshold=22)
    found = explain(mask, EIGHTY, NO_BOXES)
    assert agreement(boxes(walkers), found, least_overlap=0.5).right == 2
    assert len(found) == 2


def test_a_person_in_front_does_not_hide_the_one_behind() -> None:
    walkers = [Walker(RED, 100, 0, foot=170), Walker(BLUE, 112, 0, foot=210)]
    found = explain(foreground(draw(0, walkers), scene(), threshold=22), EIGHTY, NO_BOXES)
    assert agreement(boxes(walkers), found).right == 2


def test_an_empty_scene_holds_nobody() -> None:
    assert len(explain(foreground(draw(0, []), scene(), threshold=22), EIGHTY, NO_BOXES)) == 0
    assert len(explain(np.zeros((240, 320), np.float32), None, NO_BOXES)) == 0


def test_light_that_changes_everywhere_is_no_foreground() -> None:
    brighter = cv2.convertScaleAbs(draw(0, []), alpha=1.25)
    assert foreground(brighter, scene(), threshold=22).mean() < 0.001


def test_a_cast_shadow_is_no_foreground() -> None:
    pixels = scene()
    pixels[100:180, 100:140] = (pixels[100:180, 100:140] * 0.7).astype(np.uint8)
    evidence = foreground(pixels, scene(), threshold=22)
    assert surely(evidence).mean() < 0.001
    assert len(explain(evidence, EIGHTY, NO_BOXES)) == 0


def test_a_coat_in_the_colour_of_a_shadow_does_not_cut_its_wearer() -> None:
    """Legs and head differ from the grey ground for sure; the coat might be a shadow."""
    walker = Walker((105, 105, 105), 160, 0)
    found = explain(foreground(draw(0, [walker]), scene(), threshold=22), EIGHTY, NO_BOXES)
    assert agreement(boxes([walker]), found, least_overlap=0.6).right == 1


@pytest.mark.parametrize(("size_power", "first_top"), [(0.0, 40.0), (0.5, 10.0)])
def test_size_makes_up_for_the_purity_of_a_torso(size_power: float, first_top: float) -> None:
    mask = np.zeros((120, 60), np.float32)
    mask[10:110, 10:50] = 0.9
    mask[40:90, 10:50] = 1.0
    whole, torso = [11.0, 10, 49, 110], [20.0, 40, 39, 90]
    chosen = silhouettes._choose(mask, np.array([torso, whole]), np.zeros(2), size_power=size_power)
    assert chosen[0, 1] == first_top


def test_flicker_lower_than_people_holds_nobody() -> None:
    flicker = np.zeros((240, 320), np.float32)
    for left in range(4, 316, 12):
        for top in range(4, 220, 20):
            flicker[top : top + 14, left : left + 6] = 1
    assert len(explain(flicker, None, NO_BOXES, least_height=28)) == 0


def test_candidates_are_bounded() -> None:
    clutter = (np.random.default_rng(0).random((60, 80)) > 0.5).astype(np.float32)
    evidence = cv2.resize(clutter, (640, 480), interpolation=cv2.INTER_NEAREST)
    expected = np.repeat([[100.0, 100, 140, 200]], 2000, axis=0)
    likely = silhouettes._most_promising(evidence, expected, np.zeros(2000), least_height=28)
    assert len(likely) == silhouettes.MOST_CANDIDATES


def test_who_stands_for_most_of_the_clip_is_no_part_of_the_scene(tmp_path: Path) -> None:
    standing = Walker(RED, 160, 0, first=10, last=46)
    clip = write_clip(tmp_path / "clip.avi", [standing], frames=60)
    background = RollingBackground(clip, read_info(clip), samples=60, sample_seconds=2.0, scale=1.0, threshold=22.0)
    scene_without = background.at(0)
    empty, occupied = (foreground(draw(n, [standing]), scene_without, threshold=22) for n in (4, 30))
    assert len(explain(empty, EIGHTY, NO_BOXES)) == 0
    assert agreement(boxes([standing]), explain(occupied, EIGHTY, NO_BOXES), least_overlap=0.6).right == 1


def test_who_stands_for_a_third_of_the_clip_stays_in_the_foreground(tmp_path: Path) -> None:
    standing = Walker(RED, 160, 0, first=20, last=40)
    clip = write_clip(tmp_path / "clip.avi", [standing], frames=60)
    background = RollingBackground(clip, read_info(clip), samples=16, sample_seconds=2.0, scale=1.0, threshold=22.0)
    mask = foreground(draw(38, [standing]), background.at(38), threshold=22)
    assert agreement(boxes([standing]), explain(mask, EIGHTY, NO_BOXES), least_overlap=0.6).right == 1


def test_heights_follow_a_line_in_spite_of_outliers() -> None:
    feet = np.linspace(100, 500, 40)
    people = np.stack([feet, feet - (0.2 * feet + 20), feet + 20, feet], axis=1)
    people[::8, 1] -= 70
    model = fit_heights(people)
    assert model is not None
    assert model.at_foot(300) == pytest.approx(80, abs=2)
    assert model.at_head(300 - 80) == pytest.approx(80, abs=2)


def test_too_few_people_say_nothing_about_heights() -> None:
    assert fit_heights(np.array([[0.0, 0, 10, 30]])) is None
