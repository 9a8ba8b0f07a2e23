"""The commands on data sets, as typed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.cli import main

Command = Callable[..., Any]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A CSV folder of four people, one of whom has an over-long caption."""
    folder = tmp_path / "raw"
    folder.mkdir()
    lines = ["image,person_id,caption,split"]
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{number},{'a very long caption' if number == 3 else 'a coat'},train")
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def personsearch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in an empty folder; gives the JSON of standard output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Any:
        monkeypatch.setattr(sys, "argv", ["personsearch", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as exited:
            main()
        captured = capsys.readouterr()
        if exited.value.code == 2:
            return captured.err.splitlines()[-1]
        assert not exited.value.code, captured.err
        return json.loads(captured.out)

    return run


def test_prepare_takes_settings_from_params_and_flags_go_before_them(
    personsearch: Command, source: Path, tmp_path: Path
) -> None:
    assert personsearch("data", "prepare", source, "a")["images"] == 4
    (tmp_path / "params.yaml").write_text("prepare: {max_caption_words: 3}\n")
    assert personsearch("data", "prepare", source, "b")["images"] == 3
    assert personsearch("data", "prepare", source, "c", "--max-caption-words", 9)["images"] == 4
    message = personsearch("data", "prepare", source, "d", "--strict")
    assert message == "personsearch: captions.csv row 5: caption-too-long: 4 words; at most 3"
    (tmp_path / "params.yaml").write_text("prepare: {max_words: 3}\n")
    assert "max_words" in personsearch("data", "prepare", source, "e")


def test_describe_and_augment(personsearch: Command, source: Path, tmp_path: Path) -> None:
    personsearch("data", "prepare", source, "prepared")
    described = personsearch("data", "describe", "prepared")
    assert (described["train_images"], described["train_captions"], described["train_back_translated"]) == (4, 4, 0)
    assert "absent: no such file or folder; the folder of a translation model expected" in personsearch(
        "data", "translate", "prepared", "translations.jsonl", "--there", "absent", "--back", "absent"
    )
    (tmp_path / "translations.jsonl").write_text('{"caption": "a coat", "translation": "one coat"}\n')
    augmented = personsearch("data", "augment", "prepared", "augmented", "--translations", "translations.jsonl")
    assert augmented["translated"] == 3
    assert personsearch("data", "describe", "augmented")["train_back_translated"] == 3
    assert "not a prepared data set" in personsearch("data", "describe", "raw")


def test_version_and_fetch(personsearch: Command, source: Path, tmp_path: Path) -> None:
    version = personsearch("data", "version", source)
    assert version["path"] == "raw"
    assert version["repository"] == str(tmp_path / "var" / "data-repository")
    fetched = personsearch(
        "data", "fetch", version["repository"], "raw", "--rev", version["revision"], "--out", "fetched"
    )
    assert fetched["dataset_hash"] == version["dataset_hash"]
    assert sorted(path.name for path in Path("fetched").iterdir()) == sorted(path.name for path in source.iterdir())
    assert "has no revision" in personsearch("data", "fetch", version["repository"], "raw", "--rev", "v9", "--out", "x")
