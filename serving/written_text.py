"""Texts that a request carries and that people read later: descriptions, purposes, notes."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_TEXT = 1000
MAX_PURPOSE = 200

# They turn the direction of what follows, so that a reader sees another text than the one that was recorded.
DIRECTION_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SHOWN = str.maketrans(dict.fromkeys(DIRECTION_CONTROLS, "\ufffd"))


def visible(text: str) -> str:
    """A text as a report shows it: with a replacement character for each control of its direction."""
    return text.translate(_SHOWN)


def _not_turned(text: str) -> str:
    if DIRECTION_CONTROLS & set(text):
        raise ValueError("no controls of the direction of text (U+202A to U+202E, U+2066 to U+2069) expected")
    return text


def _not_blank(text: str) -> str:
    """Python counts more characters as space than pydantic, and an encoder takes no text of these alone."""
    if not text.strip():
        raise ValueError("characters that are not space expected")
    return text


NotTurned = AfterValidator(_not_turned)
Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT),
    AfterValidator(_not_blank),
    NotTurned,
]
Purpose = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_PURPOSE), NotTurned]
