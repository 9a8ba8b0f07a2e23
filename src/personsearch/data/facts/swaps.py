"""Sentences with one thing in them made wrong: "with a backpack" becomes "with a suitcase".

Evaluation asks whether a model prefers the right sentence and uses the lexicon's fixed wrong words. Training draws its
wrong words, and only such that are false of the image.

Shapes: N images, F facts.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from personsearch.data.facts.catalogue import (
    COLOURED_PARTS,
    FACT_INDEX,
    FACTS,
    NEAR_COLOURS,
    NEAR_TYPES,
    TYPES,
    colour_fact,
)
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN, facts_in_attributes
from personsearch.data.facts.lexicon import (
    COLOUR_WORDS,
    KINDS,
    NOUNS,
    WRONG_COLOURS,
    WRONG_GENDER,
    WRONG_HAIR,
    WRONG_NOUNS,
    WRONG_SLEEVES,
)
from personsearch.data.facts.words import WORD, Mention, colour_spans, facts_in, mentions
from personsearch.data.records import ImageRecord

GENDER_NOUN = re.compile(r"\b(man|woman|lady|gentleman|girl|boy|male|female|guy)\b", re.IGNORECASE)
GENDER_WORD = re.compile(rf"\b({'|'.join(sorted(WRONG_GENDER, key=len, reverse=True))})\b", re.IGNORECASE)
NOT_OWNED = re.compile(r"\s*(?:$|[^\w\s]|(?:and|as|with|in|on|while|from|to|is|who|at|by)\b)", re.IGNORECASE)
UNCOLOURED = ("hair", "gender", "sleeves", "pattern", "beard", "eyewear", "riding")
GENDERED = ("beard", "bald", "skirt", "dress", "blouse")
AROUND_THE_FACE = ("eyewear", "scarf")
"""Parts that are exchanged for each other: both kinds of glasses look much alike."""
DRAWN_FIRST = {
    "eyewear": 12.0, "headwear": 10.0, "sleeves": 5.0, "bag": 4.0, "upper garment": 3.0, "lower garment": 3.0,
    "gender": 2.0, "hair": 1.5, "vehicle": 4.0,
}  # fmt: skip
"""How many times as likely a kind is drawn as a colour: more for what few captions name or other words seldom fit."""
DESCRIBING = {word for words in COLOUR_WORDS.values() for phrase in words for word in WORD.findall(phrase)} | {
    "dark", "light", "deep", "faded", "long", "short", "loose", "tight", "thick", "thin", "small", "large", "big",
    "striped", "checked", "plaid", "dotted", "knitted",
}  # fmt: skip
MOST_COUNTED = 2000
LINKS = {"in", "with", "and", "wearing", "wears", "has", "on"}
"""Words after which a noun in the singular needs an article."""
OWNERS = {"his", "her", "their", "the"}


@dataclass(frozen=True, slots=True)
class Swap:
    """A text with one thing in it made wrong: what kind of thing, and the new text."""

    kind: str
    text: str


class WrongWords(Protocol):
    """Chooses words that make a mention wrong; None where there are none."""

    def noun(self, mention: Mention) -> str | None:
        """Another noun."""

    def colour(self, mention: Mention, name: str) -> str | None:
        """Another colour than this one of the catalogue."""


class FixedWords:
    """The lexicon's wrong words, the same for each image."""

    def noun(self, mention: Mention) -> str | None:
        """Another noun of its part."""
        return WRONG_NOUNS.get(mention.part, {}).get(mention.fact)

    def colour(self, mention: Mention, name: str) -> str | None:
        """A colour far from this one."""
        return WRONG_COLOURS[name]


