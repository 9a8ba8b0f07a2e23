"""Maps point at what is asked for: in figures of colours, and in drawn people through the shipped weights."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from personsearch.bundle import Bundle
from personsearch.data.facts.layout import PARTS
from personsearch.data.synthetic.attributes import draw_person
from personsearch.data.synthetic.camera import draw_camera
from personsearch.data.synthetic.snapshot import take_snapshot
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load import load_encoder
from personsearch.images import open_image, resize
from personsearch.search.heat_map import COLUMNS, COVERED, ROWS, heat_maps
from tests.serving.colours import ColourEncoder, figure

ROOT = Path(__file__).parents[2]


class CountingEncoder(ColourEncoder):
    def __init__(self) -> None:
        self.pictures = 0

    def encode_images(self, pixels_NHW3: np.ndarray) -> np.ndarray:
        self.pictures += len(pixels_NHW3)
        return super().encode_images(pixels_NHW3)


def maps_of(encoder: Encoder, pixels_HW3: np.ndarray, sentences: list[str]) -> np.ndarray:
    [whole_D] = encoder.encode_images(pixels_HW3[None])
    return heat_maps(encoder, pixels_HW3, whole_D, sentences)


@pytest.mark.parametrize("at", [(2, 2), (24, 8), (15, 0)])
def test_the_hottest_cell_is_where_the_colour_is_and_moves_with_it(at: tuple[int, int]) -> None:
    pixels_HW3 = np.full((32, 16, 3), 128, np.uint8)
    pixels_HW3[at[0] : at[0] + 4, at[1] : at[1] + 4] = (255, 0, 0)
    pixels_HW3[28:32, 12:16] = (0, 0, 255)
    red_RC, blue_RC = maps_of(ColourEncoder(), pixels_HW3, ["a red bag", "a blue bag"])
    row, column = np.unravel_index(int(red_RC.argmax()), (ROWS, COLUMNS))
    assert at[0] <= 2 * row < at[0] + 4
    assert at[1] <= 2 * column < at[1] + 4
    assert np.unravel_index(int(blue_RC.argmax()), (ROWS, COLUMNS)) >= (13, 5)


def test_a_map_costs_as_many_pictures_as_it_says_whatever_is_asked() -> None:
    encoder = CountingEncoder()
    pixels_HW3 = resize(open_image(figure("red")), 32, 16)
    before = pixels_HW3.copy()
    maps_PRC = maps_of(encoder, pixels_HW3, ["red", "green", "blue"])
    assert maps_PRC.shape == (3, ROWS, COLUMNS)
    assert encoder.pictures == COVERED + 1  # the whole one is encoded for it
    np.testing.assert_array_equal(pixels_HW3, before)


@pytest.mark.parametrize("size", [(64, 64), (37, 19)])
def test_any_size_is_covered_whole(size: tuple[int, int]) -> None:
    """Everything is hidden by some window: a picture of one colour loses alike wherever it is covered."""
    pixels_HW3 = np.full((*size, 3), 128, np.uint8)
    for row, column in ((0, 0), (size[0] - 1, size[1] - 1), (0, size[1] - 1)):
        spotted_HW3 = pixels_HW3.copy()
        spotted_HW3[row, column] = (255, 0, 0)
        [map_RC] = maps_of(ColourEncoder(), spotted_HW3, ["red"])
        cell = row * ROWS // size[0], column * COLUMNS // size[1]
        assert map_RC[cell] == pytest.approx(map_RC.max())
        assert map_RC.max() > 0


def backpacks(count: int) -> Iterator[tuple[bytes, np.ndarray]]:
    """Pictures of people with a backpack, and which cells show it."""
    for seed in itertools.count():
        rng = np.random.default_rng(seed)
        person = draw_person(rng)
        if person.bag == "backpack":
            snapshot = take_snapshot(person, 0.3, draw_camera("gate", rng), rng)
            bag_RC = (np.frombuffer(snapshot.layout.encode(), np.uint8) - ord("a") == PARTS.index("bag")).reshape(
                ROWS, -1
            )
            if bag_RC.sum() >= 4:
                yield snapshot.jpeg, bag_RC
                count -= 1
        if not count:
            return


def test_the_shipped_weights_look_at_the_bag_when_asked_for_the_bag() -> None:
    encoder = load_encoder(Bundle.open(ROOT / "weights/tiny-clip"), threads=1)
    size = encoder.preprocessing
    right, shares = [], []
    for picture, bag_RC in backpacks(20):
        pixels_HW3 = resize(open_image(picture), size.height, size.width, size.interpolation)
        [map_RC] = maps_of(encoder, pixels_HW3, ["a person with a backpack"])
        row, column = np.unravel_index(int(map_RC.argmax()), (ROWS, COLUMNS))
        right.append(bag_RC[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].any())
        shares.append(bag_RC.mean())
    assert np.mean(right) >= 0.75 > 4 * np.mean(shares)
