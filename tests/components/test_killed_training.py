"""A training step that is killed and tried again elsewhere resumes from the object store and gives the same model."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
from PIL import Image

from personsearch.data.records import ImageRecord, Split, write_manifest
from personsearch.integrations.kubeflow.steps import CHECKPOINTS_VARIABLE
from personsearch.integrations.kubeflow.trainjobs import DATA
from personsearch.integrations.objects.folder import STATE, StoredFolder
from tests.servers.s3 import S3Server

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = {
    "model": {
        "weights": "random",
        "architecture": {
            "embed_dim": 32,
            "vision_cfg": {"image_size": [64, 32], "patch_size": 16, "layers": 2, "width": 32, "head_width": 16},
            "text_cfg": {"context_length": 16, "vocab_size": 512, "width": 32, "heads": 2, "layers": 2},
        },
        "image_size": [64, 32],
        "context_length": 16,
        "vocabulary": 512,
        "frozen": [],
    },
    "epochs": 3,
    "batch_size": 8,
    "device": "cpu",
    "threads": 1,
}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    (folder / "images").mkdir(parents=True)
    records = []
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"images/{number}.png")
        split: Split = "train" if number < 16 else "val"
        captions = [f"a person with number {number // 2} on a shirt"]
        records.append(ImageRecord(str(number), f"images/{number}.png", number // 2, split, captions, "tiny"))
    write_manifest(folder, records)
    return folder


def start(dataset: Path, out: Path, *more: str, checkpoints: str = "") -> subprocess.Popen[bytes]:
    config = dataset.parent / "config.json"
    config.write_text(json.dumps(CONFIG))
    command = [sys.executable, "-m", "tests.components.killed_training", str(dataset), str(out), str(config), *more]
    environment = os.environ | {CHECKPOINTS_VARIABLE: checkpoints, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    with Path(f"{out}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)


def finish(process: subprocess.Popen[bytes], out: Path) -> str:
    code, log = process.wait(timeout=600), Path(f"{out}.log").read_text()
    assert code == 0, log
    return log


def wait_for(process: subprocess.Popen[bytes], out: Path, text: str) -> None:
    log, deadline = Path(f"{out}.log"), time.monotonic() + 300
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def kept_files(address: str) -> set[str]:
    """The files whose copies are in the store, below the only step's name."""
    store = StoredFolder(address)._store
    paths = [each["path"] for listed in obstore.list(store) for each in listed]
    state = max((path for path in paths if path.endswith(STATE) and f"{DATA}/" not in path), default="")  # the latest
    return set(json.loads(bytes(obstore.get(store, state).bytes()))) if state else set()


def test_a_killed_step_resumes_from_the_store(dataset: Path, tmp_path: Path, s3: S3Server) -> None:
    whole, first, second = (tmp_path / name / "model" for name in ("whole", "first", "second"))
    for out in (whole, first, second):
        out.parent.mkdir()
    finish(start(dataset, whole), whole)
    address = s3.new_place()
    killed = start(dataset, first, "2", checkpoints=address)
    try:
        wait_for(killed, first, "epoch 2:")  # whose checkpoint is not written yet: the one of epoch 1 is the last
        deadline = time.monotonic() + 120
        while "checkpoints/last.safetensors" not in kept_files(address):
            assert time.monotonic() < deadline, Path(f"{first}.log").read_text()
            time.sleep(0.2)
    finally:
        killed.kill()
        killed.wait()
    assert not first.exists()
    log = finish(start(dataset, second, checkpoints=address), second)
    assert "continuing with what is in" in log
    assert "train: resuming at step" in log
    name = "bundle/weights.safetensors"
    assert (second / name).read_bytes() == (whole / name).read_bytes()
    assert not (second / "checkpoints").exists()
    assert kept_files(address) == set(), "what is finished is removed"
