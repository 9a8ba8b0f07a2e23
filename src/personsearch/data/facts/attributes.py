"""Facts from what a data set says of an image in its `attributes`."""

from collections.abc import Collection, Mapping
from typing import Any

from personsearch.data.facts.catalogue import (
    ALWAYS_THERE,
    ANY,
    COLOURED_PARTS,
    FACT_INDEX,
    GENDERS,
    HIDDEN_FROM_BEHIND,
    NEAR_COLOURS,
    NEAR_TYPES,
    NOTHING,
    TYPES,
    UNDERNEATH,
    colour_fact,
)


def facts_of_attributes(attributes: Mapping[str, Any]) -> dict[str, bool]:
    """The facts that are known from a data set's attributes of an image.

    Keys are those of the synthetic data sets ("gender", "bag", "upper_colour" …), or names of facts with true or false.
    `visible` lists the parts that can be made out; what is known of others is left out. Without it all can be.
    """
    told = {name: value for name, value in attributes.items() if name in FACT_INDEX and isinstance(value, bool)}
    for name in ("beard", "suit"):  # keys of the synthetic data sets too, true of people of whom it cannot be seen
        told.pop(name, None)
    seen = _Seen(attributes)
    known = _gender(attributes) | _types(seen) | _any(seen) | _colours(seen) | _others(seen)
    return {name: value for name, value in known.items() if value is not None} | told


class _Seen:
    """An image's attributes with what of them can be made out."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self.attributes = attributes
        visible = attributes.get("visible")
        self.visible: Collection[str] | None = visible if isinstance(visible, list) else None
        self.from_behind = attributes.get("facing") == "back"

    def shows(self, part: str) -> bool:
        if part == "headwear" and self.value("headwear") == "hood" and self.shows("hood"):
            return True
        return self.visible is None or part in self.visible

    @property
    def is_open(self) -> bool:
        """Whether a second garment shows below the upper one."""
        return self.attributes.get("open_front") is True or (self.visible is not None and "inner" in self.visible)

    @property
    def over_it(self) -> bool:
        """Whether a high-visibility vest is worn over the upper garment."""
        return self.value("hi_vis_colour") not in {None, *NOTHING}

    def value(self, key: str) -> str | None:
        value = self.attributes.get(key)
        return value.lower() if isinstance(value, str) else None

    def hidden(self, part: str) -> bool:
        """Whether the part may be there unseen."""
        return part in HIDDEN_FROM_BEHIND and self.from_behind


def _gender(attributes: Mapping[str, Any]) -> dict[str, bool | None]:
    gender = str(attributes.get("gender")).lower()
    known: dict[str, bool | None] = {}
    if gender in {word for words in GENDERS.values() for word in words}:
        known["child"] = gender in GENDERS["child"]
        if not known["child"]:
            known |= {name: gender in GENDERS[name] for name in ("man", "woman")}
    return known


def _types(seen: _Seen) -> dict[str, bool | None]:
    known: dict[str, bool | None] = {}
    for part, types in TYPES.items():
        for name, values in types.items():
            known[name] = _type_of_part(seen, part, name, values)
    return known


def _type_of_part(seen: _Seen, part: str, name: str, values: tuple[str, ...]) -> bool | None:
    value, shown_by = _said_of(seen, part, name)
    if value is None or seen.hidden(part) or _may_be_unseen(seen, part, name, value):
        return None
    if value in NOTHING and part != "sleeves":
        return False
    if not seen.shows(shown_by):
        # A thing that cannot be made out is not the one that would be seen; clothes and hair are always there.
        return None if value in values or part in ALWAYS_THERE else False
    if value in values:
        return True
    return None if value in NEAR_TYPES.get(name, ()) else False


def _said_of(seen: _Seen, part: str, name: str) -> tuple[str | None, str]:
    """The attribute's value that decides about a fact, and the part that must be visible for it."""
    value = seen.value(part.replace(" ", "_"))
    match part:
        case "hair":
            return seen.value("hair_style" if name in ("ponytail", "bun", "curly hair") else "hair_length"), "hair"
        case "hair colour":
            return seen.value("hair_colour"), "hair"
        case "sleeves":
            return value, "upper"
        case "lower" if value == "dress":
            return value, "upper"
    return value, part


