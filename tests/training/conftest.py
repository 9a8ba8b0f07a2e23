"""A recipe and a data set on which a whole training takes seconds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from personsearch.data.records import ImageRecord, write_manifest
from tests.training.small_models import SMALL_CLIP

COLOURS = {"red": (200, 30, 30), "green": (30, 170, 40), "blue": (30, 40, 200), "white": (230, 230, 230)}
PERSONS = {"train": range(12), "val": range(12, 16)}


@pytest.fixture(scope="session")
def trainable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve persons to train on and four to validate, told apart by the colours of coat and trousers."""
    folder = tmp_path_factory.mktemp("trainable")
    (folder / "images").mkdir()
    numbers, names = np.random.default_rng(0), list(COLOURS)
    records = []
    for split, persons in PERSONS.items():
        for person in persons:
            coat, trousers = names[person % 4], names[person // 4 % 4]
            for view in range(2):
                pixels = np.repeat(np.array([COLOURS[coat], COLOURS[trousers]]), 16, axis=0)[:, None].repeat(16, axis=1)
                noisy = np.clip(pixels + numbers.integers(-20, 20, pixels.shape), 0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(folder / f"images/{person}_{view}.png")
                captions = [f"a {coat} coat and {trousers} trousers", f"someone in {trousers} trousers, {coat} coat"]
                records.append(
                    ImageRecord(f"{person}-{view}", f"images/{person}_{view}.png", person, split, captions, "tiny")
                )
    write_manifest(folder, records)
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny recipe, with changes, and returns its file."""
    values: dict[str, Any] = {
        "model": SMALL_CLIP | {"frozen": []},
        "optimiser": {"lr": 3e-3},
        "epochs": 3,
        "batch_size": 16,
        "threads": 1,
        "device": "cpu",
        "log_every": 1,
        "cache": str(tmp_path / "cache"),
    }

    def write(**changes: Any) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(json.loads(json.dumps(values | changes))), encoding="utf-8")
        return path

    return write
