"""The stage: duplicates, leaks, resumption, and that nothing is silently dropped."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.data import prepare as stage
from personsearch.data.prepare import PrepareConfig, prepare
from personsearch.data.records import dataset_hash
from personsearch.data.statistics import describe_dataset
from personsearch.errors import UserError
from personsearch.images import open_image

Row = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
Run = Callable[..., Any]


SLOW_PREPARE = """
import sys, time
from pathlib import Path
from personsearch.data import prepare as stage

original = stage.Journal.append

def append(journal, outcome):
    original(journal, outcome)
    print("row", flush=True)
    time.sleep(float(sys.argv[3]))

stage.Journal.append = append
stage.prepare(stage.PrepareConfig(), Path(sys.argv[1]), Path(sys.argv[2]))
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_row_is_a_record_or_a_refusal(cuhk_pedes: Write, row: Row, run_prepare: Run) -> None:
    rows = [
        row(1),
        row(2, captions=["", "fine"]),
        row(3, captions=[" ", None]),
        row(4, split="dev"),
        row(5, id="five"),
        row(6, captions={"a": 1}),
        row(7, captions="only one text"),
        row(8, file_path="../../etc/passwd"),
        row(9, captions=["word " * 201]),
    ]
    prepared = run_prepare(cuhk_pedes(rows))
    assert [record.person_id for record in prepared.records] == [1, 2, 7]
    assert prepared.reasons == [
        (2, "caption-empty"),
        (3, "caption-empty"),
        (3, "caption-not-text"),
        (3, "no-caption-left"),
        (4, "split-invalid"),
        (5, "person-invalid"),
        (6, "captions-malformed"),
        (8, "image-path-outside"),
        (9, "caption-too-long"),
        (9, "no-caption-left"),
    ]
    assert prepared.metrics["rows"] == 9
    assert prepared.metrics["images"] == 3
    assert prepared.metrics["rows_refused"] == 6
    assert prepared.metrics["refusals"] == 10
    assert {line["file"] for line in prepared.refused} >= {"../../etc/passwd", "cam_a/002.jpg"}


def test_an_identity_in_two_splits_is_refused_in_the_later_one(cuhk_pedes: Write, row: Row, run_prepare: Run) -> None:
    rows = [row(1, split="test", id=5), row(2, split="train", id=5), row(3, split="val", id="5"), row(4, split="test")]
    prepared = run_prepare(cuhk_pedes(rows))
    assert [(record.person_id, record.split) for record in prepared.records] == [(5, "train"), (4, "test")]
    assert prepared.reasons == [(1, "identity-in-two-splits"), (3, "identity-in-two-splits")]
    assert "identity 5 is in train too, refused in test" in prepared.refused[0]["detail"]


def test_duplicates_are_refused_unless_kept(cuhk_pedes: Write, row: Row, run_prepare: Run) -> None:
    source = cuhk_pedes([row(1), row(2), row(3), row(1), row(4, file_path="cam_a/../cam_a/001.jpg")])
    shutil.copy(source / "imgs/cam_a/001.jpg", source / "imgs/cam_a/003.jpg")
    prepared = run_prepare(source)
    assert prepared.reasons == [(3, "image-duplicate"), (4, "image-listed-again"), (5, "image-path-outside")]
    assert "same bytes as cam_a/001.jpg" in prepared.refused[0]["detail"]
    kept = run_prepare(source, "kept", keep_duplicates=True)
    first, _, third = kept.records
    assert third.image_id == f"{first.image_id}-1"
    assert kept.reasons == [(4, "image-listed-again"), (5, "image-path-outside")]
    assert (kept.folder / third.path).read_bytes() == (kept.folder / first.path).read_bytes()


def test_ordinary_images_keep_their_bytes_and_the_others_become_upright_rgb(
    cuhk_pedes: Write, row: Row, run_prepare: Run
) -> None:
    names = ["plain.jpg", "plain.png", "cmyk.jpg", "turned.jpg", "old.bmp", "clear.png"]
    source = cuhk_pedes([row(number, file_path=name) for number, name in enumerate(names)])
    folder = source / "imgs"
    turned = Image.Exif()
    turned[0x0112] = 6
    pixels = Image.fromarray(np.random.default_rng(1).integers(0, 255, (24, 12, 3), dtype=np.uint8))
    pixels.convert("CMYK").save(folder / "cmyk.jpg")
    pixels.save(folder / "turned.jpg", exif=turned)
    pixels.convert("RGBA").save(folder / "clear.png")
    prepared = run_prepare(source)
    assert prepared.refused == []
    for name in names:
        stored = prepared.folder / prepared.of(name).path
        assert (stored.read_bytes() == (folder / name).read_bytes()) == name.startswith("plain")
        with Image.open(stored) as image:
            assert image.mode == "RGB"
            assert image.getexif().get(0x0112, 1) == 1
            assert image.size == open_image(folder / name).size
    with Image.open(prepared.folder / prepared.of("turned.jpg").path) as image:
        assert image.size == (24, 12)
    assert np.array_equal(open_image(prepared.folder / prepared.of("old.bmp").path), open_image(folder / "old.bmp"))


