"""What a row must hold to enter a prepared data set. Each check returns the clean value or raises `Refused`."""

import json
import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal

from personsearch.data.records import SPLITS, Split
from personsearch.errors import shortened

Reason = Literal[
    "row-malformed", "image-missing", "image-unreadable", "image-too-small", "image-path-outside", "image-duplicate",
    "image-listed-again", "person-invalid", "split-invalid", "identity-in-two-splits", "captions-malformed",
    "caption-not-text", "caption-empty", "caption-too-long", "no-caption-left",
]  # fmt: skip
Remark = Literal[
    "caption-repeated-across-identities", "caption-not-english", "caption-holds-code", "back-translations-dropped",
    "attributes-dropped", "camera-dropped",
]  # fmt: skip

CHARACTERS_PER_WORD = 20
LARGEST_IDENTITY = 2**63 - 1
QUOTED_CHARACTERS = 80
CLIP_CONTEXT = 77
SPLIT_SYNONYMS: dict[str, Split] = {**{split: split for split in SPLITS}, "valid": "val", "validation": "val"}
PIECE = re.compile(r"[^\W\d_]+|\d|(?:[^\w\s]|_)+")
CODE = re.compile(r"</?[a-z]+[^>]*>|https?://|[{}\\]|\w+\(\)|\b(?:var|function|return|import)\b.*[;=(]", re.IGNORECASE)


class Refused(Exception):
    """A value that must not enter the data set: the reason, and what the value was."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `rejected.jsonl` or `warnings.jsonl`: the row, the file, the reason."""

    row: int
    annotation: str
    file: str
    reason: Reason | Remark
    detail: str


def quoted(value: object) -> str:
    """A value as it may stand in a message: one line, shortened, printable."""
    text = f"'{one_line(value)}'" if isinstance(value, str) else repr(value)
    return shortened(text, QUOTED_CHARACTERS)


def one_line(text: str) -> str:
    """The text in NFC, without control characters and without the lone surrogates that JSON allows and UTF-8 does not.

    NFC: an accented letter is one character, however a person's system writes it.
    """
    text = unicodedata.normalize("NFC", text)
    if text.isprintable():  # most captions, and much faster
        return " ".join(text.split())
    kept = (" " if unicodedata.category(character) in ("Cc", "Cs") else character for character in text)
    return " ".join("".join(kept).split())


def image_path(value: object) -> str:
    """A relative path that stays below the source folder; backslashes become slashes."""
    if not isinstance(value, str) or not value.strip():
        raise Refused("row-malformed", f"no image path: {quoted(value)}")
    if "\0" in value or not value.isprintable():
        raise Refused("row-malformed", f"image path with control characters: {quoted(value)}")
    path = PurePosixPath(value.strip().replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(value).drive or ".." in path.parts:
        raise Refused("image-path-outside", f"{quoted(value)}: a path below the data set's folder expected")
    return path.as_posix()


def split_name(value: object) -> Split:
    """`train`, `val` or `test`, whatever the case; `valid` and `validation` mean val."""
    split = SPLIT_SYNONYMS.get(value.strip().lower()) if isinstance(value, str) else None
    if split is None:
        raise Refused("split-invalid", f"split {quoted(value)}: train, val or test expected")
    return split


def whole_number(value: object) -> int | None:
    """The identity as a whole number from 0 if it is one in any spelling (7, "7", 7.0)."""
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,19}\s*", value):
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_IDENTITY:
        return value
    return None


def clean_caption(value: object, max_words: int) -> str:
    """A caption on one line, free of control characters; emoji and all scripts are accepted."""
    if not isinstance(value, str):
        raise Refused("caption-not-text", f"caption {quoted(value)}: text expected")
    if len(value) > max_words * CHARACTERS_PER_WORD:
        raise Refused("caption-too-long", f"{len(value)} characters; at most {max_words * CHARACTERS_PER_WORD}")
    caption = one_line(value)
    if not caption:
        raise Refused("caption-empty", f"caption {quoted(value)} holds no word")
    words = len(caption.split())
    if words > max_words:
        raise Refused("caption-too-long", f"{words} words; at most {max_words}")
    return caption


def is_cut_by_clip(caption: str) -> bool:
    """Whether CLIP's 77 tokens surely do not hold a caption: each run of letters or signs and each digit takes one or
    more, and so do start and end.
    """
    return len(PIECE.findall(caption)) + 2 > CLIP_CONTEXT


def caption_list(value: object) -> list[object]:
    """The captions of a row as a list; one text alone is a list of one."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise Refused("captions-malformed", f"captions {quoted(value)}: a list of texts expected")
    return value


def caption_remarks(caption: str) -> list[tuple[Remark, str]]:
    """What is odd about a caption but no reason to refuse it."""
    remarks: list[tuple[Remark, str]] = []
    if CODE.search(caption):
        remarks.append(("caption-holds-code", quoted(caption)))
    if not caption.isascii() and any(character.isalpha() and not character.isascii() for character in caption):
        remarks.append(("caption-not-english", quoted(caption)))
    return remarks


def attributes_text(value: object) -> str | None:
    """Attributes as the text of a JSON object, keys sorted; None for None.

    Raises:
        ValueError: anything that is not an object, or cannot be written as JSON.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, dict):
        raise ValueError("an object expected")
    return json.dumps(value, ensure_ascii=True, sort_keys=True, allow_nan=False)
