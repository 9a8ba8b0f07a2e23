"""Proximity images as rows of a data set: cached, resumable, the same for any number of workers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from personsearch.augmentation.augment import AugmentConfig, augment, switch_proximity
from personsearch.augmentation.pdg.config import ProximityConfig
from personsearch.augmentation.pdg.consistency import Judge
from personsearch.bundle import Preprocessing
from personsearch.data.records import ImageRecord, Split, read_manifest, write_manifest
from personsearch.errors import UserError

from .pedestrian import NAVY, RED, draw

COLOURS = {"red": RED, "blue": (40, 80, 170), "white": (225, 225, 222), "purple": (110, 60, 145)}
PEOPLE = 6


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people to train on, two pictures each, and one to test on; the captions name each jacket."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "images").mkdir()
    records = []
    for person in range(PEOPLE + 1):
        word = list(COLOURS)[person % len(COLOURS)]
        for view in range(2):
            path = f"images/{person}_{view}.png"
            Image.fromarray(draw(COLOURS[word], NAVY, seed=10 * person + view)).save(folder / path)
            captions = [f"A man in a {word} jacket and navy trousers.", "A man who walks.", f"he wears a {word} top"]
            split: Split = "train" if person < PEOPLE else "test"
            attributes = json.dumps({"upper_colour": word, "hat": None})
            translations = [f"one man, {word} coat", "a walker", "words lost"]
            records.append(
                ImageRecord(
                    f"{person}-{view}", path, 100 + person, split, captions, "drawn", translations, "gate", attributes
                )
            )
    write_manifest(folder, records)
    return folder


def run(prepared: Path, out: Path, **settings: object) -> dict[str, float]:
    cache = out.parent / "cache"
    proximity = ProximityConfig.model_validate({"cache": cache, "workers": 1} | settings)
    return augment(AugmentConfig(proximity=proximity), prepared, out)


def made(out: Path) -> list[ImageRecord]:
    return [record for record in read_manifest(out) if record.source == "pdg:recolour"]


def test_every_person_gets_a_twin_in_another_colour(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    metrics = run(prepared, out)
    twins = made(out)
    assert metrics["proximity_accepted"] == metrics["proximity_identities"] == len(twins) == PEOPLE
    assert metrics["images"] == len(read_manifest(out)) == 2 * (PEOPLE + 1) + PEOPLE
    assert [twin.person_id for twin in twins] == list(range(107, 107 + PEOPLE))
    originals = {record.path: record for record in read_manifest(prepared)}
    for twin in twins:
        original = originals[twin.origin or ""]
        assert twin.split == original.split == "train"
        assert twin.camera_id == "gate"
        new = json.loads(twin.attributes or "")["upper_colour"]
        assert twin.captions == [f"A man in {_a(new)} jacket and navy trousers.", f"he wears {_a(new)} top"]
        assert twin.captions_bt == [f"one man, {new} coat", f"he wears {_a(new)} top"]
        picture = np.asarray(Image.open(out / twin.path)).astype(int)
        difference = np.abs(picture - np.asarray(Image.open(prepared / original.path)))
        assert difference[40:75, 30:50].mean() > 20
        assert difference[90:, :].mean() < 5


def _a(colour: str) -> str:
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour}"


def test_decisions_and_contact_sheet_are_written(prepared: Path, tmp_path: Path) -> None:
    metrics = run(prepared, tmp_path / "out")
    lines = (tmp_path / "out/proximity/decisions.jsonl").read_text(encoding="utf-8").splitlines()
    decisions = [json.loads(line) for line in lines]
    assert sum(decision["accepted"] for decision in decisions) == metrics["proximity_accepted"]
    assert sum(not decision["accepted"] for decision in decisions) == metrics["proximity_refused"]
    with Image.open(tmp_path / "out/proximity/contact_sheet.png") as sheet:
        assert sheet.width > 6 * 200


def test_workers_and_cache_change_nothing(prepared: Path, tmp_path: Path) -> None:
    run(prepared, tmp_path / "one")
    cached = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.jpg")}
    run(prepared, tmp_path / "two", workers=2, cache=tmp_path / "other")
    run(prepared, tmp_path / "three")
    manifests = {(tmp_path / name / "manifest.parquet").read_bytes() for name in ("one", "two", "three")}
    assert len(manifests) == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.jpg")} == cached


def test_other_settings_make_another_data_set_and_none_removes_the_images(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(prepared, out)
    assert run(prepared, out) == first
    assert run(prepared, out, images_per_identity=2)["proximity_accepted"] == 2 * PEOPLE
    assert {record.person_id for record in made(out)} == set(range(107, 107 + 2 * PEOPLE))
    augment(AugmentConfig(), prepared, out)
    assert made(out) == []
    assert not (out / "proximity").exists()


SMALL = Preprocessing(height=32, width=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Blind:
    """An encoder that cannot see and prefers captions with one word."""

    liked: str
    preprocessing: Preprocessing = SMALL
    embedding_dim: int = 2

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert pixels_NHW3.shape[1:] == (32, 16, 3)
        return np.tile(np.array([1, 0], np.float32), (len(pixels_NHW3), 1))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1, 0] if self.liked in text else [0, 1] for text in texts], np.float32)


def test_the_judge_has_the_last_word(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personsearch.augmentation.augment.judge_of", lambda config: Judge(Blind("red"), "blind"))
    metrics = run(prepared, tmp_path / "out", attempts_per_identity=4)
    twins = made(tmp_path / "out")
    assert all("red" in twin.captions[0] for twin in twins)
    assert metrics["proximity_refused_encoder-prefers-old-caption"] == metrics["proximity_refused"] > 0
    assert metrics["proximity_accepted"] + metrics["proximity_identities_without"] == PEOPLE


def test_a_killed_run_resumes(prepared: Path, tmp_path: Path) -> None:
    run(prepared, tmp_path / "whole", cache=tmp_path / "other")
    program = (
        "from pathlib import Path; from personsearch.augmentation.augment import AugmentConfig, augment\n"
        "from personsearch.augmentation.pdg.config import ProximityConfig\n"
        f"proximity = ProximityConfig(workers=2, cache=Path({str(tmp_path / 'cache')!r}))\n"
        f"augment(AugmentConfig(proximity=proximity), Path({str(prepared)!r}), Path({str(tmp_path / 'out')!r}))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as process:
        while not list((tmp_path / "cache").rglob("*.jpg")):
            assert process.poll() is None
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "out" / "manifest.parquet").exists()
    run(prepared, tmp_path / "out")
    assert (tmp_path / "out/manifest.parquet").read_bytes() == (tmp_path / "whole/manifest.parquet").read_bytes()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.1)


def test_mistakes_are_one_line(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs diffusion\.model"):
        ProximityConfig(generator="diffusion")
    (tmp_path / "half").mkdir()
    settings = {"generator": "diffusion", "diffusion": {"model": tmp_path / "half"}}
    with pytest.raises(UserError, match="not a Stable Diffusion model in diffusers' format"):
        run(prepared, tmp_path / "out", **settings)


def test_proximity_is_switched() -> None:
    off, on = AugmentConfig(), AugmentConfig(proximity=ProximityConfig(seed=5))
    assert switch_proximity(off, on=None) == off
    assert switch_proximity(off, on=True).proximity == ProximityConfig()
    assert switch_proximity(on, on=True) == on
    assert switch_proximity(on, on=False) == off