def test_bad_images_are_refused_one_by_one(cuhk_pedes: Write, row: Row, run_prepare: Run) -> None:
    source = cuhk_pedes([row(number) for number in range(1, 9)])
    folder = source / "imgs/cam_a"
    (folder / "001.jpg").write_bytes(b"")
    (folder / "002.jpg").write_bytes((folder / "002.jpg").read_bytes()[:250])
    (folder / "003.jpg").write_text("a text")
    Image.new("RGB", (7, 100)).save(folder / "004.jpg")
    (folder / "005.jpg").unlink()
    (folder / "006.jpg").unlink()
    os.mkfifo(folder / "006.jpg")
    (folder / "008.jpg").unlink()
    (folder / "008.jpg").symlink_to("/gone/008.jpg")
    prepared = run_prepare(source)
    assert prepared.reasons == [
        (1, "image-unreadable"),
        (2, "image-unreadable"),
        (3, "image-unreadable"),
        (4, "image-too-small"),
        (5, "image-missing"),
        (6, "image-unreadable"),
        (8, "image-missing"),
    ]
    assert prepared.refused[-1]["detail"] == "cam_a/008.jpg: a link to /gone/008.jpg, which does not exist"
    assert [record.person_id for record in prepared.records] == [7]


def test_strict_stops_at_the_first_refusal_also_on_finished_output(
    cuhk_pedes: Write, row: Row, run_prepare: Run, tmp_path: Path
) -> None:
    source = cuhk_pedes([row(1), row(2, captions=[""])])
    message = r"reid_raw\.json row 2: caption-empty: caption '' holds no word"
    with pytest.raises(UserError, match=message):
        run_prepare(source, strict=True)
    assert not (tmp_path / "prepared" / "manifest.parquet").exists()
    assert run_prepare(source).metrics["images"] == 1
    with pytest.raises(UserError, match=message):
        run_prepare(source, strict=True)


def test_nothing_left_is_a_mistake_that_names_the_reasons(
    cuhk_pedes: Write, row: Row, run_prepare: Run, tmp_path: Path
) -> None:
    source = cuhk_pedes([row(1, split="x"), row(2, split="y")])
    with pytest.raises(UserError, match=r"none of 2 rows could be used \(2 × split-invalid\)"):
        run_prepare(source)
    assert len((tmp_path / "prepared" / "rejected.jsonl").read_text().splitlines()) == 2


def test_the_same_input_again_does_nothing_and_another_input_starts_again(
    cuhk_pedes: Write, row: Row, run_prepare: Run
) -> None:
    source = cuhk_pedes([row(1), row(2)])
    first = run_prepare(source)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    assert run_prepare(source).metrics == first.metrics
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before
    (source / "reid_raw.json").write_text(json.dumps([row(2)]))
    assert [record.person_id for record in run_prepare(source).records] == [2]
    assert len(list(first.folder.rglob("*.jpg"))) == 1


def test_a_changed_image_is_noticed(cuhk_pedes: Write, row: Row, run_prepare: Run) -> None:
    source = cuhk_pedes([row(1)])
    first = run_prepare(source)
    Image.new("RGB", (20, 20)).save(source / "imgs/cam_a/001.jpg")
    hash_before = dataset_hash(first.folder)
    assert run_prepare(source).records[0].image_id != first.records[0].image_id
    assert dataset_hash(first.folder) != hash_before


def test_a_damaged_output_is_made_again(cuhk_pedes: Write, row: Row, run_prepare: Run) -> None:
    source = cuhk_pedes([row(1)])
    first = run_prepare(source)
    (first.folder / "manifest.parquet").write_bytes(b"damaged")
    assert run_prepare(source).records == first.records


