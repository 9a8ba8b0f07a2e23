"""A model that lost a layer is trained back toward the full one."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from personsearch.bundle import WEIGHTS, Bundle
from personsearch.compression.recovery import RecoverConfig, recover, recovery_recipe
from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.data.dataset import Dataset
from personsearch.data.records import ImageRecord, read_manifest, write_manifest
from personsearch.encoders.golden import verify_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.models.build import load_bundle_model
from personsearch.training.config import TrainConfig
from personsearch.training.train import train

COLOURS = {"red": (200, 30, 30), "green": (30, 170, 40), "blue": (30, 40, 200), "white": (230, 230, 230)}
COMMON: dict[str, Any] = {"batch_size": 16, "threads": 1, "device": "cpu"}
MODEL: dict[str, Any] = {
    "weights": "random",
    "image_size": [32, 16],
    "vocabulary": 300,
    "frozen": [],
    "architecture": {
        "embed_dim": 16,
        "vision_cfg": {"patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
        "text_cfg": {"context_length": 20, "width": 32, "heads": 2, "layers": 3},
    },
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen persons of two coloured halves each, of whom four are for validation."""
    folder, names = tmp_path_factory.mktemp("data"), list(COLOURS)
    (folder / "images").mkdir()
    records = []
    for person in range(16):
        coat, trousers = names[person % 4], names[person // 4]
        pixels = np.repeat(np.array([COLOURS[coat], COLOURS[trousers]], dtype=np.uint8), 16, axis=0)
        Image.fromarray(pixels[:, None].repeat(16, axis=1)).save(folder / f"images/{person}.png")
        captions = [f"a {coat} coat and {trousers} trousers", f"{trousers} trousers, {coat} coat"]
        split = "train" if person < 12 else "val"
        records.append(ImageRecord(str(person), f"images/{person}.png", person, split, captions, "tiny"))
    write_manifest(folder, records)
    return folder


@pytest.fixture(scope="module")
def full(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that knows the colours."""
    folder = tmp_path_factory.mktemp("full")
    settings = COMMON | {"epochs": 40, "optimiser": {"lr": 3e-3}, "cache": folder / "cache", "weights_dtype": "float16"}
    train(TrainConfig(model=MODEL, **settings), dataset, folder)
    return Bundle.open(folder / "bundle")


@pytest.fixture(scope="module")
def dropped(full: Bundle, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The model without two of its text layers, as it is."""
    folder = tmp_path_factory.mktemp("dropped")
    model = {"weights": str(full.folder), "image_size": [32, 16], "frozen": [], "drop_text_layers": [2, 3]}
    train(
        TrainConfig(model=model, **COMMON, epochs=0, cache=folder / "cache", weights_dtype="float16"), dataset, folder
    )
    return Bundle.open(folder / "bundle")


@pytest.fixture
def config(tmp_path: Path) -> RecoverConfig:
    return RecoverConfig(**COMMON, epochs=20, optimiser={"lr": 2e-3}, cache=tmp_path / "cache")


def likeness(bundle: Bundle, teacher: Bundle, dataset: Path) -> float:
    """Mean cosine of both models' vectors of the validation captions."""
    captions = [caption for record in read_manifest(dataset, "val") for caption in record.captions]
    ours, theirs = (TorchEncoder.from_bundle(each, "cpu").encode_texts(captions) for each in (bundle, teacher))
    return float((ours * theirs).sum(axis=1).mean())


def test_it_comes_back_toward_the_full_model(
    dropped: Bundle, full: Bundle, dataset: Path, tmp_path: Path, config: RecoverConfig
) -> None:
    recovered = recover(dropped, full, Dataset.open(dataset), tmp_path / "out", config)
    before, after = likeness(dropped, full, dataset), likeness(recovered, full, dataset)
    assert after > before + 0.3 * (1 - before)  # of the epoch that finds people best, which need not be the likest
    assert recovered.spec.architecture == dropped.spec.architecture
    assert recovered.spec.lineage.parent == dropped.fingerprint
    assert load_file(recovered.path(WEIGHTS))["visual.proj"].dtype == load_file(full.path(WEIGHTS))["visual.proj"].dtype
    assert verify_golden(recovered, TorchEncoder.from_bundle(recovered, "cpu")) < 1e-4
    assert json.loads((recovered.folder.parent / "run.json").read_text())["metrics"]["val_map"] > 60


def test_a_finished_recovery_is_found_again_and_another_model_starts_anew(
    dropped: Bundle, full: Bundle, dataset: Path, tmp_path: Path, config: RecoverConfig
) -> None:
    shutil.copytree(dropped.folder, tmp_path / "student")
    student = Bundle.open(tmp_path / "student")
    short = config.model_copy(update={"epochs": 1})
    first = recover(student, full, Dataset.open(dataset), tmp_path / "out", short)
    written = first.path(WEIGHTS).stat().st_mtime_ns
    assert recover(student, full, Dataset.open(dataset), tmp_path / "out", short) == first
    assert first.path(WEIGHTS).stat().st_mtime_ns == written
    changed = load_bundle_model(student).model
    changed.set_logit_scale(5.0)
    write_torch_bundle(dropped, changed, student.folder)
    student = Bundle.open(student.folder)
    assert recover(student, full, Dataset.open(dataset), tmp_path / "out", short).folder != first.folder


def test_other_dimensions_leave_the_relations(full: Bundle, dropped: Bundle, tiny_bundle: Path) -> None:
    other = Bundle.open(tiny_bundle)
    assert other.spec.embedding_dim != full.spec.embedding_dim
    wide, same = (recovery_recipe(dropped, teacher, RecoverConfig()) for teacher in (other, full))
    assert wide.distillation is not None
    assert wide.distillation.losses == ("relations",)
    assert same.distillation is not None
    assert same.distillation.losses == ("features", "relations")
    assert same.objective.losses == {"n_itc": 1.0, "r_itc": 1.0}
    assert same.weights_dtype == "float16"
