"""What is changed to what, and what becomes of an image's captions."""

import numpy as np
import pytest

from personsearch.augmentation.pdg.changes import LEAST_CONTRAST, captions_after, plan_changes
from personsearch.augmentation.pdg.colours import cloth_named, unlike
from personsearch.augmentation.pdg.garments import Part
from personsearch.augmentation.pdg.generator import Change

CLOTHES: frozenset[Part] = frozenset({"upper", "lower"})


def plans(*captions: str, seed: int = 0) -> list[tuple[str, Change]]:
    return list(plan_changes(captions, CLOTHES, np.random.default_rng(seed)))


def test_the_first_phrase_of_a_caption_changes_once() -> None:
    found = plans("white shoes, a red jacket and blue jeans", "blue jeans", "a red coat")
    assert [(change.part, change.old_colour) for _, change in found] == [("upper", "red"), ("lower", "blue")]
    assert found[0][1].caption == f"white shoes, a {found[0][1].new_colour} jacket and blue jeans".replace(
        " a o", " an o"
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_new_colour_is_unlike_all_that_is_said_of_that_part(seed: int) -> None:
    [(_, change)] = plans("a black jacket over a white shirt", seed=seed)
    for said in ("black", "white"):
        assert unlike(cloth_named(change.new_colour)[:1], cloth_named(said)) >= LEAST_CONTRAST


def test_the_same_seed_gives_the_same_change() -> None:
    assert plans("a red jacket", seed=3) == plans("a red jacket", seed=3)
    assert len({plans("a red jacket", seed=seed)[0][1].new_colour for seed in range(20)}) > 5


def test_nothing_is_planned_for_outfits_or_without_garments() -> None:
    assert plans("dressed all in black, a black jacket", "a man walking", "black shoes") == []


def test_captions_follow_or_fall() -> None:
    change = Change("upper", "jacket", "dark blue", ("dark blue",), "red", "a red jacket")
    captions = ["A navy coat and blue jeans", "blue jeans", "a white shirt", "dark blue clothes, a dark blue top"]
    assert captions_after(captions, change) == ["A red coat and blue jeans", None, None, None]
