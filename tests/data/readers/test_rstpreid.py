"""RSTPReid as it is published, with its quirks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def write(folder: Path, write_images: Callable[..., None], captions: list[list[str]], *, by_index: bool) -> Path:
    rows = [
        {"id": number, "img_path": f"{number:04d}_c14_0031.jpg", "captions": pair, "split": "train"}
        for number, pair in enumerate(captions)
    ]
    write_images(folder / "imgs", [row["img_path"] for row in rows])
    value = {str(number): row for number, row in enumerate(rows)} if by_index else rows
    (folder / "data_captions.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return folder


@pytest.mark.parametrize("by_index", [False, True])
def test_a_list_or_an_object_by_index(
    tmp_path: Path, write_images: Callable[..., None], run_prepare: Callable[..., Any], by_index: bool
) -> None:
    source = write(tmp_path / "rstp", write_images, [["a man", "he walks"], ["a woman", "she runs"]], by_index=by_index)
    prepared = run_prepare(source)
    assert [(r.person_id, r.captions, r.camera_id) for r in prepared.records] == [
        (0, ["a man", "he walks"], "c14"),
        (1, ["a woman", "she runs"], "c14"),
    ]


def test_odd_captions_are_let_in_and_reported(
    tmp_path: Path, write_images: Callable[..., None], run_prepare: Callable[..., Any]
) -> None:
    captions = [
        ["The man wears a 灰色 coat.", "A café owner."],
        ["The woman <br> wears jeans.", 'var x = document.get("a");'],
        ["The person walks along the road.", "Plain."],
        ["the person  walks along the ROAD.", "Also plain."],
    ]
    prepared = run_prepare(write(tmp_path / "rstp", write_images, captions, by_index=False))
    assert prepared.refused == []
    assert [(line["row"], line["reason"]) for line in prepared.warnings] == [
        (1, "caption-not-english"),
        (1, "caption-not-english"),
        (2, "caption-holds-code"),
        (2, "caption-holds-code"),
        (3, "caption-repeated-across-identities"),
        (4, "caption-repeated-across-identities"),
    ]
    assert prepared.metrics["captions"] == 8
