"""ICFG-PEDES as it is published, with its quirks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personsearch.errors import UserError


@pytest.fixture(params=["ICFG-PEDES.json", "ICFG_PEDES.json"])
def source(request: pytest.FixtureRequest, tmp_path: Path, write_images: Callable[..., None]) -> Path:
    """Ten train identities, whose pictures lie in folders named train and test, and one test identity in `train/`."""
    folder = tmp_path / "icfg"
    rows = [
        {
            "split": "train" if person < 10 else "test",
            "id": person if person < 10 else 3102,
            "file_path": f"{'test' if person % 2 else 'train'}/{person:04d}/{person:04d}_010_05_0303afternoon_1_0.jpg",
            "captions": [f"The one caption of person {person}."],
            "processed_tokens": [],
        }
        for person in range(11)
    ]
    write_images(folder / "imgs", [row["file_path"] for row in rows])
    (folder / request.param).write_text(json.dumps(rows), encoding="utf-8")
    return folder


def test_folder_names_are_not_the_split(source: Path, run_prepare: Callable[..., Any]) -> None:
    prepared = run_prepare(source)
    splits = [record.split for record in prepared.records]
    assert splits == ["train"] * 10 + ["test"]
    assert prepared.of("test/0001/0001_010_05_0303afternoon_1_0.jpg").split == "train"
    assert prepared.refused == []


def test_one_caption_per_image_and_the_camera_from_the_name(source: Path, run_prepare: Callable[..., Any]) -> None:
    record = run_prepare(source).records[0]
    assert record.captions == ["The one caption of person 0."]
    assert record.camera_id == "c05"


def test_there_is_no_val_split_unless_identities_are_held_out(source: Path, run_prepare: Callable[..., Any]) -> None:
    assert run_prepare(source).metrics["images_val"] == 0
    held_out = run_prepare(source, "held_out", val_fraction=0.2)
    again = run_prepare(source, "again", val_fraction=0.2)
    assert held_out.metrics["images_val"] == 2
    assert held_out.metrics["images_train"] == 8
    assert held_out.metrics["images_test"] == 1
    assert held_out.records == again.records


def test_nothing_is_held_out_of_a_set_that_has_a_val_split(
    cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, Any]], run_prepare: Callable[..., Any]
) -> None:
    with pytest.raises(UserError, match=r"val split already; val_fraction=0\.2"):
        run_prepare(cuhk_pedes([row(1), row(2, split="val")]), val_fraction=0.2)
