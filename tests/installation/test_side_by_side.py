"""Three installations on one machine, each with a gallery and a model of its own: none answers for another."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from personsearch.bundle import WEIGHTS, Bundle
from personsearch.compression.forms import build_form
from personsearch.encoders.golden import write_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.installation.service_records import is_running, read_records
from personsearch.integrations.database.gallery import gallery_in
from personsearch.models.build import load_bundle_model
from personsearch.search.crop import BoundingBox
from personsearch.training.checkpoint import save_weights
from tests.crops import numbered_crop

CAMERAS = ("aisle", "bridge", "court")


@dataclass(frozen=True)
class Installation:
    """One of them, used by its commands as a person would; its gallery holds crops of one camera only."""

    home: Path
    camera: str

    def start(self, *command: str) -> "subprocess.Popen[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PERSONSEARCH_")}
        return subprocess.Popen(
            [sys.executable, "-m", "personsearch", *command],
            env=environment | {"PERSONSEARCH_HOME": str(self.home)},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, code: int = 0) -> str:
        process = self.start(*command)
        out, err = process.communicate()
        assert process.returncode == code, f"{self.camera}: {command}: {err}"
        return out if code == 0 else err

    def fingerprint(self) -> str:
        return Bundle.open(self.home / "bundle").fingerprint

    def check_own_answers(self) -> None:
        """By the command and by the service: its own crops, found by its own model."""
        found = json.loads(self.run("search", "a man in red", "--json"))
        assert {candidate["camera"] for candidate in found["candidates"]} == {self.camera}
        assert len(found["candidates"]) == 3
        answer = self.ask()
        assert {candidate["camera_id"] for candidate in answer["candidates"]} == {self.camera}
        assert answer["model"]["fingerprint"] == self.fingerprint()
        [version] = json.loads(self.run("models", "--json"))["versions"]
        assert version["fingerprint"] == self.fingerprint()

    def ask(self) -> Mapping[str, Any]:
        key = (self.home / "api_key").read_text().strip()
        request = urllib.request.Request(
            f"{read_records(self.home)['serving'].address}/v1/search",
            data=json.dumps({"text": "a man in red"}).encode(),
            headers={"X-API-Key": key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            answer: dict[str, Any] = json.load(response)
        return answer


def own_model(bundle: Path, folder: Path, seed: int) -> None:
    """The tiny model with slightly other weights, exported for serving."""
    source = Bundle.open(shutil.copytree(bundle, folder.with_name("trained")))
    model = load_bundle_model(source).model
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    save_weights(source.path(WEIGHTS), model, torch.float32)
    write_golden(source, TorchEncoder.from_bundle(source, "cpu"))
    build_form(Bundle.open(source.folder), "onnx-fp32", "onnxruntime", folder)


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def three(tiny_bundle: Path, tmp_path: Path) -> Iterator[list[Installation]]:
    installations = [Installation(tmp_path / camera, camera) for camera in CAMERAS]
    try:
        for number, each in enumerate(installations):
            each.home.mkdir()
            own_model(tiny_bundle, each.home / "bundle", number)
            pictures = np.random.default_rng(number).integers(0, 256, (12, 32, 16, 3), dtype=np.uint8)
            gallery_in(each.home / "gallery").add(
                (numbered_crop(index, camera_id=each.camera, bbox=BoundingBox(0, 0, 16, 32)), jpeg(picture))
                for index, picture in enumerate(pictures)
            )
        yield installations
    finally:
        for each in installations:
            each.run("down")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_three_installations_side_by_side(three: list[Installation]) -> None:
    first, second, third = three
    together(three, "up")
    for each in three:
        each.run("register", str(each.home / "bundle"))
    together(three, "promote", "1")
    for each in three:
        wait_until_well(each)
        each.check_own_answers()

    first.run("down")
    assert first.start("status").wait() == 1
    for each in (second, third):
        wait_until_well(each)
        each.check_own_answers()

    milvus = read_records(second.home)["milvus"]
    os.killpg(milvus.pid, signal.SIGKILL)
    while is_running(milvus):
        time.sleep(0.05)
    assert "milvus" in second.run("search", "a man in red", code=2)
    assert {candidate["camera_id"] for candidate in second.ask()["candidates"]} == {second.camera}  # from memory
    third.check_own_answers()

    together([first, second], "up")  # one looks for ports, the other for its earlier one
    for each in three:
        wait_until_well(each)
        each.check_own_answers()


def together(installations: list[Installation], *command: str) -> None:
    for process in [each.start(*command) for each in installations]:
        _, err = process.communicate()
        assert process.returncode == 0, err


def wait_until_well(installation: Installation) -> None:
    """Until `status` finds nothing wrong and the service has its index."""
    deadline = time.monotonic() + 300
    while (process := installation.start("status")).wait() or not is_ready(installation):
        assert time.monotonic() < deadline, process.communicate()
        time.sleep(0.5)


def is_ready(installation: Installation) -> bool:
    try:
        with urllib.request.urlopen(f"{read_records(installation.home)['serving'].address}/readyz"):
            return True
    except OSError:
        return False
