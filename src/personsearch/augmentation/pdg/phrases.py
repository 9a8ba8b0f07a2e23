"""A small grammar of captions: finds phrases with a colour and a garment, and rewrites them with another colour.

phrase      colours filler{0,3} garment+      "dark blue zip-up jacket", "red and black polo shirt"
statement   garment (that|which)? is colour   "his jacket is dark blue"
colours     colour (("/"|"and"|"&") colour)*
colour      (light|dark|bright …)* word       and the pairs of COMPOUNDS
"""

import re
from dataclasses import dataclass

from personsearch.augmentation.pdg.colours import COMPOUNDS, DARK, LIGHT, PLAIN, WORDS, cloth_named
from personsearch.augmentation.pdg.garments import DETAILS, NOT_OF_A_PHRASE, PART_OF_WORD, WHOLE_OUTFIT, Part

MOST_FILLERS = 3
TOKEN = re.compile(r"t-shirts?|flip-flops|[a-z]+(?:'[a-z]+)?", re.IGNORECASE)
MODIFIERS = LIGHT | DARK | PLAIN
JOINS_COLOURS = re.compile(r"\s*(?:/|&|-)?\s*")
JOINS_WORDS = re.compile(r"\s*-?\s*")
COPULAS = {"is", "are", "was", "were"}


@dataclass(frozen=True, slots=True)
class ColourPhrase:
    """One colour of one garment: `text[start:end]` is the colour as written, `cloth` what it may stand for.

    `shared` means that the garment has several colours ("red and black jacket"), of which this is one.
    """

    start: int
    end: int
    colour: str
    cloth: tuple[str, ...]
    garment: str
    part: Part
    shared: bool = False


@dataclass(frozen=True, slots=True)
class _Span:
    """A colour as written: its words [first, after) and its characters [start, end)."""

    first: int
    after: int
    start: int
    end: int


class _Caption:
    """A caption split into words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.matches = list(TOKEN.finditer(text))
        self.words = [match[0].lower().replace("t-shirts", "t-shirt") for match in self.matches]

    def word(self, index: int) -> str:
        return self.words[index] if index < len(self.words) else ""

    def joined(self, index: int, joint: re.Pattern[str]) -> bool:
        """Whether only `joint` separates the word at this index from the one before."""
        if not 0 < index < len(self.words):
            return False
        return joint.fullmatch(self.text, self.matches[index - 1].end(), self.matches[index].start()) is not None

    def colour_at(self, index: int) -> _Span | None:
        """The colour that starts with this word."""
        last = index
        while self.word(last) in MODIFIERS and self.joined(last + 1, JOINS_WORDS):
            last += 1
        if f"{self.word(last)} {self.word(last + 1)}" in COMPOUNDS and self.joined(last + 1, JOINS_WORDS):
            last += 1
        elif self.word(last) not in WORDS:
            return None
        return _Span(index, last + 1, self.matches[index].start(), self.matches[last].end())

    def colours_at(self, index: int) -> list[_Span]:
        """The list of colours that starts with this word."""
        spans = []
        while (span := self.colour_at(index)) is not None:
            spans.append(span)
            index = span.after
            if self.word(index) == "and":
                index += 1
            elif not self.joined(index, JOINS_COLOURS):
                break
        return spans

    def garment_after(self, index: int) -> int | None:
        """The index of the garment's last word, in a phrase whose colours end before `index`; None if there is none."""
        for place in range(index, index + MOST_FILLERS + 1):
            word = self.word(place)
            if not self.joined(place, JOINS_WORDS) or word in NOT_OF_A_PHRASE or word in WORDS or word in MODIFIERS:
                return None
            if word in PART_OF_WORD:
                while self.joined(place + 1, JOINS_WORDS) and self.word(place + 1) in PART_OF_WORD:
                    place += 1  # noqa: PLW2901 the last word names the garment: a polo shirt is a shirt
                detail = self.joined(place + 1, JOINS_WORDS) and self.word(place + 1) in DETAILS
                return None if detail else place
        return None

    def statement_after(self, index: int) -> int | None:
        """The index of the colour in a statement about the garment at `index` ("jacket is dark blue"); None if none."""
        place = index + 1
        if self.word(place) in ("that", "which"):
            place += 1
        if self.word(place) not in COPULAS or not self.joined(place, JOINS_WORDS):
            return None
        return place + 1


def colour_phrases(text: str) -> list[ColourPhrase]:
    """Every colour that a phrase or statement gives a garment, in reading order."""
    caption, found, index = _Caption(text), list[ColourPhrase](), 0
    while index < len(caption.words):
        if spans := caption.colours_at(index):
            garment = caption.garment_after(spans[-1].after)
            found += _phrases(caption, spans, garment)
            index = spans[-1].after if garment is None else garment + 1
        elif caption.word(index) in PART_OF_WORD and (start := caption.statement_after(index)) is not None:
            spans = caption.colours_at(start)
            is_statement = bool(spans) and caption.garment_after(spans[-1].after) is None
            found += _phrases(caption, spans, index if is_statement else None)
            index = spans[-1].after if is_statement else index + 1
        else:
            index += 1
    return found


def speaks_of_whole_outfit(text: str) -> bool:
    """Whether the caption gives several garments one colour at once ("dressed all in black", "dark clothes")."""
    return not WHOLE_OUTFIT.isdisjoint(_Caption(text).words)


def _phrases(caption: _Caption, spans: list[_Span], garment: int | None) -> list[ColourPhrase]:
    if garment is None:
        return []
    word = caption.word(garment)
    written = [caption.text[span.start : span.end] for span in spans]
    return [
        ColourPhrase(span.start, span.end, colour, cloth_named(colour), word, PART_OF_WORD[word], len(spans) > 1)
        for span, colour in zip(spans, written, strict=True)
    ]


def with_colour(text: str, phrases: list[ColourPhrase], colour: str) -> str:
    """The caption with the colours of `phrases` replaced; "a"/"an", capitals and the spelling of grey are adapted."""
    for phrase in sorted(phrases, key=lambda phrase: phrase.start, reverse=True):
        before, after = text[: phrase.start], text[phrase.end :]
        new = colour.replace("grey", "gray") if re.search(r"\bgray\b", text, re.IGNORECASE) else colour
        text = _with_article(before, "an" if new[0] in "aeiou" else "a") + _like(phrase.colour, new) + after
    return text


def _with_article(before: str, article: str) -> str:
    """The text before a colour, with the "a" or "an" at its end corrected."""
    found = re.search(r"\b(an?)(\s+)$", before, re.IGNORECASE)
    return before if found is None else before[: found.start()] + _like(found[1], article) + found[2]


def _like(model: str, word: str) -> str:
    return word[0].upper() + word[1:] if model[0].isupper() else word
