"""The garment that is found, what its new colour looks like, and what is refused."""

import contextlib

import numpy as np
import pytest

from personsearch.augmentation.pdg.colours import agreement, cloth_named, to_oklab
from personsearch.augmentation.pdg.consistency import colour_doubt
from personsearch.augmentation.pdg.generator import Change, GenerationRefused
from personsearch.augmentation.pdg.recolour import Recolour, repaint
from personsearch.augmentation.pdg.region import PLACES, brightening, find_region, weights_of, where_worn

from .pedestrian import NAVY, RED, draw, upper_mask


def change(old: str = "red", new: str = "blue", garment: str = "jacket", part: str = "upper") -> Change:
    return Change(part, garment, old, cloth_named(old), new, f"a {new} {garment}")  # type: ignore[arg-type]


def overlap(one: np.ndarray, other: np.ndarray) -> float:  # type: ignore[type-arg]
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize(("colour", "word"), [(RED, "red"), ((225, 225, 222), "white"), ((28, 28, 32), "black")])
def test_the_garment_is_found_by_its_colour(colour: tuple[int, int, int], word: str) -> None:
    region = find_region(draw(colour), PLACES["upper"], cloth_named(word))
    assert overlap(region, upper_mask()) > 0.85


def test_the_region_does_not_depend_on_the_size_of_the_picture() -> None:
    large = np.repeat(np.repeat(draw(), 2, axis=0), 2, axis=1)
    region = find_region(large, PLACES["upper"], cloth_named("red"))
    assert region.shape == (320, 160)
    assert overlap(region[::2, ::2], upper_mask()) > 0.85


def test_a_colour_that_is_not_there_is_refused() -> None:
    with pytest.raises(GenerationRefused, match="colour-not-found"):
        find_region(draw(), PLACES["upper"], cloth_named("yellow"))


def test_a_speck_of_the_colour_is_refused() -> None:
    picture = draw(NAVY)
    picture[50:56, 38:44] = (230, 205, 60)
    with pytest.raises(GenerationRefused, match="region-too-small"):
        find_region(picture, PLACES["upper"], cloth_named("yellow"))


def test_a_picture_of_one_colour_is_refused() -> None:
    with pytest.raises(GenerationRefused):
        find_region(np.full((64, 32, 3), RED, np.uint8), PLACES["upper"], cloth_named("red"))


@pytest.mark.parametrize("size", [(8, 8), (9, 40), (300, 20)])
def test_any_size_is_made_or_refused(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    with contextlib.suppress(GenerationRefused):
        assert Recolour().generate(picture, "", change()).shape == (*size, 3)


def test_a_coat_may_be_longer_than_a_jacket() -> None:
    coat, jacket = (weights_of(where_worn("upper", word), 100, 50) for word in ("coat", "jacket"))
    assert coat[68, 25] > 0.5 > jacket[68, 25]


@pytest.mark.parametrize("new", ["blue", "white", "black", "yellow", "pink"])
def test_the_new_colour_is_seen_and_nothing_else_changes(new: str) -> None:
    before = draw()
    after = Recolour().generate(before, "a red jacket", change(new=new))
    jacket = to_oklab(after)[40:75, 32:48].mean(axis=(0, 1)) * brightening(to_oklab(before))
    assert agreement(jacket, cloth_named(new)) > 0.3
    far = np.ones(before.shape[:2], bool)
    far[24:86, 20:60] = False
    assert np.abs(after[far].astype(int) - before[far]).max() <= 1
    assert colour_doubt(before, after, change(new=new)) is None


def test_shading_stays() -> None:
    """Lit from the left, the jacket stays lighter on the left in every colour."""
    for new in ("blue", "grey", "white"):
        after = to_oklab(repaint(draw(), upper_mask(), new))[40:75, :, 0]
        assert after[:, 30:36].mean() > after[:, 44:50].mean() + 0.02


def test_no_rim_of_the_old_colour_stays() -> None:
    after = to_oklab(repaint(draw(), upper_mask(), "blue"))
    around = after[34:70, 18:62]
    assert around[..., 1].max() < 0.07  # a: red is .16


def test_an_unchanged_picture_is_doubted() -> None:
    picture = draw()
    assert colour_doubt(picture, picture, change()) == "nothing-changed"


def test_a_change_elsewhere_is_doubted() -> None:
    picture = draw()
    edited = picture.copy()
    edited[120:, :] = (40, 80, 180)
    assert colour_doubt(picture, edited, change()) == "changed-elsewhere"


def test_another_colour_than_said_is_doubted() -> None:
    picture = draw()
    edited = repaint(picture, upper_mask(), "green")
    assert colour_doubt(picture, edited, change(new="green")) is None
    assert colour_doubt(picture, edited, change(new="yellow")) == "colour-unconfirmed"
