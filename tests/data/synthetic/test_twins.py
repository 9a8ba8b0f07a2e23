"""Near twins: what they share and what tells them apart."""

import numpy as np
import pytest

from personsearch.data.synthetic.attributes import Person, draw_person
from personsearch.data.synthetic.twins import MOST_CHANGES, SHAPE_CHANGES, colour_twin, shape_twin

COLOURS = [f"{part}_colour" for part in ("upper", "lower", "shoes", "bag", "headwear", "hair", "scarf", "umbrella")]
TOGETHER = {
    "gender": {"gender", "hair_length", "hair_style", "beard", "upper", "sleeves", "pattern", "open_front", "lower"},
    "upper": {"upper", "sleeves", "pattern", "open_front"},
    "lower": {"lower", "upper", "sleeves", "pattern", "open_front"},
    "hair_length": {"hair_length", "hair_style"},
}
"""Attribute → those that may change with it."""


def pairs(count: int = 300) -> list[tuple[Person, Person]]:
    numbers = [np.random.default_rng(seed) for seed in range(count)]
    people = [draw_person(rng) for rng in numbers]
    return [(person, shape_twin(person, rng)) for person, rng in zip(people, numbers, strict=True)]


def different(first: Person, second: Person) -> set[str]:
    known, other = first.ground_truth(), second.ground_truth()
    return {key for key in known if known[key] != other[key]}


def test_a_colour_twin_differs_in_one_or_two_things_that_can_be_told() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        person = draw_person(rng)
        changed = different(person, colour_twin(person, rng)) - {"lower_colour" if person.lower == "dress" else ""}
        assert 1 <= len(changed) <= 2


def test_a_shape_twin_has_every_colour_of_the_first() -> None:
    for person, twin in pairs():
        changed = different(person, twin)
        assert changed
        assert not changed & set(COLOURS)
        shared = person.labs.keys() & twin.labs.keys()
        assert all(person.labs[key] == twin.labs[key] for key in shared)
        assert {key for key in person.labs if key.startswith("upper")} <= shared


def test_a_shape_twin_differs_in_at_most_three_things() -> None:
    for person, twin in pairs():
        left, reasons = different(person, twin), 0
        for reason in ("gender", "lower", "upper", "hair_length"):
            if reason in left:
                left -= TOGETHER[reason]
                reasons += 1
        assert reasons + len(left) <= MOST_CHANGES + 1  # a change of hair may keep its length


def test_every_kind_of_change_is_made() -> None:
    changed = set().union(*(different(person, twin) for person, twin in pairs()))
    assert {
        "gender", "hair_length", "bag", "headwear", "upper", "lower", "sleeves", "eyewear", "beard", "handheld",
    } <= changed  # fmt: skip
    assert len(SHAPE_CHANGES) == 10


@pytest.mark.parametrize("seed", range(40))
def test_a_twin_can_be_dressed(seed: int) -> None:
    """Nothing is worn that the cast does not have: no man in a dress, no hood without its garment."""
    rng = np.random.default_rng(seed)
    person = draw_person(rng)
    for _ in range(5):
        person = shape_twin(person, rng)
        if not person.female:
            assert person.lower not in {"dress", "skirt", "leggings"}
            assert person.upper not in {"dress", "blouse"}
        if person.headwear == "hood":
            assert person.upper in {"hoodie", "hooded jacket"}
        if person.lower == "dress":
            assert person.upper == "dress"
        assert not (person.beard and person.gender != "man")
