"""Where a picture shows what a sentence says: how much their similarity loses when a part of the picture is covered.

Only the served encoder is asked, in whatever form it runs: no gradients are needed, and no export beside it. Zeiler and
Fergus cover parts of images so ("Visualizing and Understanding Convolutional Networks", 2014, section 4.2).

Shapes: N covered pictures, P sentences, H height, W width, R rows, C columns, D embedding dimension.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.encoders.encoder import Encoder

ROWS, COLUMNS = 16, 8
REACH = 1
"""A window covers a cell, and this many beside it on each side."""
COVERED = ROWS * COLUMNS // 2
"""Pictures that one map costs, beside the whole one: one with each window covered."""


def heat_maps(
    encoder: Encoder, pixels_HW3: NDArray[np.uint8], whole_D: NDArray[np.float32], sentences: Sequence[str]
) -> NDArray[np.float32]:
    """How much of the cosine similarity to each sentence is lost where the picture is covered: float32 [P, R, C].

    The picture has the size that the encoder takes, and `whole_D` is its vector. COVERED pictures are encoded.
    """
    windows = list(_windows(*pixels_HW3.shape[:2]))
    covered_NHW3 = np.repeat(pixels_HW3[None], len(windows), axis=0)
    covering_NRC = np.zeros((len(windows), ROWS, COLUMNS), np.float32)
    for number, (cells, pixels) in enumerate(windows):
        covering_NRC[number][cells] = 1.0
        covered_NHW3[number][pixels] = pixels_HW3.mean((0, 1)).round()
    text_PD = encoder.encode_texts(sentences)
    lost_PN = text_PD @ (whole_D - encoder.encode_images(covered_NHW3)).T
    maps_PRC: NDArray[np.float32] = np.einsum("pn,nrc->prc", lost_PN, covering_NRC / covering_NRC.sum(axis=0))
    return maps_PRC


def _windows(height: int, width: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """The cells and the pixels that each window covers. They lie around the cells of one colour of a chessboard."""
    for row in range(ROWS):
        for column in range(row % 2, COLUMNS, 2):
            rows, columns = _around(row, ROWS), _around(column, COLUMNS)
            yield (rows, columns), (_scaled(rows, height / ROWS), _scaled(columns, width / COLUMNS))


def _around(cell: int, cells: int) -> slice:
    return slice(max(0, cell - REACH), min(cells, cell + REACH + 1))


def _scaled(cells: slice, size: float) -> slice:
    return slice(round(cells.start * size), round(cells.stop * size))
