"""Divides a description into the things that it names, each to be asked for alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from personsearch.data.facts.lexicon import COLOUR_WORDS

MOST_PHRASES = 12
LINKS = {
    "wearing": "wearing", "wears": "wearing", "with": "with", "has": "with", "in": "in", "carrying": "carrying",
    "carries": "carrying", "holding": "holding", "holds": "holding", "pushing": "pushing", "pulling": "pulling",
    "riding": "riding",
    "and": "",
}  # fmt: skip
"""The words between two things, and how a sentence about the second alone says them; "" repeats the one before."""
LINK = re.compile(rf"\s*[,;.]\s*(?:({'|'.join(LINKS)})\b)?\s*|\s*\b({'|'.join(LINKS)})\b\s*", re.IGNORECASE)
LEADING = re.compile(r"^(?:(?:who|which|that|is|are|it|he|she|they)\b\s*)*", re.IGNORECASE)
TRAILING = re.compile(r"(?:\s*\b(?:who|which|that|is|are))*$", re.IGNORECASE)
HANDS = re.compile(r"(?:(?:his|her|their|the|one|left|right|both|hands?)\b\s*)+", re.IGNORECASE)
COLOURS = {words.split()[-1] for group in COLOUR_WORDS.values() for words in group}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of a description, from `start` to `end` of its characters, and the sentence that asks for it alone."""

    text: str
    start: int
    end: int
    sentence: str


def phrases(description: str) -> list[Phrase]:
    """The things that a description names, in its order: the person, and each that they wear, carry or have."""
    found: list[Phrase] = []
    link = "with"
    for piece, word in _pieces(description):
        link = LINKS.get(word) or link
        phrase = _trimmed(description, piece)
        text = description[phrase]
        if text and not HANDS.fullmatch(text):
            found.append(Phrase(text, phrase.start, phrase.stop, f"a person {link} {text}" if found else text))
    return found[:MOST_PHRASES]


def _pieces(description: str) -> Iterator[tuple[slice, str]]:
    """Each piece between two links, and the link before it."""
    start, before = 0, ""
    for link in LINK.finditer(description):
        words = description[start : link.start()].split()
        word = (link[1] or link[2] or "").lower()
        if word == "and" and words and words[-1].lower() in COLOURS:
            continue  # a black and white shirt
        yield slice(start, link.start()), before
        start, before = link.end(), word
    yield slice(start, len(description)), before


def _trimmed(description: str, piece: slice) -> slice:
    """A piece without spaces and verbs around it."""
    left_trimmed = LEADING.sub("", description[piece].lstrip())
    start = piece.stop - len(left_trimmed)
    return slice(start, start + len(TRAILING.sub("", left_trimmed.rstrip())))
