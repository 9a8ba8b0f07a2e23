"""Stored translations become second wordings; nothing else changes."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from personsearch.augmentation.augment import AugmentConfig, augment
from personsearch.augmentation.back_translation import read_translations
from personsearch.data.output_folder import sole_writer
from personsearch.data.records import MANIFEST, ImageRecord, read_manifest, write_manifest
from personsearch.errors import UserError


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Three images: one without, one with back-translations, one with a caption nobody translated."""
    folder = tmp_path / "prepared"
    (folder / "images").mkdir(parents=True)
    captions = {1: ["a red coat", "a bag"], 2: ["a hat"], 3: ["nobody knows"]}
    records = []
    for number, wordings in captions.items():
        (folder / f"images/{number}.jpg").write_bytes(bytes([number]))
        translations = ["one hat"] if number == 2 else None
        path = f"images/{number}.jpg"
        records.append(ImageRecord(str(number), path, number, "train", wordings, "test", captions_bt=translations))
    write_manifest(folder, records)
    (folder / "stats.json").write_text("{}")
    return folder


@pytest.fixture(params=["lines", "tbps"])
def translations(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "translations.json"
    pairs = [("A red  coat", "one crimson coat"), ("a bag", "  "), ("other", "another")]
    lines = [json.dumps({"caption": caption, "translation": other}) for caption, other in pairs]
    rows = [{"captions": [caption for caption, _ in pairs], "captions_bt": [other for _, other in pairs]}]
    path.write_text("\n".join(lines) if request.param == "lines" else json.dumps(rows))
    return path


def test_a_stored_translation_goes_before_the_old_one_and_the_caption_stands_in(
    prepared: Path, translations: Path, tmp_path: Path
) -> None:
    metrics = augment(AugmentConfig(translations=translations), prepared, tmp_path / "out")
    assert metrics == {"captions": 4, "translated": 1, "kept": 1, "untranslated": 2, "images": 3}
    records = read_manifest(tmp_path / "out")
    assert [record.captions_bt for record in records] == [["one crimson coat", "a bag"], ["one hat"], None]
    assert [record.captions for record in records] == [record.captions for record in read_manifest(prepared)]


def test_images_are_the_same_files(prepared: Path, tmp_path: Path) -> None:
    augment(AugmentConfig(), prepared, tmp_path / "out")
    for record in read_manifest(prepared):
        assert (tmp_path / "out" / record.path).samefile(prepared / record.path)
    assert (tmp_path / "out" / "stats.json").read_text() == "{}"


def test_again_is_no_work_and_other_translations_are(prepared: Path, translations: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = augment(AugmentConfig(), prepared, out)
    written = (out / MANIFEST).stat().st_mtime_ns
    assert augment(AugmentConfig(), prepared, out) == first
    assert (out / MANIFEST).stat().st_mtime_ns == written
    assert augment(AugmentConfig(translations=translations), prepared, out)["translated"] == 1


def test_an_unfinished_output_is_made_again(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    (out / "images" / "stray.jpg").write_bytes(b"half")
    (out / ".unfinished").touch()
    augment(AugmentConfig(), prepared, out)
    assert sorted(path.name for path in (out / "images").iterdir()) == ["1.jpg", "2.jpg", "3.jpg"]
    assert not (out / ".unfinished").exists()


def test_mistakes_are_one_line(prepared: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"caption": "a"}\n')
    cases = [
        (AugmentConfig(translations=tmp_path / "absent"), prepared, "cannot be read"),
        (AugmentConfig(translations=bad), prepared, "bad.jsonl line 1: an object with caption and translation"),
        (AugmentConfig(), tmp_path / "nothing", "no such file or folder; a prepared data set expected"),
    ]
    for config, dataset, message in cases:
        with pytest.raises(UserError, match=message):
            augment(config, dataset, tmp_path / "out")
    with pytest.raises(UserError, match="is the input"):
        augment(AugmentConfig(), prepared, prepared)
    (prepared / "images" / "2.jpg").unlink()
    with pytest.raises(UserError, match=r"2\.jpg: named in manifest\.parquet but missing"):
        augment(AugmentConfig(), prepared, tmp_path / "out")


def test_translations_must_hold_something(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text('{"caption": "a", "translation": ""}\n')
    with pytest.raises(UserError, match="no translations; JSON lines"):
        read_translations(tmp_path / "empty.jsonl")


def test_two_at_once_take_turns(prepared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What waits has not touched the folder; then it does its work as if it were alone."""
    out = tmp_path / "out"
    with ThreadPoolExecutor(1) as second:
        with sole_writer(out):
            waiting = second.submit(augment, AugmentConfig(), prepared, out)
            while "another process is at work there" not in caplog.text:
                assert not waiting.done()
                time.sleep(0.01)
            assert [path.name for path in out.iterdir()] == [".lock"]
        metrics = waiting.result(timeout=60)
    assert metrics == augment(AugmentConfig(), prepared, tmp_path / "alone")
    assert (out / MANIFEST).read_bytes() == (tmp_path / "alone" / MANIFEST).read_bytes()
    assert not (out / ".lock").exists()
