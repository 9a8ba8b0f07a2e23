"""The encoder of serving: torch's vectors without torch, one readable line for a broken bundle."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, TOKENIZER, read_spec, write_spec
from personsearch.errors import UserError
from personsearch.search.golden import write_golden
from personsearch.search.onnx_encoder import OnnxEncoder

TEXTS = ["red", "a person in a red coat", "", "a person in a white coat " * 30, "Ünïcode 🙂 green", "blue coat"]


@pytest.fixture(scope="module")
def onnx_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from personsearch.compression.export import export_onnx
    from personsearch.models.build import load_bundle_model

    folder = tmp_path_factory.mktemp("onnx") / "bundle"
    shutil.copytree(tiny_bundle, folder)
    export_onnx(load_bundle_model(tiny_bundle).model, read_spec(tiny_bundle), folder)
    write_golden(folder, OnnxEncoder(folder, threads=1))
    return folder


@pytest.fixture
def broken(onnx_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(onnx_bundle, tmp_path / "bundle"))


def test_gives_the_vectors_of_torch(tiny_bundle: Path, onnx_bundle: Path) -> None:
    from personsearch.models.torch_encoder import TorchEncoder

    ours, theirs = OnnxEncoder(onnx_bundle, threads=1), TorchEncoder.from_bundle(tiny_bundle, "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 16, 3), dtype=np.uint8)
    assert ours.encode_images(pixels) == pytest.approx(theirs.encode_images(pixels), abs=1e-4)
    assert ours.encode_texts(TEXTS) == pytest.approx(theirs.encode_texts(TEXTS), abs=1e-4)


def test_a_batch_equals_its_texts_one_by_one(onnx_bundle: Path) -> None:
    """More texts than one batch, of mixed length, come back in their order."""
    encoder = OnnxEncoder(onnx_bundle, threads=1)
    texts = TEXTS * 7
    singly = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert encoder.encode_texts(texts) == pytest.approx(singly, abs=1e-5)


def test_nothing_in_gives_nothing_out(onnx_bundle: Path) -> None:
    encoder = OnnxEncoder(onnx_bundle, threads=1)
    assert encoder.encode_texts([]).shape == (0, 32)
    assert encoder.encode_images(np.empty((0, 32, 16, 3), np.uint8)).shape == (0, 32)


@pytest.mark.parametrize("pixels", [np.zeros((1, 16, 32, 3), np.uint8), np.zeros((1, 32, 16, 3), np.float32)])
def test_pixels_of_another_size_or_type_are_refused(onnx_bundle: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        OnnxEncoder(onnx_bundle, threads=1).encode_images(pixels)


@pytest.mark.parametrize("name", [IMAGE_ONNX, TEXT_ONNX, TOKENIZER])
def test_a_missing_file_is_named(broken: Path, name: str) -> None:
    (broken / name).unlink()
    with pytest.raises(UserError, match=name):
        OnnxEncoder(broken, threads=1)


@pytest.mark.parametrize("name", [IMAGE_ONNX, TEXT_ONNX])
@pytest.mark.parametrize("content", [b"", b"not a graph", None])
def test_a_damaged_graph_is_named(broken: Path, name: str, content: bytes | None) -> None:
    path = broken / name
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(UserError, match=name):
        OnnxEncoder(broken, threads=1)


def test_verify_refuses_a_bundle_whose_preprocessing_was_changed(broken: Path) -> None:
    OnnxEncoder(broken, threads=1, verify=True)
    spec = read_spec(broken)
    changed = spec.preprocessing.model_copy(update={"mean": (0.1, 0.5, 0.9)})
    write_spec(broken, spec.model_copy(update={"preprocessing": changed}))
    with pytest.raises(UserError, match="does not reproduce"):
        OnnxEncoder(broken, threads=1, verify=True)


def test_runs_without_torch(onnx_bundle: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from personsearch.search.onnx_encoder import OnnxEncoder; "
        f"OnnxEncoder(Path({str(onnx_bundle)!r}), 1, verify=True); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
