"""Where a person's parts are in an image: a grid of cells, each of which shows one part.

A data set says it in the attribute `layout`: one letter for each of 16 × 8 cells, row by row, "a" for the background.
The generator of synthetic people knows it. Naming parts cell by cell teaches shapes far faster than facts of whole
images do.

Shapes: N images, C cells.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.data.records import ImageRecord
from personsearch.errors import UserError

LAYOUT_GRID = (16, 8)
"""Rows and columns of the cells."""
NUM_CELLS = LAYOUT_GRID[0] * LAYOUT_GRID[1]
PARTS = (
    "background", "skin", "hair", "beard", "eyewear", "headwear", "hood", "scarf", "upper", "inner", "pattern", "lower",
    "shoes", "bag", "handheld", "umbrella", "tie", "hi-vis", "vehicle",
)  # fmt: skip
"""The part that each letter stands for, from "a"."""
NO_LAYOUT = -1


def write_layout(parts_RC: NDArray[np.integer]) -> str:
    """The letters of a grid of indices of `PARTS`."""
    return "".join(chr(ord("a") + int(index)) for index in parts_RC.ravel())


def layouts(records: Sequence[ImageRecord]) -> NDArray[np.int8]:
    """The index of the part in each cell, int8 [N, C]; NO_LAYOUT in every cell of an image without one.

    Raises:
        UserError: a layout has another number of cells, or an unknown letter.
    """
    layout_NC = np.full((len(records), NUM_CELLS), NO_LAYOUT, np.int8)
    for row, record in enumerate(records):
        letters = json.loads(record.attributes).get("layout") if record.attributes else None
        if letters is None:
            continue
        indices_C = np.frombuffer(str(letters).encode(), np.uint8).astype(np.int16) - ord("a")
        if len(indices_C) != NUM_CELLS or indices_C.min() < 0 or indices_C.max() >= len(PARTS):
            raise UserError(
                f"{record.path}: attribute layout is {letters!r:.40}; expected {NUM_CELLS} letters from a to "
                f"{chr(ord('a') + len(PARTS) - 1)}"
            )
        layout_NC[row] = indices_C
    return layout_NC
