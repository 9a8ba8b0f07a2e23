"""A contact sheet of generated pairs: the image before and after, each with its caption."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from personsearch.augmentation.pdg.generator import Change
from personsearch.files import replacing
from personsearch.images import open_image, resize

TILE = (224, 104)
CAPTION_HEIGHT, GAP, COLUMNS, ROWS = 78, 12, 6, 4
LINE_CHARACTERS, LINE_HEIGHT, FONT_SIZE = 44, 11, 9.5

Pair = tuple[Path | bytes, Path, str, Change]
"""The image before and after, the caption before, and the change."""


def save_contact_sheet(path: Path, pairs: Sequence[Pair], *, seed: int = 0) -> None:
    """Save a PNG of at most COLUMNS × ROWS randomly chosen pairs."""
    order = np.random.default_rng(seed).permutation(len(pairs))[: COLUMNS * ROWS]
    cell = (TILE[0] + CAPTION_HEIGHT, 2 * TILE[1] + GAP)
    rows = max(1, -(-len(order) // COLUMNS))
    sheet = Image.new("RGB", (COLUMNS * cell[1] + GAP, rows * cell[0] + GAP), "white")
    for place, index in enumerate(order):
        corner = (GAP + place % COLUMNS * cell[1], GAP + place // COLUMNS * cell[0])
        _draw(sheet, corner, pairs[int(index)])
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG")


def _draw(sheet: Image.Image, corner: tuple[int, int], pair: Pair) -> None:
    before, after, caption, change = pair
    left, top = corner
    for column, picture in enumerate((before, after)):
        sheet.paste(Image.fromarray(resize(open_image(picture), *TILE)), (left + column * TILE[1], top))
    draw = ImageDraw.Draw(sheet)
    lines = [
        f"{change.old_colour} {change.garment}: {change.new_colour}",
        *_shortened(caption),
        *_shortened(change.caption),
    ]
    for number, line in enumerate(lines):
        colour = "black" if number == 0 or number > len(_shortened(caption)) else "grey"
        draw.text((left, top + TILE[0] + 2 + number * LINE_HEIGHT), line, colour, font_size=FONT_SIZE)


def _shortened(caption: str) -> list[str]:
    return textwrap.wrap(caption, LINE_CHARACTERS, max_lines=2, placeholder=" …")
