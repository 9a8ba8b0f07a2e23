"""UFine6926: long captions, paths from the data set's folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("names", [["UFine6926.json"], ["ufine6926_train.json", "ufine6926_test.json"]])
def test_long_captions_and_one_or_two_files(
    tmp_path: Path, write_images: Callable[..., None], run_prepare: Callable[..., Any], names: list[str]
) -> None:
    source = tmp_path / "ufine"
    rows = [
        {"split": split, "id": person, "file_path": f"images/{person}.jpg", "captions": ["word " * 81, "word " * 120]}
        for person, split in ((1, "train"), (2, "test"))
    ]
    write_images(source, [row["file_path"] for row in rows])
    parts = [rows] if len(names) == 1 else [rows[:1], rows[1:]]
    for name, part in zip(names, parts, strict=True):
        (source / name).write_text(json.dumps(part), encoding="utf-8")
    prepared = run_prepare(source)
    assert {(r.person_id, r.split, r.origin) for r in prepared.records} == {
        (1, "train", "images/1.jpg"),
        (2, "test", "images/2.jpg"),
    }
    assert prepared.statistics["splits"]["test"]["longest_caption_words"] == 120