@dataclass(frozen=True, slots=True)
class DrawnWords:
    """Words that are wrong of one image, drawn as often as captions say them (`counts_F`).

    A word that is right of the image after all, or nearly, is drawn as often as any and ends in None. So coats become
    T-shirts as often as T-shirts become coats. Were some words right more often than wrong, the words alone would tell
    which sentence is right.
    """

    known_F: NDArray[np.int8]
    from_attributes: bool
    counts_F: NDArray[np.int64]
    rng: np.random.Generator

    def noun(self, mention: Mention) -> str | None:
        """A noun of a type that the image does not show; None for nouns that say no type, as nothing becomes one."""
        if not mention.fact:
            return None
        parts = AROUND_THE_FACE if mention.part in AROUND_THE_FACE else (mention.part,)
        part_of = {name: part for part in parts for name in NOUNS[part] if name}
        drawn = self._draw(list(part_of))
        if drawn is None or _near(drawn, mention.fact):
            return None
        # People name a scarf with its colour; without one it would be known as wrong.
        colour = f"{self._one(COLOUR_WORDS[self._one(list(COLOUR_WORDS))])} " if drawn == "scarf" else ""
        return colour + self._one(NOUNS[part_of[drawn]][drawn])

    def colour(self, mention: Mention, name: str) -> str | None:
        """A colour that the part does not have."""
        if mention.part not in COLOURED_PARTS:
            return None
        drawn = self._draw([colour_fact(mention.part, other) for other in NEAR_COLOURS])
        colour = name if drawn is None else drawn.removesuffix(f" {mention.part}")
        return None if colour == name or colour in NEAR_COLOURS[name] else self._one(COLOUR_WORDS[colour])

    def make_wrong(self, before: str, after: str) -> bool:
        """Whether the second text differs in something that is false of the image, and the first does not.

        Captions leave things out, so where facts come from them, what no caption of the image says counts as false.
        """
        old, new = facts_in(before), facts_in(after)
        dropped = {name: value for name, value in old.items() if new.get(name) != value}
        added = {name: value for name, value in new.items() if old.get(name) != value}
        if not added or self._any_is(dropped, right=False):
            return False
        if self.from_attributes:
            return self._any_is(added, right=False)
        return not self._any_is({name: value for name, value in added.items() if value}, right=True)

    def _any_is(self, stated: dict[str, bool], *, right: bool) -> bool:
        """Whether any of this is known to be right, or known to be wrong, of the image."""
        known = ((self.known_F[FACT_INDEX[name]], value) for name, value in stated.items())
        return any(fact != UNKNOWN and ((fact == TRUE) == value) == right for fact, value in known)

    def _draw(self, facts: list[str]) -> str | None:
        """One of the facts, by how often captions state it; None if it is not wrong of the image."""
        counts = self.counts_F[[FACT_INDEX[fact] for fact in facts]]
        if not counts.sum():
            return None
        drawn = str(self.rng.choice(facts, p=counts / counts.sum()))
        known = self.known_F[FACT_INDEX[drawn]]
        return drawn if known == FALSE or (known == UNKNOWN and not self.from_attributes) else None

    def _one(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]


