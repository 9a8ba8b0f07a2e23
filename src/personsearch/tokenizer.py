"""Text to token ids by a bundle's `tokenizer.json`: the one tokenizer of training, export and serving.

Shapes: N texts, L context length.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from personsearch.errors import UserError


class Tokenizer:
    """Fixed-length token ids. The file itself adds the start and end tokens; rows are padded with 0.

    The end-of-text token has the highest id, so `ids.argmax(-1)` is its position, as open_clip pools.
    """

    def __init__(self, path: Path, context_length: int) -> None:
        if not path.is_file():
            raise UserError(f"{path}: tokenizer file is missing")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self.context_length = context_length
        self.end_id = self._tokenizer.get_vocab_size() - 1

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Token ids [N, L]; a longer text is cut and still ends with the end-of-text token."""
        ids_NL = np.zeros((len(texts), self.context_length), dtype=np.int64)
        for row, encoding in zip(ids_NL, self._tokenizer.encode_batch(list(texts)), strict=True):
            ids = encoding.ids[: self.context_length]
            row[: len(ids)] = ids
            if len(encoding.ids) > self.context_length:
                row[-1] = self.end_id
        return ids_NL
