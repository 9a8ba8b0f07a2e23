"""CUHK-PEDES as it is published, with its quirks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personsearch.data.readers.published import cuhk_pedes_camera
from personsearch.errors import UserError


def test_splits_captions_and_cameras(
    cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, Any]], run_prepare: Callable[..., Any]
) -> None:
    rows = [
        row(1, file_path="cam_b/000_45.jpg"),
        row(11004, split="val", file_path="CUHK01/0963004.png"),
        row(12004, split="test", file_path="Market/0002_c3s1_000451_03.jpg"),
    ]
    prepared = run_prepare(cuhk_pedes(rows))
    assert [(r.person_id, r.split, r.camera_id) for r in prepared.records] == [
        (1, "train", "cam_b"),
        (11004, "val", None),
        (12004, "test", "market_c3"),
    ]
    assert prepared.records[0].captions == ["A man with bag 1.", "Person 1 walks."]
    assert prepared.refused == []
    assert {record.source for record in prepared.records} == {"cuhk-pedes"}


def test_an_image_may_have_more_than_two_captions(
    cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, Any]], run_prepare: Callable[..., Any]
) -> None:
    prepared = run_prepare(cuhk_pedes([row(1, captions=["one", "two", "three", "four"])]))
    assert prepared.records[0].captions == ["one", "two", "three", "four"]
    assert prepared.statistics["splits"]["train"]["captions_per_image"] == {"4": 1}


def test_caption_all_is_not_the_annotation(tmp_path: Path, run_prepare: Callable[..., Any]) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "caption_all.json").write_text("[]")
    for source in (tmp_path / "raw", tmp_path / "raw" / "caption_all.json"):
        with pytest.raises(UserError, match=r"caption_all\.json.*reid_raw\.json"):
            run_prepare(source)


def test_an_incomplete_archive_is_reported_and_compared_with_the_published_counts(
    cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, Any]], run_prepare: Callable[..., Any]
) -> None:
    source = cuhk_pedes([row(1), row(2), row(20_000)])
    (source / "imgs" / "cam_a" / "002.jpg").unlink()
    prepared = run_prepare(source)
    assert prepared.reasons == [(2, "image-missing")]
    assert prepared.refused[0]["file"] == "cam_a/002.jpg"
    assert prepared.statistics["published_images"]["train"] == 34054
    assert prepared.statistics["identities_outside_published_range"]["train"] == 1
    card = (prepared.folder / "DATA_CARD.md").read_text(encoding="utf-8")
    assert "train: 2 images, published 34054" in card


def test_a_data_set_with_a_name_of_its_own_is_not_compared(
    cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, Any]], run_prepare: Callable[..., Any]
) -> None:
    prepared = run_prepare(cuhk_pedes([row(1)]), name="synthetic")
    assert prepared.statistics["published_images"] == {}
    assert prepared.records[0].source == "synthetic"


def test_optional_keys_travel(
    cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, Any]], run_prepare: Callable[..., Any]
) -> None:
    extras = {"captions_bt": ["a", "b"], "camera_id": "gate 3", "attributes": {"upper": "red", "bag": None}}
    prepared = run_prepare(cuhk_pedes([row(1, **extras)]))
    record = prepared.records[0]
    assert record.captions_bt == ["a", "b"]
    assert record.camera_id == "gate 3"
    assert record.attributes == '{"bag": null, "upper": "red"}'


def test_json_lines_are_an_annotation_too(
    cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, Any]], run_prepare: Callable[..., Any]
) -> None:
    rows = [row(1), row(2, split="test")]
    source = cuhk_pedes(rows)
    (source / "reid_raw.json").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    prepared = run_prepare(source)
    assert [(record.person_id, record.split) for record in prepared.records] == [(1, "train"), (2, "test")]
    assert prepared.refused == []


@pytest.mark.parametrize(
    ("image", "camera"),
    [("cam_a/1.jpg", "cam_a"), ("Market/0002_c1s1_000451_03.jpg", "market_c1"), ("CUHK03/1.png", None), ("", None)],
)
def test_the_camera_in_a_path(image: str, camera: str | None) -> None:
    assert cuhk_pedes_camera(image) == camera