@dataclass(frozen=True, slots=True)
class WrongCaptions:
    """Makes wrong captions of a data set's images.

    `told_N` says of which images attributes give the facts, `counts_F` how many captions state a fact.
    """

    known_NF: NDArray[np.int8]
    told_N: NDArray[np.bool_]
    counts_F: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[ImageRecord], known_NF: NDArray[np.int8]) -> Self:
        """From the images' records and facts; captions are counted on an even choice of images."""
        told_N = np.array([bool(facts_in_attributes(record)) for record in records], bool)
        counts_F = np.zeros(len(FACTS), np.int64)
        for record in records[:: max(1, len(records) // MOST_COUNTED)]:
            for caption in record.captions:
                for name, value in facts_in(caption).items():
                    counts_F[FACT_INDEX[name]] += value
        return cls(known_NF, told_N, counts_F)

    def draw(self, image: int, text: str, rng: np.random.Generator) -> Swap | None:
        """The text with one thing made wrong of the image; None where nothing can be. Kinds of things that few captions
        name are drawn before others.
        """
        words = DrawnWords(self.known_NF[image], bool(self.told_N[image]), self.counts_F, rng)
        things = _things_in(text, around_the_face=AROUND_THE_FACE)
        if any(mention.fact in GENDERED for mention in mentions(text)):
            things.pop("gender", None)  # "a woman with a beard" is wrong of everybody, whatever the image shows
        for kind in _in_drawn_order(list(things), rng):
            for index in rng.permutation(len(things[kind])).tolist():
                changed = _made_wrong(text, kind, things[kind][index], words)
                if changed is not None and words.make_wrong(text, changed):
                    return Swap(kind, changed)
        return None


def swapped(text: str) -> list[Swap]:
    """For each kind of thing that the text names: the same text with it made wrong."""
    words, swaps = FixedWords(), []
    for kind, mentioned in _things_in(text).items():
        options = (_made_wrong(text, kind, mention, words) for mention in mentioned)
        swaps += [Swap(kind, changed) for changed in _first(options)]
    return swaps


def _in_drawn_order(kinds: list[str], rng: np.random.Generator) -> list[str]:
    weights = np.array([DRAWN_FIRST.get(kind, 1.0) for kind in kinds])
    return (
        [str(kind) for kind in rng.choice(kinds, len(kinds), replace=False, p=weights / weights.sum())] if kinds else []
    )


def _things_in(text: str, around_the_face: Iterable[str] = ("eyewear",)) -> dict[str, list[Mention]]:
    """Kind → the mentions that can be made wrong."""
    found = [mention for mention in mentions(text) if not mention.denied]
    things = {"gender": [mention for mention in found if mention.part == "gender"][:1]}
    for part, kind in KINDS.items():
        parts = around_the_face if part == "eyewear" else (part,)
        things[kind] = [mention for mention in found if mention.part in parts]
    things["colour"] = [mention for mention in found if mention.part not in UNCOLOURED]
    return {kind: mentioned for kind, mentioned in things.items() if mentioned}


def _made_wrong(text: str, kind: str, mention: Mention, words: WrongWords) -> str | None:
    match kind:
        case "gender":
            return _other_gender(text)
        case "colour":
            return _wrong_colour(text, mention, words)
        case "sleeves":
            return _replaced(text, mention.start, mention.end, _wrong_word(WRONG_SLEEVES))
        case "hair":
            return _replaced(text, mention.start - len(mention.adjectives), mention.end, _wrong_word(WRONG_HAIR))
    noun = words.noun(mention)
    if noun is None or (mention.part in AROUND_THE_FACE and _says_both(text, noun)):
        return None
    return _renamed(text, mention, noun)


def _says_both(text: str, noun: str) -> bool:
    """Whether the text names the noun's part already: "glasses and a scarf"."""
    named = {mention.fact for mention in mentions(text)}
    return any(mention.fact in named for mention in mentions(noun))


def _first(options: Iterator[str | None]) -> list[str]:
    """The first text that could be made, if any."""
    return [option for option in options if option is not None][:1]


@cache
def _near(name: str, fact: str) -> bool:
    """Whether an image of one type might be said to show the other."""
    values = {each: {value for types in TYPES.values() for value in types.get(each, ())} for each in (name, fact)}
    called = {each: values[each] | set(NEAR_TYPES.get(each, ())) for each in (name, fact)}
    return bool(values[name] & called[fact] or values[fact] & called[name]) or name == fact


def _other_gender(text: str) -> str | None:
    """Every noun and pronoun of gender turned, so that the sentence still agrees with itself."""
    if not GENDER_NOUN.search(text):
        return None

    def turned(match: re.Match[str]) -> str:
        word = match[0].lower()
        wrong = "him" if word == "her" and NOT_OWNED.match(text, match.end()) else WRONG_GENDER[word]
        return _cased(wrong, match[0])

    return GENDER_WORD.sub(turned, text)


def _renamed(text: str, mention: Mention, noun: str) -> str | None:
    """The text with another noun in its own number: "a pair of jeans" becomes "a skirt", "a skirt" "jeans".

    None where that takes more than an article.
    """
    words = WORD.findall(text.lower())
    first = mention.start
    while first > 0 and (words[first - 1] in DESCRIBING or "-" in words[first - 1]):
        first -= 1
    kept = mention.start if mention.part in AROUND_THE_FACE else first  # a scarf's colour is not that of glasses
    described = " ".join([*words[kept : mention.start], noun])
    before = words[first - 1] if first else ""
    match _is_plural(words[mention.end - 1]), _is_plural(noun.rsplit(maxsplit=1)[-1]):
        case True, False if words[max(first - 3, 0) : first] == ["a", "pair", "of"]:
            return _replaced(text, first - 3, mention.end, lambda _: _with_article(described))
        case True, False if not before or before in LINKS:
            return _replaced(text, first, mention.end, lambda _: _with_article(described))
        case True, False if before not in OWNERS:
            return None
        case False, True if before in ("a", "an"):
            return _replaced(text, first - 1, mention.end, lambda _: described)
    start = first if mention.part in AROUND_THE_FACE else mention.start
    return _replaced(text, start, mention.end, lambda _: noun)


def _is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith("ss")


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _wrong_word(wrong: dict[str, str]) -> Callable[[str], str]:
    """Replaces the first of these words in a phrase, also where it begins a compound ("long-sleeved")."""
    pattern = re.compile(rf"(?<![\w-])({'|'.join(wrong)})(?!\w)", re.IGNORECASE)
    return lambda phrase: pattern.sub(lambda match: _cased(wrong[match[0].lower()], match[0]), phrase, count=1)


def _wrong_colour(text: str, mention: Mention, words: WrongWords) -> str | None:
    """The first colour before a noun made wrong."""
    first = mention.start - len(mention.adjectives)
    spans = colour_spans(list(mention.adjectives))
    if not spans:
        return None
    start, end, name = spans[0]
    colour = words.colour(mention, name)
    return None if colour is None else _replaced(text, first + start, first + end, lambda _: colour)


def _replaced(text: str, start: int, end: int, change: Callable[[str], str]) -> str | None:
    """The text with the words from `start` to `end` changed; None if they stay what they are."""
    spans = [match.span() for match in WORD.finditer(text.lower())]
    left, right = spans[start][0], spans[end - 1][1]
    changed = _cased(change(text[left:right]), text[left:right])
    return None if changed == text[left:right] else _article(text[:left], changed) + changed + text[right:]


def _article(before: str, word: str) -> str:
    """The text before a word, with the article that the word needs."""
    return re.sub(r"\b([Aa])n? $", r"\1n " if word[0].lower() in "aeiou" else r"\1 ", before)


def _cased(word: str, like: str) -> str:
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
