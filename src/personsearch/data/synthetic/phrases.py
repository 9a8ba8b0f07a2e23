"""Noun phrases for what can be seen of a person: one fact, many wordings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from personsearch.data.synthetic.attributes import Person, true_lab
from personsearch.data.synthetic.palette import HIGH_VISIBILITY, PALETTE, neighbouring_name
from personsearch.data.synthetic.vocabulary import (
    BAG_WORDS,
    CASUAL_DARK,
    CASUAL_LIGHT,
    DARK,
    HANDHELD_WORDS,
    HIGH_VISIBILITY_WORDS,
    LIGHT,
    LOWER_WORDS,
    PATTERN_WORDS,
    SHOE_WORDS,
    UNCOMMON_HEADWEAR_WORDS,
    UPPER_WORDS,
    VEHICLE_WORDS,
)

FUZZY_NAME_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Fact:
    """One visible thing: its verb ("wear", "have", "carry", "hold", "push", "ride") and a maker of its wordings."""

    kind: str
    topic: str
    weight: float
    phrase: Callable[[np.random.Generator], str]


def choose(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the wordings."""
    return options[int(rng.integers(len(options)))]


def article(phrase: str) -> str:
    """The phrase with "a" or "an" before it."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def colour_word(person: Person, part: str, name: str, rng: np.random.Generator) -> str:
    """A word for a colour, sometimes a neighbouring name, a vaguer or a stronger one."""
    if rng.random() < FUZZY_NAME_SHARE:
        name = neighbouring_name(true_lab(person, part), name)
    word = choose(PALETTE[name].words, rng)
    if name in CASUAL_DARK and rng.random() < 0.06:
        return "dark"
    if name in CASUAL_LIGHT and rng.random() < 0.05:
        return choose(("light", "pale", "light coloured"), rng)
    return word


def visible_facts(person: Person, visible: frozenset[str]) -> list[Fact]:
    """Everything that the visible parts show."""
    facts = [_upper(person, visible)] if "upper" in visible else []
    if "lower" in visible and person.lower != "dress":
        facts.append(_lower(person, weight=1.5 if person.suit else 5.0))
    if "hi-vis" in visible:
        facts.append(Fact("wear", "hi-vis", 6.0, lambda rng: _high_visibility(person, rng)))
    if "tie" in visible and not (person.suit and "lower" in visible):  # or else the suit's words name it
        facts.append(Fact("wear", "tie", 1.5, lambda rng: _tie(person, rng)))
    if "hair" in visible:
        striking = person.hair_length == "bald" or person.hair_colour in ("blond", "grey", "red")
        facts.append(Fact("have", "hair", 1.3 if striking else 0.5, lambda rng: _hair(person, rng)))
    if "beard" in visible:
        facts.append(Fact("have", "beard", 0.35, lambda rng: choose(("a beard", "facial hair"), rng)))
    return facts + _worn_facts(person, visible) + _carried_facts(person, visible)


def impression(person: Person, visible: frozenset[str]) -> Fact | None:
    """The clothes in one word, if upper and lower garment agree: all black, dark, light, one colour."""
    if not {"upper", "lower"} <= visible and person.lower != "dress":
        return None
    if person.hi_vis_colour != "none":
        return None
    colours = {person.upper_colour, person.lower_colour}
    if len(colours) == 1:
        words: tuple[str, ...] = tuple(f"{shade} clothes" for shade in PALETTE[person.upper_colour].words)
    elif colours <= DARK:
        words = ("dark clothes", "dark clothing", "dark colours", "mostly black and dark clothes")
    elif colours <= LIGHT:
        words = ("light clothes", "pale clothing", "light coloured clothes", "bright clothes")
    else:
        return None
    return Fact("wear", "impression", 1.0, lambda rng: choose(words, rng))


def _upper(person: Person, visible: frozenset[str]) -> Fact:
    return Fact("wear", "upper", 6.0, lambda rng: _upper_phrase(person, visible, rng))


def _upper_phrase(person: Person, visible: frozenset[str], rng: np.random.Generator) -> str:
    if person.upper == "parka":
        return _parka(person, visible, rng)
    if person.upper == "waistcoat":
        return _waistcoat(person, visible, rng)
    if person.suit and "lower" in visible and rng.random() < 0.8:
        return _suit(person, visible, rng)
    colour = colour_word(person, "upper", person.upper_colour, rng)
    noun = choose(UPPER_WORDS[person.upper], rng)
    sleeves = _sleeves(person, rng)
    extra = ""
    if "pattern" in visible and person.pattern != "plain" and rng.random() < 0.75:
        colour, extra = _patterned(person, colour, rng)
    if "inner" in visible and rng.random() < 0.6:
        inner = article(
            f"{colour_word(person, 'detail', person.detail_colour, rng)} {choose(('shirt', 't-shirt', 'top'), rng)}"
        )
        extra = choose((f" over {inner}", f" with {inner} underneath", f" open over {inner}"), rng)
    if "hood" in visible and "hood" not in noun and rng.random() < 0.3:
        extra += " with a hood" if " with" not in extra else " and a hood"
    return f"{article(' '.join(filter(None, (colour, sleeves, noun))))}{extra}"


def _suit(person: Person, visible: frozenset[str], rng: np.random.Generator) -> str:
    noun = choose(("suit", "suit", "business suit", "two-piece suit"), rng)
    suit = article(f"{colour_word(person, 'upper', person.upper_colour, rng)} {noun}")
    if "tie" in visible and rng.random() < 0.55:
        return f"{suit} and {choose(('tie', 'a tie', _tie(person, rng), _tie(person, rng)), rng)}"
    if "inner" in visible and rng.random() < 0.35:
        shirt = article(f"{colour_word(person, 'detail', person.detail_colour, rng)} shirt")
        return f"{suit}{choose((' with ', ' over '), rng)}{shirt}"
    return suit


def _tie(person: Person, rng: np.random.Generator) -> str:
    noun = choose(("tie", "tie", "necktie"), rng)
    return article(f"{colour_word(person, 'tie', person.tie_colour, rng)} {noun}" if rng.random() < 0.8 else noun)


def _parka(person: Person, visible: frozenset[str], rng: np.random.Generator) -> str:
    colour = colour_word(person, "upper", person.upper_colour, rng)
    noun = choose(("parka", "parka", "winter coat", "hooded coat", "hooded jacket", "winter parka"), rng)
    if "hood" not in visible or rng.random() < 0.3:
        return article(f"{colour} {noun}")
    if "hood" in noun:
        trim = choose(("fur trim", "a fur trim", "fur round the hood"), rng)
    else:
        trim = choose(("a fur-trimmed hood", "a fur hood", "a furry hood", "a fluffy hood", "fur on the hood"), rng)
    return f"{article(f'{colour} {noun}')} with {trim}"


def _waistcoat(person: Person, visible: frozenset[str], rng: np.random.Generator) -> str:
    noun = choose(("waistcoat", "waistcoat", "waistcoat", "vest", "suit vest", "dress vest"), rng)
    waistcoat = article(f"{colour_word(person, 'upper', person.upper_colour, rng)} {noun}")
    if "inner" not in visible or rng.random() < 0.2:
        return waistcoat
    sleeves = {"long": "long-sleeved ", "short": "short-sleeved "}[person.sleeves] if rng.random() < 0.15 else ""
    shirt = article(f"{colour_word(person, 'detail', person.detail_colour, rng)} {sleeves}shirt")
    return f"{waistcoat}{choose((' over ', ' over ', ' and ', ' with '), rng)}{shirt}"


def _high_visibility(person: Person, rng: np.random.Generator) -> str:
    noun = choose(HIGH_VISIBILITY_WORDS, rng)
    colour = choose(HIGH_VISIBILITY[person.hi_vis_colour].words, rng)
    bands = choose((" with reflective bands", " with silver bands"), rng) if rng.random() < 0.15 else ""
    return article(f"{colour} {noun}" if rng.random() < 0.75 else noun) + ("" if "reflective" in noun else bands)


def _sleeves(person: Person, rng: np.random.Generator) -> str:
    if person.upper in ("t-shirt", "shirt", "polo shirt", "blouse", "dress", "sweater") and rng.random() < 0.25:
        return {"long": "long-sleeved", "short": "short-sleeved", "none": "sleeveless"}[person.sleeves]
    return ""


def _patterned(person: Person, colour: str, rng: np.random.Generator) -> tuple[str, str]:
    """The adjectives before, and the words after, the name of a patterned garment."""
    detail = colour_word(person, "detail", person.detail_colour, rng)
    match person.pattern:
        case "logo":
            picture = choose(("logo", "print", "writing", "design"), rng)
            return (
                colour,
                f" with {picture if picture == 'writing' else article(picture)} on it"
                if rng.random() < 0.5
                else f" with a {detail} {choose(('logo', 'print', 'pattern'), rng)}",
            )
        case "two-tone":
            with_detail = choose((f" with {detail} shoulders", f" with a {detail} upper part", "", ""), rng)
            pair = (colour, detail) if rng.random() < 0.5 else (detail, colour)
            return (colour, with_detail) if with_detail else (" and ".join(pair), "")
        case pattern:
            word = choose(PATTERN_WORDS[pattern], rng)
            return choose(
                (f"{colour} and {detail} {word}", f"{word} {colour} and {detail}", f"{word} {colour}"), rng
            ), ""


def _lower(person: Person, weight: float) -> Fact:
    def phrase(rng: np.random.Generator) -> str:
        words = f"{colour_word(person, 'lower', person.lower_colour, rng)} {choose(LOWER_WORDS[person.lower], rng)}"
        return article(words) if person.lower == "skirt" else words if rng.random() < 0.92 else f"a pair of {words}"

    return Fact("wear", "lower", weight, phrase)


def _hair(person: Person, rng: np.random.Generator) -> str:
    colour = {
        "blond": choose(("blond", "blonde", "fair"), rng),
        "black": choose(("black", "dark"), rng),
        "grey": choose(("grey", "gray"), rng),
        "brown": choose(("brown", "dark brown"), rng),
        "red": choose(("red", "ginger"), rng),
    }[person.hair_colour]
    if person.hair_length == "bald":
        return choose(("a bald head", "little hair", "a balding head", "receding hair"), rng)
    if person.hair_style in ("ponytail", "bun"):
        return choose(
            (f"a {colour} {person.hair_style}", f"{colour} hair in a {person.hair_style}", f"{colour} hair tied back"),
            rng,
        )
    length = {"medium": choose(("medium length", "shoulder-length"), rng)}.get(person.hair_length, person.hair_length)
    style = "curly" if person.hair_style == "curly" and rng.random() < 0.6 else ""
    return " ".join(filter(None, (length, style, colour if rng.random() < 0.85 or not length else "", "hair")))


def _worn_facts(person: Person, visible: frozenset[str]) -> list[Fact]:
    facts = []
    if "shoes" in visible:
        facts.append(
            Fact(
                "wear",
                "shoes",
                0.9,
                lambda rng: (
                    f"{colour_word(person, 'shoes', person.shoes_colour, rng)} {choose(SHOE_WORDS[person.shoes], rng)}"
                ),
            )
        )
    if "headwear" in visible:
        facts.append(Fact("wear", "headwear", 2.0, lambda rng: _headwear(person, rng)))
    if "eyewear" in visible:
        words = (
            ("glasses", "eyeglasses", "spectacles") if person.eyewear == "glasses" else ("sunglasses", "dark glasses")
        )
        facts.append(Fact("wear", "eyewear", 0.5, lambda rng: choose(words, rng)))
    if "scarf" in visible:
        facts.append(
            Fact(
                "wear",
                "scarf",
                1.5,
                lambda rng: article(f"{colour_word(person, 'scarf', person.scarf_colour, rng)} scarf"),
            )
        )
    return facts


def _headwear(person: Person, rng: np.random.Generator) -> str:
    if person.headwear == "hood":
        return choose(("a hood over the head", "the hood up", "a hood"), rng)
    nouns = {
        "cap": ("cap", "baseball cap", "hat"),
        "beanie": ("beanie", "knitted hat", "woolly hat", "hat"),
        "hat": ("hat", "brimmed hat"),
        **UNCOMMON_HEADWEAR_WORDS,
    }
    return article(
        f"{colour_word(person, 'headwear', person.headwear_colour, rng)} {choose(nouns[person.headwear], rng)}"
    )


def _carried_facts(person: Person, visible: frozenset[str]) -> list[Fact]:
    facts = []
    if "bag" in visible:
        facts.append(Fact("carry", "bag", 2.5, lambda rng: _bag(person, rng)))
    if "handheld" in visible:
        facts.append(Fact("hold", "handheld", 1.0, lambda rng: choose(HANDHELD_WORDS[person.handheld], rng)))
    if "umbrella" in visible:
        facts.append(
            Fact(
                "hold",
                "umbrella",
                2.5,
                lambda rng: article(f"{colour_word(person, 'umbrella', person.umbrella_colour, rng)} umbrella"),
            )
        )
    if "vehicle" in visible:
        facts.append(_vehicle(person))
    return facts


def _vehicle(person: Person) -> Fact:
    def phrase(rng: np.random.Generator) -> str:
        noun = choose(VEHICLE_WORDS[person.vehicle], rng)
        named = person.vehicle != "shopping trolley" and rng.random() < 0.35
        return article(f"{colour_word(person, 'vehicle', person.vehicle_colour, rng)} {noun}" if named else noun)

    return Fact("ride" if person.vehicle == "ridden bicycle" else "push", "vehicle", 3.5, phrase)


def _bag(person: Person, rng: np.random.Generator) -> str:
    noun = choose(BAG_WORDS[person.bag], rng)
    if rng.random() < 0.15:
        return article(noun)
    return article(f"{colour_word(person, 'bag', person.bag_colour, rng)} {noun}")
