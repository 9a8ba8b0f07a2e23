"""Encoding in several processes: the same vectors as in this one, also where they are killed."""

import io
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from personsearch.bundle import Bundle
from personsearch.encoders.decoding import decode
from personsearch.encoders.onnx import OnnxEncoder
from personsearch.encoders.processes import LIVES, EncoderProcesses, _Child
from personsearch.errors import UserError
from personsearch.images import ImageRejected
from tests.onnx_bundle import make_onnx_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_onnx_bundle(tmp_path_factory.mktemp("processes") / "bundle")


@pytest.fixture
def processes(bundle: Path) -> Iterator[EncoderProcesses]:
    with closing(EncoderProcesses(bundle, processes=2, threads=1)) as started:
        yield started


def pictures(batch: int) -> list[bytes]:
    made = []
    for number in range(3):
        buffer = io.BytesIO()
        Image.new("RGB", (10, 20), (40 * number, 20 * batch % 256, 7 * batch % 256)).save(buffer, "PNG")
        made.append(buffer.getvalue())
    return made


def vectors_here(bundle: Path, batch: int) -> np.ndarray:
    encoder = OnnxEncoder(Bundle.open(bundle), threads=1)
    pixels, _ = decode(pictures(batch), encoder.preprocessing, count=3)
    return encoder.encode_images(pixels)


def test_they_give_the_vectors_of_one_process_each_batch_once(processes: EncoderProcesses, bundle: Path) -> None:
    encoded = {name: vectors for name, vectors, _ in processes.encode((n, pictures(n)) for n in range(9))}
    assert set(encoded) == set(range(9))
    assert len(processes.pids()) == 2
    for name, vectors in encoded.items():
        np.testing.assert_allclose(vectors, vectors_here(bundle, name), atol=1e-6)
    assert [name for name, _, _ in processes.encode([("again", pictures(1))])] == ["again"]
    assert list(processes.encode([])) == []


def test_a_killed_one_is_started_again_and_loses_and_doubles_nothing(processes: EncoderProcesses, bundle: Path) -> None:
    names = []
    for name, vectors, _ in processes.encode((n, pictures(n)) for n in range(12)):
        if name % 4 == 0:
            os.kill(processes.pids()[name % 2], signal.SIGKILL)
        names.append(name)
        np.testing.assert_allclose(vectors, vectors_here(bundle, name), atol=1e-6)
    assert sorted(names) == list(range(12))


def test_pictures_that_cannot_be_decoded_are_named_by_their_place(processes: EncoderProcesses) -> None:
    batch = [pictures(1)[0], b"no picture", ImageRejected("picture is missing"), pictures(1)[1]]
    [(name, vectors, rejected)] = processes.encode([("mixed", batch)])
    assert (name, len(vectors), sorted(rejected)) == ("mixed", 2, [1, 2])
    assert str(rejected[2]) == "picture is missing"


def test_one_that_ends_again_and_again_is_an_error(processes: EncoderProcesses) -> None:
    assert list(processes.encode([("first", pictures(0))])) != []
    for child in processes._children:
        child._command = ["false"]
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(UserError, match=f"a process that encodes ended {LIVES} times: ended with exit code 1"):
        list(processes.encode([("second", pictures(0))]))


def test_a_bundle_that_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    with (
        closing(EncoderProcesses(tmp_path, processes=1, threads=1)) as started,
        pytest.raises(UserError, match="bundle"),
    ):
        list(started.encode([("one", pictures(0))]))


def test_they_end_with_the_process_that_started_them(bundle: Path) -> None:
    child = _Child(bundle, threads=1)
    child.connection.close()
    assert child._process.wait(timeout=60) == 0
