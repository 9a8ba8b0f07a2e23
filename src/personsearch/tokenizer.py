"""Turns text into token ids with a bundle's `tokenizer.json`; used by training, export and serving alike.

Shapes: N texts, L context length.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from personsearch.errors import UserError

COUNTED_AT_ONCE = 4096


class Tokenizer:
    """Fixed-length token ids. The file itself adds the start and end tokens; rows are padded with 0.

    In CLIP's form the end-of-text token has the highest id, so `ids.argmax(-1)` is its position, as open_clip pools.
    """

    def __init__(self, path: Path, context_length: int) -> None:
        if not path.is_file():
            raise UserError(f"{path}: tokenizer file is missing")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self.context_length = context_length
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        ends = self._tokenizer.encode("").ids
        self.end_id = ends[-1] if ends else 0

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts are longer than the context, so that a model does not read their ends."""
        groups = (list(texts[start : start + COUNTED_AT_ONCE]) for start in range(0, len(texts), COUNTED_AT_ONCE))
        return sum(
            len(each.ids) > self.context_length for group in groups for each in self._tokenizer.encode_batch(group)
        )

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Token ids [N, L]; a text that is too long is cut and still ends with the end-of-text token."""
        ids_NL = np.zeros((len(texts), self.context_length), dtype=np.int64)
        for row, encoding in zip(ids_NL, self._tokenizer.encode_batch(list(texts)), strict=True):
            ids = encoding.ids[: self.context_length]
            row[: len(ids)] = ids
            if len(encoding.ids) > self.context_length and self.end_id:
                row[-1] = self.end_id
        return ids_NL


def text_lengths(ids_NL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of each text [N], its end included: padding is 0, and no text ends with token 0."""
    return np.asarray(ids_NL.shape[1] - (ids_NL[:, ::-1] != 0).argmax(axis=1), dtype=np.int64)


def trim(ids_NL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut columns that hold padding in every row."""
    return ids_NL[:, : int(text_lengths(ids_NL).max())] if len(ids_NL) else ids_NL
