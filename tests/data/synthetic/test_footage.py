"""Footage: ground truth that fits the pixels, people who come, cross and go, the same video again."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from personsearch.data.synthetic.footage import FootageConfig, footage
from personsearch.errors import UserError
from personsearch.files import hash_file

CONFIG = FootageConfig(people=3, seconds=2.4, seed=4)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "walk.avi"
    footage(CONFIG, path)
    return path


def read(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (answer := capture.read())[0]:
        frames.append(answer[1])
    return frames


def test_the_video_has_its_size_and_ground_truth_for_each_frame(video: Path) -> None:
    truth = json.loads(video.with_suffix(".json").read_text(encoding="utf-8"))
    frames = read(video)
    assert len(frames) == len(truth["frames"]) == 24
    assert frames[0].shape == (576, 768, 3)
    present = {box["person"] for frame in truth["frames"] for box in frame}
    assert present == {int(number) for number in truth["people"]}
    assert len(present) >= 1
    assert all(len(set(person["captions"])) == 4 for person in truth["people"].values())


def test_what_moves_is_inside_the_boxes(video: Path) -> None:
    truth = json.loads(video.with_suffix(".json").read_text(encoding="utf-8"))
    frames = read(video)
    first, last = 0, 14
    moved = cv2.absdiff(frames[first], frames[last]).max(axis=2) > 60
    allowed = np.zeros(moved.shape, bool)
    for index in (first, last):
        for box in truth["frames"][index]:
            left, top, right, bottom = box["box"]
            # Shadows on the ground lie outside the boxes, near the feet.
            allowed[max(0, top - 2) : bottom + 30, max(0, left - 60) : right + 60] = True
            assert moved[top:bottom, left:right].mean() > 0.08
    assert moved.sum() > 200
    assert (moved & ~allowed).sum() < 0.02 * moved.sum()


def test_boxes_move_smoothly_and_stay_in_the_frame(video: Path) -> None:
    truth = json.loads(video.with_suffix(".json").read_text(encoding="utf-8"))
    before: dict[int, float] = {}
    for frame in truth["frames"]:
        for box in frame:
            left, top, right, bottom = box["box"]
            assert 0 <= left < right <= 768
            assert 0 <= top < bottom <= 576
            assert 0 <= box["visible"] <= 1
            assert abs(before.get(box["person"], bottom) - bottom) < 15
            before[box["person"]] = bottom


def test_the_same_seed_gives_the_same_video(video: Path, tmp_path: Path) -> None:
    footage(CONFIG, tmp_path / "again.avi")
    assert hash_file(tmp_path / "again.avi") == hash_file(video)
    assert (tmp_path / "again.json").read_text() == video.with_suffix(".json").read_text()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.avi"):
        footage(CONFIG, tmp_path / "walk.mp4")
