"""What of a drawn person an image shows, and where."""

import numpy as np

from personsearch.data.facts.layout import LAYOUT_GRID, PARTS
from personsearch.data.synthetic.snapshot import part_layout, visible_parts


def test_glasses_name_their_cell_though_the_face_covers_more_of_it() -> None:
    parts = np.full((LAYOUT_GRID[0] * 10, LAYOUT_GRID[1] * 10), PARTS.index("skin"), np.uint8)
    parts[24:27, 30:38] = PARTS.index("eyewear")
    letters = part_layout(parts)
    assert letters[2 * LAYOUT_GRID[1] + 3] == chr(ord("a") + PARTS.index("eyewear"))
    assert set(letters) == {chr(ord("a") + PARTS.index(part)) for part in ("skin", "eyewear")}


def test_a_few_pixels_of_glasses_cannot_be_made_out() -> None:
    whole = np.full((160, 50), PARTS.index("upper"), np.uint8)
    seen = whole.copy()
    seen[10:13, 20:30] = PARTS.index("eyewear")
    hardly = whole.copy()
    hardly[10:11, 20:30] = PARTS.index("eyewear")
    assert "eyewear" in visible_parts(seen, whole, seen.shape[0])
    assert "eyewear" not in visible_parts(hardly, whole, seen.shape[0])
    assert "eyewear" not in visible_parts(seen, whole, 60)
