"""TBPS-CLIP's pre-split files with back-translations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("pattern", ["{}_reid.json", "{}.json"])
def test_the_file_name_is_the_split_and_back_translations_travel(
    tmp_path: Path, write_images: Callable[..., None], run_prepare: Callable[..., Any], pattern: str
) -> None:
    source = tmp_path / "tbps"
    for person, split in enumerate(("train", "val", "test"), start=1):
        row = {"id": person, "file_path": f"cam_a/{person}.jpg", "captions": ["a coat", "a bag"]}
        translated = row | {"captions_bt": ["one coat", ""]} if split == "train" else row
        write_images(source / "imgs", [row["file_path"]])
        (source / pattern.format(split)).write_text(json.dumps([translated]), encoding="utf-8")
    prepared = run_prepare(source)
    assert [(r.person_id, r.split) for r in prepared.records] == [(1, "train"), (2, "val"), (3, "test")]
    assert [r.captions_bt for r in prepared.records] == [["one coat", "a bag"], None, None]


def test_back_translations_that_do_not_match_the_captions_are_dropped_and_reported(
    cuhk_pedes: Callable[..., Path], row: Callable[..., dict[str, Any]], run_prepare: Callable[..., Any]
) -> None:
    prepared = run_prepare(cuhk_pedes([row(1, captions_bt=["only one"])]))
    assert prepared.records[0].captions_bt is None
    assert [line["reason"] for line in prepared.warnings] == ["back-translations-dropped"]
