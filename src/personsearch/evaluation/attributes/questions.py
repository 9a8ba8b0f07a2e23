"""What a model is asked: short queries as people type them, and one text (or two opposite ones) for each attribute."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.catalogue import COLOURED_PARTS, FACT_INDEX, FACTS, TYPES
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.data.facts.queries import BAGS, GARMENTS, OTHER_PHRASES, ShortQuery

SHORT_QUERIES: tuple[ShortQuery, ...] = (
    ShortQuery("a person with a backpack", ("backpack",)),
    ShortQuery("a woman with a backpack", ("woman", "backpack")),
    ShortQuery("a person with a shoulder bag", ("shoulder bag",)),
    ShortQuery("a person pulling a suitcase", ("suitcase",)),
    ShortQuery("a person holding a phone", ("phone",)),
    ShortQuery("a man", ("man",)),
    ShortQuery("a woman", ("woman",)),
    ShortQuery("a person wearing a cap", ("cap",)),
    ShortQuery("a person wearing a hat or a cap", ("headwear",)),
    ShortQuery("a bald man", ("man", "bald")),
    ShortQuery("a woman with long hair", ("woman", "long hair")),
    ShortQuery("a person with blond hair", ("blond hair",)),
    ShortQuery("someone with glasses", ("glasses",)),
    ShortQuery("a man with a beard", ("man", "beard")),
    ShortQuery("a person in a coat", ("coat",)),
    ShortQuery("a person in a t-shirt", ("t-shirt",)),
    ShortQuery("a man in a suit jacket", ("man", "suit jacket")),
    ShortQuery("a person with short sleeves", ("short sleeves",)),
    ShortQuery("a woman in a dress", ("woman", "dress")),
    ShortQuery("a woman in a skirt", ("woman", "skirt")),
    ShortQuery("a person in shorts", ("shorts",)),
    ShortQuery("a person wearing jeans", ("jeans",)),
    ShortQuery("a person in black trousers", ("trousers", "black lower")),
    ShortQuery("a person in a red top", ("red upper",)),
    ShortQuery("a person in a white top", ("white upper",)),
)
"""The same for every data set, so that models and data sets can be compared."""

COLOURED = {
    "upper": "a person in a {} top",
    "lower": "a person in {} trousers",
    "bag": "a person with a {} bag",
    "headwear": "a person wearing a {} hat",
    "shoes": "a person in {} shoes",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A fact, and the text that asks for it; with `opposite`, images of that fact are the ones without it."""

    fact: str
    opposite: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text that asks, and the one that asks for the opposite."""
        return tuple(fact_text(name) for name in (self.fact, self.opposite) if name)

    def answers(self, table_NF: NDArray[np.int8]) -> NDArray[np.int8]:
        """TRUE, FALSE or UNKNOWN for each image [N]."""
        fact_N = table_NF[:, FACT_INDEX[self.fact]]
        if not self.opposite:
            return fact_N
        opposite_N = table_NF[:, FACT_INDEX[self.opposite]]
        known_N = np.where(opposite_N == TRUE, FALSE, UNKNOWN)
        return np.where(fact_N == TRUE, TRUE, known_N).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Group:
    """An attribute that a person would name; its figure is the mean over its questions."""

    name: str
    label: str
    questions: tuple[Question, ...]


GROUPS: tuple[Group, ...] = (
    Group("gender", "gender", (Question("man", "woman"),)),
    Group("backpack", "a backpack", (Question("backpack"),)),
    Group("bag", "any bag", (Question("a bag"),)),
    Group("headwear", "headwear", (Question("headwear"),)),
    Group("skirt_or_dress", "a skirt or dress", (Question("skirt or dress"),)),
    Group("hair_length", "hair length", (Question("long hair", "short hair"),)),
    Group("sleeves", "sleeves", (Question("long sleeves", "short sleeves"),)),
    Group("glasses", "glasses", (Question("glasses"),)),
    Group("beard", "a beard", (Question("beard"),)),
    Group("held", "what is held", tuple(Question(name) for name in TYPES["handheld"])),
)


def fact_text(name: str) -> str:
    """The text that asks for one fact: "a person with a backpack"."""
    kind = FACTS[FACT_INDEX[name]].kind
    part = kind.removesuffix(" colour")
    if kind == "gender":
        return f"a {name}"
    if name == "headwear":
        return "a person wearing a hat or a cap"
    if kind.endswith(" colour") and part in COLOURED_PARTS:
        colour = name.removesuffix(f" {part}")
        return COLOURED[part].format(colour).replace(" a orange", " an orange").replace(" a olive", " an olive")
    if name in BAGS:
        return f"a person with {BAGS[name].format('')}"
    if name in GARMENTS:
        return f"a person {'wearing' if kind == 'headwear' else 'in'} {GARMENTS[name].format('')}"
    return f"a person {OTHER_PHRASES[name][0]}"
