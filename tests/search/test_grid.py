"""The picture of candidates: every candidate has its place, whatever its picture and caption are."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from personsearch.search.grid import (
    CAPTION_HEIGHT,
    MARGIN,
    PICTURE_HEIGHT,
    RIGHT,
    TILE_WIDTH,
    TITLE_HEIGHT,
    WRONG,
    save_grid,
)
from personsearch.search.searcher import Answer, Candidate
from tests.crops import make_crop

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIZES = [(64, 128), (400, 100), (8, 8), (9, 900), (64, 128), (64, 128), (64, 128)]


@pytest.fixture
def answer(tmp_path: Path) -> Answer:
    """Seven red pictures of odd sizes, the last one missing."""
    candidates = []
    for rank, size in enumerate(SIZES, start=1):
        path = tmp_path / f"{rank}.png"
        if rank < len(SIZES):
            Image.new("RGB", size, (200, 0, 0)).save(path)
        crop = make_crop(str(rank), camera_id="camera ☃ " * rank, image_uri=str(path), track_id="", captured_at=NOON)
        candidates.append(Candidate(rank, crop, 0.5, 0.25))
    return Answer(candidates, reliable=False)


def test_each_candidate_is_in_its_place(answer: Answer, tmp_path: Path) -> None:
    save_grid(tmp_path / "grid.png", "a man " * 100, answer, lambda crop: Path(crop.image_uri))
    pixels = np.asarray(Image.open(tmp_path / "grid.png"))
    assert pixels.shape[1] == 5 * (TILE_WIDTH + MARGIN) + MARGIN
    for position in range(len(SIZES)):
        row, column = divmod(position, 5)
        x = MARGIN + column * (TILE_WIDTH + MARGIN) + TILE_WIDTH // 2
        y = TITLE_HEIGHT + row * (PICTURE_HEIGHT + CAPTION_HEIGHT + MARGIN) + PICTURE_HEIGHT // 2
        assert (pixels[y, x, 0] > 180 and pixels[y, x, 1] < 60) == (position < len(SIZES) - 1)


@pytest.mark.parametrize("name", ["grid.jpg", "new/folder/grid.webp"])
def test_the_ending_names_the_format_and_an_empty_answer_is_drawn_too(tmp_path: Path, name: str) -> None:
    save_grid(tmp_path / name, "nobody", Answer([], reliable=False), lambda crop: Path(crop.image_uri))
    assert Image.open(tmp_path / name).format == {"jpg": "JPEG", "webp": "WEBP"}[name[-4:].lstrip(".")]


def test_frames_say_which_candidates_are_right(answer: Answer, tmp_path: Path) -> None:
    truth = {"1": True, "2": False}
    save_grid(tmp_path / "grid.png", "a man", answer, lambda crop: Path(crop.image_uri), is_right=truth)
    pixels = np.asarray(Image.open(tmp_path / "grid.png"))
    corners = [tuple(pixels[TITLE_HEIGHT + 2, MARGIN + place * (TILE_WIDTH + MARGIN) + 2]) for place in range(3)]
    assert [corners[n] for n in (0, 1)] == [ImageColor.getrgb(RIGHT), ImageColor.getrgb(WRONG)]
    assert corners[2] not in corners[:2]
