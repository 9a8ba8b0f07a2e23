"""Proximity images and their generators, as typed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personsearch.data.records import ImageRecord, read_manifest, write_manifest


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Two people in red before a grey wall."""
    folder = tmp_path / "prepared"
    (folder / "images").mkdir(parents=True)
    records = []
    for person in range(2):
        pixels = np.full((120, 60, 3), 150, np.uint8)
        pixels[20:62, 17:43], pixels[62:110, 20:40] = (185, 35, 40), (30, 35, 75)
        pixels[5:20, 24:36] = (205, 160, 130)
        noise = np.random.default_rng(person).integers(-6, 7, pixels.shape)
        Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(folder / f"images/{person}.png")
        captions = ["A person in a red jacket."]
        records.append(ImageRecord(str(person), f"images/{person}.png", person, "train", captions, "drawn"))
    write_manifest(folder, records)
    return folder


def personsearch(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "personsearch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def result(finished: subprocess.CompletedProcess[str]) -> Any:
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_augment_makes_proximity_images_where_asked(prepared: Path, tmp_path: Path) -> None:
    """In processes of its own, which the command must be able to start."""
    (tmp_path / "params.yaml").write_text("augment: {proximity: {cache: cache, workers: 2, seed: 3}}", encoding="utf-8")
    metrics = result(personsearch(tmp_path, "data", "augment", prepared, "out", "--json"))
    assert metrics["proximity_accepted"] == 2
    assert [record.person_id for record in read_manifest(tmp_path / "out")] == [0, 1, 2, 3]
    without = result(personsearch(tmp_path, "data", "augment", prepared, "plain", "--no-proximity", "--json"))
    assert without["images"] == 2


def test_a_folder_that_is_no_diffusion_model_is_one_line(prepared: Path, tmp_path: Path) -> None:
    finished = personsearch(
        tmp_path, "data", "tune-diffusion", "--dataset", prepared, "--model", tmp_path, "--out", "tuned"
    )
    assert finished.returncode == 2
    assert "not a Stable Diffusion model in diffusers' format" in finished.stderr
    assert "Traceback" not in finished.stderr
