"""Short queries: what somebody types who looks for a person by one to three facts, and whom it fits.

Shapes: N images, F facts, Q queries.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.catalogue import FACT_INDEX, FACTS
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.data.facts.lexicon import COLOUR_WORDS

SUBJECTS = {
    "man": ("a man", "a man", "man", "a guy", "a gentleman", "the man"),
    "woman": ("a woman", "a woman", "woman", "a lady", "the woman"),
    "child": ("a child", "a kid", "child"),
    "": ("a person", "a person", "person", "someone", "a pedestrian"),
}
WORN = ("in {}", "wearing {}", "in {}", "with {}", "dressed in {}")
GARMENTS = {
    "coat": "a {}coat", "jacket": "a {}jacket", "suit jacket": "a {}suit jacket", "hooded top": "a {}hoodie",
    "sweater": "a {}sweater", "shirt": "a {}shirt", "t-shirt": "a {}t-shirt", "polo shirt": "a {}polo shirt",
    "tank top": "a {}tank top", "vest": "a {}vest", "blouse": "a {}blouse", "cardigan": "a {}cardigan",
    "leather jacket": "a {}leather jacket", "padded jacket": "a {}padded jacket", "dress": "a {}dress",
    "jeans": "{}jeans", "trousers": "{}trousers", "shorts": "{}shorts", "skirt": "a {}skirt", "leggings": "{}leggings",
    "cap": "a {}cap", "beanie": "a {}beanie", "brimmed hat": "a {}brimmed hat", "boots": "{}boots",
    "sandals": "{}sandals", "fur coat": "a {}fur coat", "parka": "a {}parka", "waistcoat": "a {}waistcoat",
    "helmet": "a {}helmet", "hard hat": "a {}hard hat", "headscarf": "a {}headscarf", "straw hat": "a {}straw hat",
    "wide-brimmed hat": "a {}wide-brimmed hat",
}  # fmt: skip
DEFAULT_GARMENT = {"upper": "a {}top", "headwear": "a {}hat", "shoes": "{}shoes"}
BAGS = {
    "backpack": "a {}backpack", "shoulder bag": "a {}shoulder bag", "handbag": "a {}handbag",
    "plastic bag": "a {}plastic bag", "suitcase": "a {}suitcase", "briefcase": "a {}briefcase", "a bag": "a {}bag",
}  # fmt: skip
OTHER_PHRASES = {
    "hood": ("with a hood over the head", "with the hood up"),
    "headwear": ("with something on the head", "wearing a hat or a cap", "with headwear"),
    "long sleeves": ("in long sleeves", "with long sleeves"),
    "short sleeves": ("in short sleeves", "with short sleeves"),
    "no sleeves": ("with bare arms", "in a sleeveless top"),
    "stripes": ("in stripes", "in a striped top"),
    "checks": ("in a checked top", "in a plaid shirt"),
    "dots": ("in a dotted top",),
    "a print": ("with a print on the clothes", "with a logo on the top"),
    "phone": ("with a phone", "holding a phone"),
    "paper": ("holding a paper", "with a sheet of paper"),
    "bottle": ("holding a bottle", "with a bottle"),
    "folder": ("holding a folder", "with a folder"),
    "something held": ("holding something", "with something in the hand"),
    "bald": ("with a bald head", "who is bald"),
    "short hair": ("with short hair",),
    "long hair": ("with long hair",),
    "ponytail": ("with a ponytail",),
    "bun": ("with a bun", "with hair in a bun"),
    "curly hair": ("with curly hair",),
    "blond hair": ("with blond hair", "with blonde hair", "with fair hair"),
    "grey hair": ("with grey hair", "with gray hair"),
    "red hair": ("with red hair", "with ginger hair"),
    "dark hair": ("with dark hair", "with black or brown hair"),
    "glasses": ("with glasses", "wearing glasses"),
    "sunglasses": ("with sunglasses", "wearing sunglasses"),
    "eyewear": ("with glasses or sunglasses",),
    "beard": ("with a beard", "with facial hair"),
    "scarf": ("with a scarf", "wearing a scarf"),
    "umbrella": ("with an umbrella", "holding an umbrella"),
    "open jacket": ("with an open jacket", "in an open jacket"),
    "skirt or dress": ("in a skirt or dress",),
    "suit": ("in a suit", "wearing a suit", "in a business suit"),
    "tie": ("with a tie", "wearing a tie"),
    "high-visibility vest": (
        "in a high-visibility vest",
        "in a hi-vis vest",
        "in a reflective vest",
        "in a safety vest",
    ),
    "bicycle": ("with a bicycle", "with a bike", "with a bike"),
    "riding": ("riding a bicycle", "riding a bike", "on a bike"),
    "pushchair": ("with a pushchair", "pushing a pram", "pushing a stroller", "with a buggy"),
    "shopping trolley": ("with a shopping trolley", "pushing a shopping cart", "with a shopping cart"),
}
CARRIED = ("with {}", "carrying {}", "with {}")
MOST_FACTS = 3


@dataclass(frozen=True, slots=True)
class ShortQuery:
    """A text and the names of the facts that it asks for, all of which must hold."""

    text: str
    facts: tuple[str, ...]


def fits(queries: Sequence[ShortQuery], table_NF: NDArray[np.int8]) -> NDArray[np.int8]:
    """TRUE, FALSE or UNKNOWN for each image and query, int8 [N, Q]: false as soon as one fact is."""
    fitting_NQ = np.full((len(table_NF), len(queries)), TRUE, np.int8)
    for column, query in enumerate(queries):
        asked_NK = table_NF[:, [FACT_INDEX[name] for name in query.facts]]
        unknown_N, false_N = (asked_NK == UNKNOWN).any(axis=1), (asked_NK == FALSE).any(axis=1)
        fitting_NQ[unknown_N, column] = UNKNOWN
        fitting_NQ[false_N, column] = FALSE
    return fitting_NQ


def draw_query(true_facts: Iterable[str], rng: np.random.Generator) -> ShortQuery | None:
    """A short query about one to three of these facts, of different kinds; None where none can be asked for."""
    by_kind: dict[str, list[str]] = {}
    for name in true_facts:
        by_kind.setdefault(FACTS[FACT_INDEX[name]].kind, []).append(name)
    kinds = [kind for kind in by_kind if kind != "lower colour"]
    if not kinds:
        return None
    count = min(len(kinds), int(rng.integers(1, MOST_FACTS + 1)))
    chosen = [kinds[int(index)] for index in rng.permutation(len(kinds))[:count]]
    if "lower" in chosen and "lower colour" in by_kind and rng.random() < 0.5:
        chosen.append("lower colour")
    picked = {kind: by_kind[kind][int(rng.integers(len(by_kind[kind])))] for kind in chosen}
    return phrase(picked, rng)


def phrase(facts_by_kind: dict[str, str], rng: np.random.Generator) -> ShortQuery:
    """The facts (kind → name) in words."""
    left = dict(facts_by_kind)
    subject = _one(SUBJECTS[left.pop("gender", "")], rng)
    pieces = [_part(part, left, rng) for part in ("upper", "lower", "headwear", "bag", "shoes")]
    pieces += [_one(OTHER_PHRASES[name], rng) for name in left.values()]
    texts = [piece for piece in pieces if piece]
    order = rng.permutation(len(texts)) if rng.random() < 0.4 else range(len(texts))
    text = " ".join([subject, *_linked([texts[int(index)] for index in order])])
    return ShortQuery(text, tuple(facts_by_kind.values()))


def _part(part: str, left: dict[str, str], rng: np.random.Generator) -> str:
    """What is asked of one part, its type and its colour together; takes them out of `left`."""
    colour_name = left.pop(f"{part} colour", None)
    colour = f"{_one(COLOUR_WORDS[colour_name.removesuffix(f' {part}')], rng)} " if colour_name else ""
    name = left.get(part, "")
    if part == "bag":
        pattern = BAGS.get(left.pop(part, ""), "a {}bag") if name or colour else ""
        return _one(CARRIED, rng).format(_with_article(pattern, colour)) if pattern else ""
    pattern = GARMENTS.get(name, "") or (DEFAULT_GARMENT.get(part, "") if colour else "")
    if not pattern:
        return ""
    if name in GARMENTS:
        left.pop(part)
    return _one(WORN, rng).format(_with_article(pattern, colour))


def _with_article(pattern: str, colour: str) -> str:
    text = pattern.format(colour)
    return f"an {text[2:]}" if text.startswith("a ") and text[2] in "aeiou" else text


def _linked(pieces: Sequence[str]) -> list[str]:
    """The pieces, the last one joined by "and" where two in a row begin alike."""
    linked: list[str] = []
    for index, piece in enumerate(pieces):
        word, _, rest = piece.partition(" ")
        same = bool(index) and pieces[index - 1].split(" ", 1)[0] == word
        linked.append(f"and {rest}" if same else piece)
    return linked


def _one(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
