"""Turns text into token ids with a bundle's `tokenizer.json`; used by training, export and serving alike.

Shapes: N texts, L context length.
"""

import html
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from personsearch.bundle import TextCleaning
from personsearch.errors import UserError

COUNTED_AT_ONCE = 4096
PRE_CAPTION_WORDS = 77
WORD = re.compile(r"\S+")
PRE_CAPTION_REMOVED = re.compile(r'[.!"()*#:;~]')
ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")
TERMINAL_ESCAPE = re.compile(r"\x1b\[[\d;]*[a-zA-Z]")
WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}
LIGATURES = {ord(letter): unicodedata.normalize("NFKC", letter) for letter in "ĲĳŉǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄﬆ"} | {0xFB05: "ſt"}
WIDTHS = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFF01, 0xFFF0)} | {0x3000: " "}
QUOTES = dict.fromkeys(map(ord, "\u02bc\u2018\u2019\u201a\u201b"), "'") | dict.fromkeys(range(0x201C, 0x2020), '"')
LINES = {0x0D: "\n", 0x2028: "\n", 0x2029: "\n"}
CONTROLS = dict.fromkeys(
    [*range(9), 0x0B, *range(0x0E, 0x20), 0x7F, *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD)]
)
# One after the other, because what one gives another may change.
FOLDS = (WINDOWS, LIGATURES, WIDTHS, QUOTES, LINES)


class Tokenizer:
    """Fixed-length token ids. The file itself adds the start and end tokens; rows are padded with 0.

    In CLIP's form the end-of-text token has the highest id, so `ids.argmax(-1)` is its position, as open_clip pools.
    """

    def __init__(self, path: Path, context_length: int, cleaning: TextCleaning | None = None) -> None:
        if not path.is_file():
            raise UserError(f"{path}: tokenizer file is missing")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self.context_length = context_length
        self.cleaning = cleaning or TextCleaning()
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        ends = self._tokenizer.encode("").ids
        self.end_id = ends[-1] if ends else 0

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def clean(self, text: str) -> str:
        """What is split into tokens, where the bundle asks for more than its tokenizer.json does."""
        if self.cleaning.pre_caption:
            text = pre_caption(text)
        return fold(text) if self.cleaning.ftfy else text

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Token ids [N, L]; a text that is too long is cut and still ends with the end-of-text token."""
        ids_NL = np.zeros((len(texts), self.context_length), dtype=np.int64)
        for row, encoding in zip(ids_NL, self._encoded(texts), strict=True):
            ids = encoding.ids[: self.context_length]
            row[: len(ids)] = ids
            if len(encoding.ids) > self.context_length and self.end_id:
                row[-1] = self.end_id
        return ids_NL

    def cut_after(self, text: str) -> int | None:
        """How many characters of a text are read, in whole words; None if it is read to its end."""
        if self._fits(text):
            return None
        ends = [word.end() for word in WORD.finditer(text)]
        if not self._fits(text[: ends[0]]):
            ends = list(range(1, ends[0] + 1))  # one endless word, or a script without spaces
        fitting = bisect_left(ends, True, key=lambda end: not self._fits(text[:end]))
        return ends[fitting - 1] if fitting else 0

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts are longer than the context, so that a model does not read their ends."""
        groups = (texts[start : start + COUNTED_AT_ONCE] for start in range(0, len(texts), COUNTED_AT_ONCE))
        return sum(len(each.ids) > self.context_length for group in groups for each in self._encoded(group))

    def _fits(self, text: str) -> bool:
        if self.cleaning.pre_caption and len(_pre_caption_words(text)) > PRE_CAPTION_WORDS:
            return False
        return len(self._encoded([text])[0].ids) <= self.context_length

    def _encoded(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        return self._tokenizer.encode_batch([self.clean(text) for text in texts])


def pre_caption(text: str) -> str:
    """TBPS-CLIP's preparation of captions: lower case, some punctuation turned to spaces, the first 77 words."""
    return " ".join(_pre_caption_words(text)[:PRE_CAPTION_WORDS])


def _pre_caption_words(text: str) -> list[str]:
    spaced = re.sub(r"\s{2,}", " ", PRE_CAPTION_REMOVED.sub(" ", text.lower()))
    return spaced.rstrip("\n").strip(" ").split(" ")


def fold(text: str) -> str:
    """What OpenAI's CLIP does to a text before it splits it: ftfy and HTML's escapes, but no repair of mojibake."""
    if text.isascii() and text.isprintable() and "&" not in text:
        return text  # nothing below would change it
    before = ""
    while text != before:
        before = text
        if "<" not in text:  # as ftfy, which takes a text with tags for one whose escapes are meant
            text = ENTITY.sub(_unescaped, text)
        for table in FOLDS:
            text = text.translate(table)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = unicodedata.normalize("NFC", TERMINAL_ESCAPE.sub("", text).translate(CONTROLS))
    return html.unescape(html.unescape(text))


def _unescaped(entity: re.Match[str]) -> str:
    """A whole escape's character, with a name in capitals as a capital; anything else as it is."""
    text, found = entity[0], html.unescape(entity[0])
    if found == text and text.isupper():
        lower = html.unescape(text.lower())
        return text if lower == text.lower() else lower.upper()
    return text if ";" in found else found


def text_lengths(ids_NL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of each text [N], its end included: padding is 0, and no text ends with token 0."""
    return np.asarray(ids_NL.shape[1] - (ids_NL[:, ::-1] != 0).argmax(axis=1), dtype=np.int64)


def trim(ids_NL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut columns that hold padding in every row."""
    return ids_NL[:, : int(text_lengths(ids_NL).max())] if len(ids_NL) else ids_NL
