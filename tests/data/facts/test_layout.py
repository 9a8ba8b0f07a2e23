"""Layouts in a data set's attributes."""

import json

import numpy as np
import pytest

from personsearch.data.facts.layout import NO_LAYOUT, NUM_CELLS, layouts, write_layout
from personsearch.data.records import ImageRecord
from personsearch.errors import UserError


def image(**attributes: object) -> ImageRecord:
    return ImageRecord("a", "images/a.png", 1, "train", ["a man"], "test", attributes=json.dumps(attributes))


def test_what_is_written_is_read() -> None:
    parts = np.arange(NUM_CELLS).reshape(16, 8) % 16
    known = layouts([image(layout=write_layout(parts)), image(gender="man")])
    assert known[0].tolist() == parts.ravel().tolist()
    assert (known[1] == NO_LAYOUT).all()


@pytest.mark.parametrize("wrong", ["abc", "z" * NUM_CELLS, "A" * NUM_CELLS])
def test_a_layout_that_cannot_be_read_names_its_image(wrong: str) -> None:
    with pytest.raises(UserError, match=r"images/a\.png: attribute layout is .*; expected 128 letters from a to s"):
        layouts([image(layout=wrong)])
