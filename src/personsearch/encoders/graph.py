"""The part of an ONNX encoder that all engines share (tokens, pixels, batches); an engine only runs a graph.

Shapes: N items, B items of one batch, L tokens, H height, W width, D embedding dimension.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, Bundle, Preprocessing
from personsearch.encoders.golden import verify_golden
from personsearch.errors import UserError
from personsearch.images import normalise
from personsearch.tokenizer import text_lengths

BATCH_SIZE = 32
MAX_STRETCH = 1.25  # longest text of a batch over its shortest, so that at most a fifth of its tokens are padding

Graph = Callable[[NDArray[np.generic]], NDArray[np.float32]]


class GraphEncoder:
    """Implements Encoder with the two graphs of an ONNX bundle. Safe to call from several threads at once."""

    def __init__(self, bundle: Bundle, load: Callable[[Path], Graph], *, verify: bool) -> None:
        """`load` makes a graph callable; `verify` runs the golden inputs.

        Raises:
            UserError: the bundle has no usable ONNX graphs, or fails its golden inputs.
        """
        self._preprocessing = bundle.spec.preprocessing
        self._embedding_dim = bundle.spec.embedding_dim
        self._tokenizer = bundle.tokenizer
        self._image_graph = load(_present(bundle.path(IMAGE_ONNX)))
        self._text_graph = load(_present(bundle.path(TEXT_ONNX)))
        if verify:
            verify_golden(bundle, self)

    @property
    def preprocessing(self) -> Preprocessing:
        return self._preprocessing

    @property
    def embedding_dim(self) -> int:
        return self._embedding_dim

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors [N, D] of resized pictures.

        Raises:
            ValueError: the pixels are not uint8 of the model's height and width.
        """
        height, width = self._preprocessing.height, self._preprocessing.width
        if pixels_NHW3.shape[1:] != (height, width, 3) or pixels_NHW3.dtype != np.uint8:
            raise ValueError(
                f"pixels {pixels_NHW3.dtype} {list(pixels_NHW3.shape)}; expected uint8 [N, {height}, {width}, 3]"
            )
        vectors_ND = self._empty(len(pixels_NHW3))
        for start in range(0, len(pixels_NHW3), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            standard_B3HW = normalise(pixels_NHW3[batch], self._preprocessing.mean, self._preprocessing.std)
            vectors_ND[batch] = self._checked(self._image_graph(standard_B3HW), IMAGE_ONNX)
        return vectors_ND

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, D]. Texts of similar length share a batch, cut to its longest: padding changes nothing."""
        vectors_ND = self._empty(len(texts))
        if not texts:
            return vectors_ND
        tokens_NL = self._tokenizer.encode(texts)
        lengths_N = text_lengths(tokens_NL)
        for rows_B in length_batches(lengths_N):
            tokens_BL = tokens_NL[rows_B, : lengths_N[rows_B[-1]]]
            vectors_ND[rows_B] = self._checked(self._text_graph(tokens_BL), TEXT_ONNX)
        return vectors_ND

    def text_cut_after(self, text: str) -> int | None:
        return self._tokenizer.cut_after(text)

    def _checked(self, vectors_BD: NDArray[np.float32], graph: str) -> NDArray[np.float32]:
        if vectors_BD.shape[1:] != (self._embedding_dim,):
            given = "×".join(map(str, vectors_BD.shape[1:]))
            raise UserError(f"{graph} gives vectors of {given} dimensions, the bundle says {self._embedding_dim}")
        return vectors_BD

    def _empty(self, length: int) -> NDArray[np.float32]:
        return np.empty((length, self._embedding_dim), dtype=np.float32)


def length_batches(lengths_N: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows in batches of at most BATCH_SIZE texts, short ones first; in a batch, lengths differ by MAX_STRETCH."""
    order_N = np.argsort(lengths_N, kind="stable")
    sorted_N = lengths_N[order_N]
    start = 0
    while start < len(order_N):
        alike = int(np.searchsorted(sorted_N, MAX_STRETCH * sorted_N[start], side="right"))
        end = min(alike, start + BATCH_SIZE)
        yield order_N[start:end]
        start = end


def _present(graph: Path) -> Path:
    if not graph.is_file():
        raise UserError(f"{graph}: missing; run `personsearch compress` to export the model")
    return graph
