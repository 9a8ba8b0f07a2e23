"""What of a drawn person an image shows, and where."""

import numpy as np

from personsearch.data.facts.layout import LAYOUT_GRID, PARTS
from personsearch.data.synthetic.attributes import draw_person
from personsearch.data.synthetic.camera import draw_camera
from personsearch.data.synthetic.figure import Light, View, draw_figure
from personsearch.data.synthetic.snapshot import compose, draw_pose, part_layout, visible_parts


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


def test_a_box_of_a_few_pixels_is_drawn_whatever_stands_in_front() -> None:
    rng = np.random.default_rng(0)
    light, camera = Light((0.0, 1.0, 0.0), 0.5, 0.7), draw_camera("camera", rng)
    view = View(0.0, 0.2)
    figure = draw_figure(draw_person(rng), draw_pose(draw_person(rng), rng), view, light, pixels_per_metre=20, phase=0)
    boxes = [compose(figure, (0, 0, 9, 36), camera, light, np.random.default_rng(seed)) for seed in range(60)]
    assert all(np.isfinite(canvas).all() for canvas, _ in boxes)
    assert len({np.count_nonzero(parts) for _, parts in boxes}) > 1, "nothing ever stood in front"