def test_other_peoples_files_are_left_alone(cuhk_pedes: Write, row: Row, run_prepare: Run, tmp_path: Path) -> None:
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="holds other files"):
        run_prepare(cuhk_pedes([row(1)]))
    assert (tmp_path / "prepared" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("stop_after", [0, 1, 7, 19])
def test_an_interrupted_run_continues_and_ends_the_same(
    cuhk_pedes: Write, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    rows = [row(number, captions=["ok", ""]) for number in range(20)]
    source = cuhk_pedes([*rows, row(3)])
    prepare(PrepareConfig(), source, tmp_path / "whole")
    original = stage.Journal.append
    written = 0

    def append_and_fail(journal: stage.Journal[object], outcome: object) -> None:
        nonlocal written
        if written == stop_after:
            journal._file.write('{"record": {"image_id": "half a li')
            raise KeyboardInterrupt
        written += 1
        original(journal, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(stage.Journal, "append", append_and_fail)
        with pytest.raises(KeyboardInterrupt):
            prepare(PrepareConfig(), source, tmp_path / "resumed")
    assert not (tmp_path / "resumed" / "manifest.parquet").exists()
    prepare(PrepareConfig(), source, tmp_path / "resumed")
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("first_is", ["killed", "finished"])
def test_two_processes_take_turns_in_one_folder(cuhk_pedes: Write, row: Row, tmp_path: Path, first_is: str) -> None:
    source = cuhk_pedes([row(number) for number in range(6)])
    prepare(PrepareConfig(), source, tmp_path / "whole")
    out = tmp_path / "shared"

    def start(seconds_per_row: float) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SLOW_PREPARE, str(source), str(out), str(seconds_per_row)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with start(60.0 if first_is == "killed" else 0.5) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"row\n"
        with start(0.0) as second:
            assert second.stderr is not None
            assert b"another process is at work there" in second.stderr.readline()
            if first_is == "killed":
                first.kill()
            rows, _ = second.communicate()
        assert rows.count(b"row") == (5 if first_is == "killed" else 0)
    assert contents(out) == contents(tmp_path / "whole")


def test_images_wait_in_memory_only_a_few_at_a_time(
    cuhk_pedes: Write, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, read, stored, most = threading.Lock(), 0, 0, 0
    inspect, admit = stage.Inspector.__call__, stage.Admission.admit

    def counting_inspect(inspector: stage.Inspector, item: Any) -> Any:
        nonlocal read, most
        with lock:
            read += 1
            most = max(most, read - stored)
        return inspect(inspector, item)

    def counting_admit(admission: stage.Admission, inspection: Any) -> Any:
        nonlocal stored
        outcome = admit(admission, inspection)
        with lock:
            stored += 1
        return outcome

    monkeypatch.setattr(stage.Inspector, "__call__", counting_inspect)
    monkeypatch.setattr(stage.Admission, "admit", counting_admit)
    monkeypatch.setattr(stage, "_workers", lambda: 2)
    prepare(PrepareConfig(), cuhk_pedes([row(number) for number in range(60)]), tmp_path / "out")
    assert read == stored == 60
    assert most <= 2 * 4 + 1


def test_statistics_and_card(cuhk_pedes: Write, row: Row, run_prepare: Run) -> None:
    rows = [row(1, captions=["one two", "three"]), row(2, captions=["a b c d"], camera_id="gate"), row(3, split="test")]
    prepared = run_prepare(cuhk_pedes(rows), licence="CC0-1.0")
    train = prepared.statistics["splits"]["train"]
    assert train["images"] == train["identities"] == 2
    assert train["captions"] == 3
    assert train["words_per_caption"] == 2.33
    assert train["cameras"] == {"cam_a": 1, "gate": 1}
    assert train["images_without_camera"] == 0
    assert (train["height"], train["width"]) == ([16, 16], [8, 8])
    assert prepared.statistics["licence"] == "CC0-1.0"
    assert "Licence: CC0-1.0." in (prepared.folder / "DATA_CARD.md").read_text(encoding="utf-8")
    assert json.loads((prepared.folder / "run.json").read_text())["stage"] == "prepare"


def test_captions_that_clip_would_cut_are_counted(
    cuhk_pedes: Write, row: Row, run_prepare: Run, caplog: pytest.LogCaptureFixture
) -> None:
    prepared = run_prepare(
        cuhk_pedes([row(1, captions=["word " * 75, "word " * 76]), row(2, captions=["word " * 199])])
    )
    assert prepared.metrics["captions_over_77_tokens"] == 2
    assert prepared.statistics["splits"]["train"]["captions_over_77_tokens"] == 2
    assert describe_dataset(prepared.folder)["train_captions_over_77_tokens"] == 2
    assert "At least 2 captions are longer than 77 tokens." in (prepared.folder / "DATA_CARD.md").read_text("utf-8")
    assert "at least 2 captions are longer than 77 tokens" in caplog.text


def test_images_without_a_camera_are_no_camera(cuhk_pedes: Write, row: Row, run_prepare: Run) -> None:
    rows = [row(1, camera_id="gate"), row(2, file_path="CUHK01/2.png"), row(3, camera_id="unknown")]
    prepared = run_prepare(cuhk_pedes(rows))
    train = prepared.statistics["splits"]["train"]
    assert train["cameras"] == {"gate": 1, "unknown": 1}
    assert train["images_without_camera"] == 1
    assert "| train | 3 | 3 | 6 | 4.0 | 2 |" in (prepared.folder / "DATA_CARD.md").read_text(encoding="utf-8")
    assert describe_dataset(prepared.folder)["train_cameras"] == 2