def _may_be_unseen(seen: _Seen, part: str, name: str, value: str) -> bool:
    """Whether something else hides the difference: a hat a bald head, an open jacket what is worn below it, and
    whether a high-visibility vest might be meant.
    """
    if part == "hair":
        return name in ("bald", "short hair") and seen.value("headwear") not in (None, "none")
    if name == "vest" and seen.over_it:
        return True
    return name in UNDERNEATH and value not in TYPES["upper"][name] and seen.is_open


def _any(seen: _Seen) -> dict[str, bool | None]:
    known: dict[str, bool | None] = {}
    for name, part in ANY.items():
        value = seen.value(part)
        if value is None or seen.hidden(part):
            known[name] = None
        elif value in NOTHING:
            known[name] = False
        else:
            known[name] = True if seen.shows(part) else None
    return known


def _colours(seen: _Seen) -> dict[str, bool | None]:
    known: dict[str, bool | None] = {}
    for part in COLOURED_PARTS:
        colour, worn = seen.value(f"{part}_colour"), seen.value(part)
        there = worn not in NOTHING and worn != "hood"
        for name, near in NEAR_COLOURS.items():
            fact = colour_fact(part, name)
            if colour is None or (part == "lower" and worn == "dress"):
                known[fact] = None
            elif not there:
                known[fact] = False
            elif not seen.shows(part) or colour in near or (part == "upper" and _is_mixed(seen)):
                known[fact] = None
            else:
                known[fact] = colour == name
    return known


def _is_mixed(seen: _Seen) -> bool:
    """Whether a second colour covers so much that it might be named instead."""
    return seen.value("pattern") in ("two-tone", "striped", "checked") or seen.is_open or seen.over_it


def _others(seen: _Seen) -> dict[str, bool | None]:
    known: dict[str, bool | None] = {}
    beard = seen.attributes.get("beard")
    if isinstance(beard, bool) and not seen.hidden("beard"):
        known["beard"] = False if not beard else True if seen.shows("beard") else None
    for name, part in (("scarf",) * 2, ("umbrella",) * 2, ("tie",) * 2, ("high-visibility vest", "hi-vis")):
        colour = seen.value(f"{part.replace('-', '_')}_colour")
        if colour is not None and not seen.hidden(part) and not (name == "scarf" and _in_headscarf(seen)):
            known[name] = False if colour in NOTHING else True if seen.shows(part) else None
    opened = seen.attributes.get("open_front")
    if isinstance(opened, bool) and not seen.from_behind:
        known["open jacket"] = False if not opened else True if seen.shows("inner") else None
    upper, lower = seen.value("upper"), seen.value("lower")
    if upper is not None and lower is not None:
        worn = lower in ("skirt", "dress") or upper == "dress"
        part = "upper" if upper == "dress" else "lower"
        known["skirt or dress"] = worn if seen.shows(part) else None
    return known | _suit_and_riding(seen)


def _in_headscarf(seen: _Seen) -> bool:
    return seen.value("headwear") == "headscarf"


def _suit_and_riding(seen: _Seen) -> dict[str, bool | None]:
    known: dict[str, bool | None] = {}
    suit, vehicle = seen.attributes.get("suit"), seen.value("vehicle")
    if isinstance(suit, bool):
        both = seen.shows("upper") and seen.shows("lower")
        known["suit"] = (True if both else None) if suit else None if _like_a_suit(seen) else False
    if vehicle is not None:
        ridden = vehicle == "ridden bicycle"
        known["riding"] = (True if seen.shows("vehicle") else None) if ridden else False
    return known


def _like_a_suit(seen: _Seen) -> bool:
    """Whether jacket and trousers go together by chance."""
    upper, lower = seen.value("upper_colour") or "", seen.value("lower_colour")
    matching = lower in (upper, *NEAR_COLOURS.get(upper, ()))
    return seen.value("upper") == "suit jacket" and seen.value("lower") == "trousers" and matching
