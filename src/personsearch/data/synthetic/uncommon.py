"""Clothes and things that few people have: suits, furs, parkas, waistcoats, high-visibility vests, helmets,
headscarves, wide hats, bicycles, pushchairs, shopping trolleys.

They are put on people who are otherwise drawn as they were. A group of near twins shares them, except for some members
who keep what they have, so that people alike in the rest differ in just that.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from personsearch.data.synthetic.attributes import SHOE_COLOURS, Person, weighted, with_colours

Changes = dict[str, Any]
GROUP_SHARE = 0.33
MEMBER_SHARE = 0.64
SECOND_SHARE = 0.25
SUIT_COLOURS = {"black": 26, "dark grey": 20, "grey": 12, "dark blue": 24, "blue": 4, "brown": 6, "beige": 5}
SHIRT_COLOURS = {"white": 58, "light blue": 20, "light grey": 6, "pink": 6, "black": 6, "dark blue": 4}
TIE_COLOURS = {"red": 16, "dark red": 12, "blue": 14, "dark blue": 16, "black": 16, "purple": 5, "green": 5, "grey": 6}
FUR_COLOURS = {
    "brown": 26,
    "beige": 18,
    "black": 18,
    "white": 14,
    "grey": 10,
    "dark grey": 8,
    "light grey": 4,
    "pink": 3,
}
TRIM_COLOURS = {"beige": 34, "brown": 30, "grey": 14, "light grey": 8, "black": 8, "white": 6}
HARD_HAT_COLOURS = {"yellow": 38, "white": 28, "orange": 12, "red": 8, "blue": 8, "green": 3}
STRAW_COLOURS = {"beige": 62, "yellow": 8, "brown": 12, "white": 18}
BICYCLE_COLOURS = {"black": 34, "red": 12, "blue": 12, "white": 10, "grey": 10, "green": 6, "dark blue": 5, "yellow": 4}
PUSHCHAIR_COLOURS = {"black": 30, "grey": 14, "dark grey": 10, "red": 10, "dark blue": 10, "beige": 8, "blue": 8}
TROLLEY_COLOURS = {"light grey": 60, "grey": 30, "red": 6, "blue": 4}
HANDS_FREE = {"handheld": "nothing", "umbrella_colour": "none"}


def with_uncommon(person: Person, group: np.random.Generator, own: np.random.Generator) -> Person:
    """The person with what their group of near twins (`group`: a fresh stream of its own) shares; most have nothing."""
    if group.random() >= GROUP_SHARE:
        return person
    first = weighted({name: weight for name, (weight, _, _) in KINDS.items()}, group)
    second = weighted({name: weight for name, (weight, _, _) in KINDS.items()}, group)
    kinds = [first]
    if group.random() < SECOND_SHARE and KINDS[second][1] != KINDS[first][1]:
        kinds.append(second)
    colours = int(group.integers(2**32))
    for place, kind in enumerate(kinds):
        _, _, change = KINDS[kind]
        changes = change(person, np.random.default_rng([colours, place, 0]))
        if changes and own.random() < MEMBER_SHARE:
            person = put_on(person, changes, np.random.default_rng([colours, place, 1]))
    return person


def put_on(person: Person, changes: Changes, rng: np.random.Generator) -> Person:
    """The person with what a kind changes, in true colours; a suit's trousers are of its jacket's cloth."""
    changed = with_colours(replace(person, **changes), rng)
    if not changed.suit:
        return changed
    upper = changed.labs[f"upper:{changed.upper_colour}"]
    return replace(changed, labs=changed.labs | {f"lower:{changed.lower_colour}": upper})


def _kept(colour: str, weights: Mapping[str, int], rng: np.random.Generator) -> str:
    """The colour where the thing can have it, so that twins share it; else another."""
    return colour if colour in weights else weighted(weights, rng)


def _garment(upper: str, colour: str) -> Changes:
    """An upper garment, plain and shut."""
    return {"upper": upper, "upper_colour": colour, "sleeves": "long", "pattern": "plain", "open_front": False}


def _suit(person: Person, rng: np.random.Generator) -> Changes:
    if person.child:
        return {}
    colour = _kept(person.upper_colour, SUIT_COLOURS, rng)
    return _garment("suit jacket", colour) | {
        "suit": True,
        "open_front": rng.random() < 0.35,
        "detail_colour": weighted({name: w for name, w in SHIRT_COLOURS.items() if name != colour}, rng),
        "tie_colour": _tie(0.75, rng),
        "lower": "trousers",
        "lower_colour": colour,
        "shoes": "shoes",
        "shoes_colour": weighted({name: SHOE_COLOURS[name] for name in ("black", "brown")}, rng),
        "headwear": "none" if person.headwear in ("hood", "beanie", "cap") else person.headwear,
    }


def _tie(share: float, rng: np.random.Generator) -> str:
    return weighted(TIE_COLOURS, rng) if rng.random() < share else "none"


def _fur_coat(person: Person, rng: np.random.Generator) -> Changes:
    colour = _kept(person.upper_colour, FUR_COLOURS, rng)
    lower = {"lower": "leggings", "lower_colour": "black"} if person.lower in ("dress", "skirt") else {}
    return _garment("fur coat", colour) | _without_hood(person) | lower


def _parka(person: Person, rng: np.random.Generator) -> Changes:
    trim = weighted({name: w for name, w in TRIM_COLOURS.items() if name != person.upper_colour}, rng)
    lower = {"lower": "jeans", "lower_colour": "blue"} if person.lower in ("dress", "skirt") else {}
    hood = {"headwear": "hood", "scarf_colour": "none"} if rng.random() < 0.4 else _without_hood(person)
    return _garment("parka", person.upper_colour) | {"detail_colour": trim} | lower | hood


def _waistcoat(person: Person, rng: np.random.Generator) -> Changes:
    shirts = {name: weight for name, weight in SHIRT_COLOURS.items() if name != person.upper_colour}
    lower = {"lower": "trousers", "lower_colour": "black"} if person.lower == "dress" else {}
    changes = {"detail_colour": weighted(shirts, rng), "tie_colour": _tie(0.3, rng)}
    short = {"sleeves": "short"} if rng.random() < 0.2 else {}
    return _garment("waistcoat", person.upper_colour) | changes | short | lower | _without_hood(person)


def _without_hood(person: Person) -> Changes:
    return {"headwear": "none"} if person.headwear == "hood" else {}


def _high_visibility(person: Person, rng: np.random.Generator) -> Changes:
    colour = "yellow" if rng.random() < 0.6 else "orange"
    hat = {"headwear": "hard hat", "headwear_colour": weighted(HARD_HAT_COLOURS, rng)} if rng.random() < 0.5 else {}
    if person.child or person.lower in ("dress", "skirt"):
        return {}
    return {"hi_vis_colour": colour, "scarf_colour": "none", "open_front": False} | hat


def _hard_hat(person: Person, rng: np.random.Generator) -> Changes:
    colour = weighted(HARD_HAT_COLOURS, rng)
    return {} if person.child else {"headwear": "hard hat", "headwear_colour": colour}


def _headscarf(person: Person, _: np.random.Generator) -> Changes:
    return {"headwear": "headscarf", "scarf_colour": "none"} if person.female else {}


def _wide_hat(person: Person, rng: np.random.Generator) -> Changes:
    if rng.random() < 0.65:
        return {"headwear": "straw hat", "headwear_colour": weighted(STRAW_COLOURS, rng)}
    return {"headwear": "wide-brimmed hat"}


def _bicycle(person: Person, rng: np.random.Generator) -> Changes:
    ridden, helmet = rng.random() < 0.5, rng.random() < 0.35
    colour = weighted(BICYCLE_COLOURS, rng)
    skirt = person.lower in ("dress", "skirt")
    changes = {"vehicle": "ridden bicycle" if ridden and not skirt else "bicycle", "vehicle_colour": colour}
    bag = {} if person.bag in ("backpack", "shoulder bag") else {"bag": "none"}
    return changes | bag | HANDS_FREE | ({"headwear": "helmet"} if helmet else {})


def _pushchair(person: Person, rng: np.random.Generator) -> Changes:
    return _pushed("pushchair", person, weighted(PUSHCHAIR_COLOURS, rng))


def _trolley(person: Person, rng: np.random.Generator) -> Changes:
    return _pushed("shopping trolley", person, weighted(TROLLEY_COLOURS, rng))


def _pushed(vehicle: str, person: Person, colour: str) -> Changes:
    if person.child:
        return {}
    bag = {} if person.bag in ("backpack", "shoulder bag") else {"bag": "none"}
    return {"vehicle": vehicle, "vehicle_colour": colour} | bag | HANDS_FREE


KINDS: dict[str, tuple[int, str, Callable[[Person, np.random.Generator], Changes]]] = {
    "suit": (15, "body", _suit),
    "fur coat": (10, "body", _fur_coat),
    "parka": (10, "body", _parka),
    "waistcoat": (9, "body", _waistcoat),
    "high-visibility vest": (13, "body", _high_visibility),
    "hard hat": (5, "head", _hard_hat),
    "headscarf": (20, "head", _headscarf),
    "wide hat": (11, "head", _wide_hat),
    "bicycle": (19, "vehicle", _bicycle),
    "pushchair": (11, "vehicle", _pushchair),
    "shopping trolley": (7, "vehicle", _trolley),
}
"""Kind → its weight, what of the person it takes, and what it changes; nothing where the person does not allow it."""
