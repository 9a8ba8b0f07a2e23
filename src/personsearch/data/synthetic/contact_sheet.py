"""A sheet of samples of a synthetic data set, to look at."""

import json
from pathlib import Path

import cv2
import numpy as np

from personsearch.data.synthetic.synthesize import ANNOTATIONS
from personsearch.files import replacing

TILE = (192, 96)
"""Height and width of one sample."""


def save_contact_sheet(dataset: Path, path: Path, *, columns: int = 14, rows: int = 4, seed: int = 0) -> None:
    """Save a PNG of randomly chosen images of a data set, or all of them if there are fewer."""
    entries = json.loads((dataset / ANNOTATIONS).read_text(encoding="utf-8"))
    order = np.random.default_rng(seed).permutation(len(entries))[: columns * rows]
    sheet = np.full((rows * TILE[0], columns * TILE[1], 3), 255, np.uint8)
    for place, index in enumerate(order):
        image = cv2.imread(str(dataset / "imgs" / entries[int(index)]["file_path"]))
        top, left = place // columns * TILE[0], place % columns * TILE[1]
        tile = cv2.resize(image, (TILE[1], TILE[0]), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + TILE[0], left : left + TILE[1]] = tile
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
