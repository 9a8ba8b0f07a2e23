"""The encoders of serving: torch's vectors on either engine, one readable line for a broken bundle."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, TOKENIZER, Bundle, write_spec
from personsearch.encoders.graph import GraphEncoder, length_batches
from personsearch.encoders.onnx import OnnxEncoder
from personsearch.encoders.openvino import OpenVinoEncoder
from personsearch.errors import UserError

TEXTS = ["red", "a person in a red coat", "", "a person in a white coat " * 30, "Ünïcode 🙂 green", "blue coat"]
ENGINES = [OnnxEncoder, OpenVinoEncoder]


@pytest.fixture
def broken(onnx_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(onnx_bundle, tmp_path / "bundle"))


@pytest.mark.parametrize("engine", ENGINES)
def test_gives_the_vectors_of_torch(tiny_bundle: Path, onnx_bundle: Path, engine: type[GraphEncoder]) -> None:
    from personsearch.encoders.torch import TorchEncoder

    ours, theirs = engine(Bundle.open(onnx_bundle), 1), TorchEncoder.from_bundle(Bundle.open(tiny_bundle), "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 16, 3), dtype=np.uint8)
    assert ours.encode_images(pixels) == pytest.approx(theirs.encode_images(pixels), abs=1e-4)
    assert ours.encode_texts(TEXTS) == pytest.approx(theirs.encode_texts(TEXTS), abs=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_equals_its_texts_one_by_one(onnx_bundle: Path, engine: type[GraphEncoder]) -> None:
    """More texts than one batch, of mixed length, come back in their order."""
    encoder = engine(Bundle.open(onnx_bundle), 1)
    texts = TEXTS * 7
    singly = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert encoder.encode_texts(texts) == pytest.approx(singly, abs=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_may_share_an_encoder(onnx_bundle: Path, engine: type[GraphEncoder]) -> None:
    encoder = engine(Bundle.open(onnx_bundle), 1)
    texts = [f"{colour} coat" for colour in ("red", "green", "blue", "white")]
    expected = [encoder.encode_texts([text]) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        for text, found in zip(
            texts * 8, threads.map(lambda text: encoder.encode_texts([text]), texts * 8), strict=True
        ):
            assert found == pytest.approx(expected[texts.index(text)], abs=1e-6)


@given(lengths=st.lists(st.integers(1, 77), min_size=1, max_size=300))
def test_batches_hold_every_text_once_and_little_padding(lengths: list[int]) -> None:
    lengths_N = np.array(lengths)
    batches = list(length_batches(lengths_N))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) <= 32
        assert lengths_N[rows[-1]] == lengths_N[rows].max()
        assert len(rows) * lengths_N[rows].max() <= 1.25 * lengths_N[rows].sum()


def test_nothing_in_gives_nothing_out(onnx_bundle: Path) -> None:
    encoder = OnnxEncoder(Bundle.open(onnx_bundle), threads=1)
    assert encoder.encode_texts([]).shape == (0, 32)
    assert encoder.encode_images(np.empty((0, 32, 16, 3), np.uint8)).shape == (0, 32)


@pytest.mark.parametrize("pixels", [np.zeros((1, 16, 32, 3), np.uint8), np.zeros((1, 32, 16, 3), np.float32)])
def test_pixels_of_another_size_or_type_are_refused(onnx_bundle: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        OnnxEncoder(Bundle.open(onnx_bundle), threads=1).encode_images(pixels)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [IMAGE_ONNX, TEXT_ONNX, TOKENIZER])
def test_a_missing_file_is_named(broken: Path, name: str, engine: type[GraphEncoder]) -> None:
    (broken / name).unlink()
    with pytest.raises(UserError, match=name):
        engine(Bundle.open(broken), 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [IMAGE_ONNX, TEXT_ONNX])
@pytest.mark.parametrize("content", [b"", b"not a graph", None])
def test_a_damaged_graph_is_named(broken: Path, name: str, content: bytes | None, engine: type[GraphEncoder]) -> None:
    path = broken / name
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(UserError, match=name):
        engine(Bundle.open(broken), 1)


def test_verify_refuses_a_bundle_whose_preprocessing_was_changed(broken: Path) -> None:
    OnnxEncoder(Bundle.open(broken), threads=1, verify=True)
    spec = Bundle.open(broken).spec
    changed = spec.preprocessing.model_copy(update={"mean": (0.1, 0.5, 0.9)})
    write_spec(broken, spec.model_copy(update={"preprocessing": changed}))
    with pytest.raises(UserError, match="does not reproduce"):
        OnnxEncoder(Bundle.open(broken), threads=1, verify=True)
