"""The data set: format, splits, determinism, restart after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import cv2
import pytest

from personsearch.data.facts.layout import PARTS
from personsearch.data.output_folder import sole_writer
from personsearch.data.synthetic.synthesize import (
    SynthesizeConfig,
    person_of,
    plan_identities,
    save_contact_sheet,
    synthesize,
)
from personsearch.errors import UserError
from personsearch.files import hash_folder

SMALL = SynthesizeConfig(identities_train=3, identities_val=1, identities_test=4, images_per_identity=2, seed=5)


def content(folder: Path) -> tuple[str, str]:
    """Hashes of all images and of the annotations."""
    return hash_folder(folder / "imgs"), (folder / "reid_raw.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthesize(SMALL, folder)
    return folder


def test_the_annotations_are_cuhk_pedes(dataset: Path) -> None:
    entries = json.loads((dataset / "reid_raw.json").read_text(encoding="utf-8"))
    assert len(entries) == 16
    for entry in entries:
        assert set(entry) == {
            "split", "captions", "captions_bt", "file_path", "processed_tokens", "id", "camera_id", "attributes",
        }  # fmt: skip
        assert len(entry["captions"]) == len(entry["captions_bt"]) == len(entry["processed_tokens"]) == 2
        assert entry["file_path"].startswith(entry["camera_id"] + "/")
        image = cv2.imread(str(dataset / "imgs" / entry["file_path"]))
        assert image.shape[0] >= 28
        assert 0.25 < image.shape[1] / image.shape[0] < 1.2
    assert entries[0]["processed_tokens"][0][0] == entries[0]["captions"][0].split()[0].lower()


def test_identities_of_the_splits_are_disjoint_and_seen_by_different_cameras(dataset: Path) -> None:
    entries = json.loads((dataset / "reid_raw.json").read_text(encoding="utf-8"))
    splits = {split: {e["id"] for e in entries if e["split"] == split} for split in ("train", "val", "test")}
    assert splits == {"train": {1, 2, 3}, "val": {4}, "test": {5, 6, 7, 8}}
    for number in range(1, 9):
        assert len({e["camera_id"] for e in entries if e["id"] == number}) == 2


def test_a_quarter_of_val_and_test_are_twins_in_other_colours_and_a_quarter_in_the_same() -> None:
    config = SynthesizeConfig(identities_train=0, identities_val=40, identities_test=80)
    planned = list(plan_identities(config))
    for split, people in (("val", 40), ("test", 80)):
        kinds = [who.twin for who in planned if who.split == split]
        assert (kinds.count("colour"), kinds.count("shape"), kinds.count("")) == (people // 4, people // 4, people // 2)
    for before, twin in pairwise(planned):
        if twin.twin:
            assert twin.first == before.number == before.first


def test_people_of_train_are_groups_in_the_same_colours() -> None:
    config = SynthesizeConfig(identities_train=10, identities_val=0, identities_test=0, twins=4)
    assert [who.first for who in plan_identities(config)] == [1, 1, 1, 1, 5, 5, 5, 5, 9, 9]
    strangers = config.model_copy(update={"twins": 1})
    assert not any(who.twin for who in plan_identities(strangers))


def test_images_say_their_group_and_where_each_part_is(dataset: Path) -> None:
    entries = json.loads((dataset / "reid_raw.json").read_text(encoding="utf-8"))
    assert [entry["attributes"]["group"] for entry in entries[:6]] == [1] * 6
    for entry in entries:
        layout = entry["attributes"]["layout"]
        assert len(layout) == 128
        rows = [layout[start : start + 8] for start in range(0, 128, 8)]
        place = {part: chr(ord("a") + PARTS.index(part)) for part in ("background", "upper", "lower")}
        assert layout.count(place["background"]) > 20
        if {"upper", "lower"} <= set(entry["attributes"]["visible"]):
            heights = {
                part: [row for row, letters in enumerate(rows) if place[part] in letters] for part in ("upper", "lower")
            }
            assert not heights["lower"] or min(heights["upper"]) < max(heights["lower"])


def test_the_seed_decides_and_the_workers_do_not(dataset: Path, tmp_path: Path) -> None:
    synthesize(SMALL.model_copy(update={"workers": 2}), tmp_path / "two")
    assert content(tmp_path / "two") == content(dataset)
    synthesize(SMALL.model_copy(update={"seed": 6}), tmp_path / "other")
    assert content(tmp_path / "other") != content(dataset)


def test_a_finished_data_set_is_left_alone_and_other_settings_are_refused(dataset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    assert synthesize(SMALL, dataset)["images"] == 16
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before
    with pytest.raises(UserError, match="other settings"):
        synthesize(SMALL.model_copy(update={"seed": 9}), dataset)


def test_a_killed_run_is_finished_by_the_next(dataset: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; import sys\n"
        "from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize\n"
        "synthesize(SynthesizeConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, SMALL.model_dump_json(), str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list((tmp_path / ".unfinished").glob("0*.json"))) < 3:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "reid_raw.json").exists()
    kept = tmp_path / "imgs" / json.loads((tmp_path / ".unfinished" / "00001.json").read_text())[0]["file_path"]
    drawn_at = kept.stat().st_mtime_ns
    kept.with_name(".00009_0.jpg.1.partial").write_bytes(b"half")  # as a kill in the middle of a write leaves it
    synthesize(SMALL, tmp_path)
    assert content(tmp_path) == content(dataset)
    assert kept.stat().st_mtime_ns == drawn_at
    assert not (tmp_path / ".unfinished").exists()


def test_ground_truth_is_json_and_has_no_hidden_colours(dataset: Path) -> None:
    entries = json.loads((dataset / "reid_raw.json").read_text(encoding="utf-8"))
    person = person_of(SMALL, next(plan_identities(SMALL)))
    expected = {key: value for key, value in asdict(person).items() if key != "labs"}
    known = entries[0]["attributes"]
    assert {key: known[key] for key in expected} == expected
    assert "upper" in known["visible"]


def test_the_contact_sheet_shows_samples(dataset: Path, tmp_path: Path) -> None:
    save_contact_sheet(dataset, tmp_path / "sheet.png", columns=4, rows=2)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (384, 384, 3)


def test_night_is_another_domain_of_the_same_people(dataset: Path, tmp_path: Path) -> None:
    """Dimmer and paler on the whole, with the attributes of the day's people."""
    synthesize(SMALL.model_copy(update={"domain": "night"}), tmp_path / "night")
    day, night = (json.loads((folder / "reid_raw.json").read_text()) for folder in (dataset, tmp_path / "night"))
    assert [entry["file_path"] for entry in night] == [entry["file_path"] for entry in day]
    seen = {"facing", "visible"}
    for one, other in zip(day, night, strict=True):
        assert {k: v for k, v in one["attributes"].items() if k not in seen} == {
            k: v for k, v in other["attributes"].items() if k not in seen
        }
    light = {}
    for name, folder in (("day", dataset), ("night", tmp_path / "night")):
        pixels = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2HSV) for path in sorted(folder.rglob("*.jpg"))]
        light[name] = sum(float(picture[..., 2].mean()) for picture in pixels) / len(pixels)
    assert light["night"] < 0.85 * light["day"]


def test_two_at_once_take_turns(dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What waits has not touched the folder; then it does its work as if it were alone."""
    out = tmp_path / "out"
    with ThreadPoolExecutor(1) as second:
        with sole_writer(out):
            waiting = second.submit(synthesize, SMALL, out)
            while "another process is at work there" not in caplog.text:
                assert not waiting.done()
                time.sleep(0.01)
            assert [path.name for path in out.iterdir()] == [".lock"]
        metrics = waiting.result(timeout=60)
    assert metrics["images"] == 16
    assert content(out) == content(dataset)
    assert not (out / ".lock").exists()
