"""Near twins: people who look alike except for a few things that a description can tell apart.

Colours alone tell a few hundred strangers apart. A model learns shapes only among people who share every colour.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from personsearch.data.synthetic.attributes import (
    BAGS,
    DENIM_COLOURS,
    HANDHELD,
    LOWER_COLOURS,
    LOWER_TYPES,
    SHOE_COLOURS,
    UPPER_TYPES,
    WOMEN_LOWER_TYPES,
    WOMEN_UPPER_TYPES,
    Person,
    draw_hair,
    draw_pattern,
    draw_sleeves,
    other_colour,
    weighted,
    with_colours,
)

Changes = dict[str, Any]
MOST_CHANGES = 3
HEADWEAR = {"none": 4, "cap": 3, "beanie": 2, "hat": 3}
SLEEVES = {"long": 3, "short": 3, "none": 1}
CHANGEABLE_SLEEVES = ("t-shirt", "shirt", "polo shirt", "blouse", "dress")


def colour_twin(person: Person, rng: np.random.Generator) -> Person:
    """The same person, except for one or two attributes, half of them colours."""
    changes: Changes = {}
    for _ in range(int(rng.integers(1, 3))):
        changes |= _one_change(person, rng)
    return with_colours(replace(person, **changes), rng)


def shape_twin(person: Person, rng: np.random.Generator) -> Person:
    """The same person in the same colours, except for one to three other things."""
    wanted = int(rng.integers(1, MOST_CHANGES + 1))
    twin, changed = person, 0
    for index in rng.permutation(len(SHAPE_CHANGES)):
        changes = SHAPE_CHANGES[int(index)](twin, rng)
        if changes:
            twin, changed = replace(twin, **changes), changed + 1
        if changed == wanted:
            break
    return with_colours(twin, rng)


def _one_change(person: Person, rng: np.random.Generator) -> Changes:
    match int(rng.integers(6)):
        case 0:
            colour = other_colour(person.upper_colour, rng)
            same_cloth = {"lower_colour": colour} if person.lower == "dress" else {}
            return {"upper_colour": colour, **same_cloth}
        case 1 if person.lower != "dress":
            weights = DENIM_COLOURS if person.lower == "jeans" else LOWER_COLOURS
            return {"lower_colour": _another(weights, person.lower_colour, rng)}
        case 2:
            return {"shoes_colour": _another(SHOE_COLOURS, person.shoes_colour, rng)}
        case 3:
            return {"bag": "none" if person.bag != "none" else _another(BAGS, "none", rng)}
        case 4:
            return {"headwear": "cap" if person.headwear == "none" else "none"}
        case _:
            return {"hair_colour": "blond" if person.hair_colour != "blond" else "black"}


def _gender(person: Person, rng: np.random.Generator) -> Changes:
    """The other gender, with the hair and the clothes that go with it in this cast."""
    other = {"man": "woman", "woman": "man", "boy": "girl", "girl": "boy"}[person.gender]
    female = other in ("woman", "girl")
    length, style = draw_hair(female, rng)
    changes: Changes = {"gender": other, "hair_length": length, "hair_style": style, "beard": False}
    if not female and person.upper in ("dress", "blouse"):
        changes |= _dressed_in("shirt", person, rng)
    if not female and person.lower in ("dress", "skirt", "leggings"):
        changes |= {"lower": "trousers"}
    return changes


def _hair(person: Person, rng: np.random.Generator) -> Changes:
    if person.headwear == "hood":
        return {}
    length, style = draw_hair(person.female, rng)
    if (length, style) == (person.hair_length, person.hair_style):
        length, style = ("short", "straight") if person.hair_length != "short" else ("medium", "curly")
    return {"hair_length": length, "hair_style": style}


def _bag(person: Person, rng: np.random.Generator) -> Changes:
    return {"bag": _another({**BAGS, "none": 40}, person.bag, rng)}


def _headwear(person: Person, rng: np.random.Generator) -> Changes:
    return {} if person.headwear == "hood" else {"headwear": _another(HEADWEAR, person.headwear, rng)}


def _upper(person: Person, rng: np.random.Generator) -> Changes:
    if person.headwear == "hood" or person.upper == "dress":
        return {}
    types = {name: weight for name, weight in _upper_types(person).items() if name != "dress"}
    return _dressed_in(_another(types, person.upper, rng), person, rng)


def _lower(person: Person, rng: np.random.Generator) -> Changes:
    types = WOMEN_LOWER_TYPES if person.female else LOWER_TYPES
    if person.lower == "dress":
        return _dressed_in("blouse", person, rng) | {"lower": "skirt"}
    return {"lower": _another(types, person.lower, rng)}


def _sleeves(person: Person, rng: np.random.Generator) -> Changes:
    return {"sleeves": _another(SLEEVES, person.sleeves, rng)} if person.upper in CHANGEABLE_SLEEVES else {}


def _eyewear(person: Person, rng: np.random.Generator) -> Changes:
    return {"eyewear": "none" if person.eyewear != "none" else weighted({"glasses": 3, "sunglasses": 2}, rng)}


def _beard(person: Person, _: np.random.Generator) -> Changes:
    return {"beard": not person.beard} if person.gender == "man" else {}


def _handheld(person: Person, rng: np.random.Generator) -> Changes:
    return {"handheld": _another({**HANDHELD, "nothing": 20}, person.handheld, rng)}


SHAPE_CHANGES: tuple[Callable[[Person, np.random.Generator], Changes], ...] = (
    _gender, _hair, _bag, _headwear, _upper, _lower, _sleeves, _eyewear, _beard, _handheld,
)  # fmt: skip
"""Each returns what it changes; nothing where the person does not allow it."""


def _dressed_in(upper: str, person: Person, rng: np.random.Generator) -> Changes:
    """An upper garment in the colour of the one it replaces, with the sleeves and pattern that it can have."""
    pattern = person.pattern if person.pattern == "plain" else draw_pattern(upper, rng)
    return {"upper": upper, "sleeves": draw_sleeves(upper, rng), "pattern": pattern, "open_front": False}


def _upper_types(person: Person) -> Mapping[str, int]:
    return WOMEN_UPPER_TYPES if person.female else UPPER_TYPES


def _another(weights: Mapping[str, int], present: str, rng: np.random.Generator) -> str:
    return weighted({name: weight for name, weight in weights.items() if name != present}, rng)
