"""The exported graphs give torch's vectors for every batch size and text length."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, Bundle
from personsearch.compression.export import export_onnx
from personsearch.models.architecture import Architecture
from personsearch.models.build import load_bundle_model
from personsearch.models.clip import DualEncoder

PARITY = 1e-4


@pytest.fixture(scope="module")
def exported(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(load_bundle_model(Bundle.open(tiny_bundle)).model, Bundle.open(tiny_bundle).spec, folder)
    return folder


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> DualEncoder:
    return load_bundle_model(Bundle.open(tiny_bundle)).model


def run(graph: Path, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


def largest_distance(left: np.ndarray, right: np.ndarray) -> float:
    return float((1 - (left * right).sum(axis=1)).max())


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_image_graph_equals_torch(exported: Path, model: DualEncoder, batch: int) -> None:
    import torch

    pixels = np.random.default_rng(batch).normal(size=(batch, 3, 32, 16)).astype(np.float32)
    found = run(exported / IMAGE_ONNX, pixels)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert largest_distance(found, model.encode_image(torch.from_numpy(pixels)).detach().numpy()) < PARITY


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("length", [2, 9, 20])
def test_text_graph_equals_torch_at_any_length(exported: Path, model: DualEncoder, batch: int, length: int) -> None:
    import torch

    end = model.clip.vocab_size - 1
    tokens = np.random.default_rng(length).integers(1, end, (batch, length))
    tokens[:, -1] = end
    found = run(exported / TEXT_ONNX, tokens)
    padded = np.pad(tokens, ((0, 0), (0, 20 - length)))
    assert largest_distance(found, model.encode_text(torch.from_numpy(padded)).detach().numpy()) < PARITY


def test_attentional_pooling_is_exported_as_it_is(tiny_bundle: Path, tmp_path: Path) -> None:
    import torch

    spec = Bundle.open(tiny_bundle).spec
    vision = spec.architecture["vision_cfg"] | {"attentional_pool": True, "attn_pooler_heads": 2, "layers": 1}
    torch.manual_seed(0)
    model = DualEncoder(Architecture(spec.architecture | {"vision_cfg": vision})).eval()
    export_onnx(model, spec, tmp_path)
    pixels = np.random.default_rng(0).normal(size=(5, 3, 32, 16)).astype(np.float32)
    expected = model.encode_image(torch.from_numpy(pixels)).detach().numpy()
    assert largest_distance(run(tmp_path / IMAGE_ONNX, pixels), expected) < PARITY


def test_export_leaves_the_model_as_it_was(tiny_bundle: Path, exported: Path, tmp_path: Path) -> None:
    model = load_bundle_model(Bundle.open(tiny_bundle)).model
    names = [name for name, _ in model.named_modules()]
    export_onnx(model, Bundle.open(tiny_bundle).spec, tmp_path)
    assert [name for name, _ in model.named_modules()] == names
    assert {path.name for path in tmp_path.iterdir()} == {IMAGE_ONNX, TEXT_ONNX}


def test_graphs_are_the_same_bytes_each_time_and_name_no_source_file(
    tiny_bundle: Path, exported: Path, tmp_path: Path
) -> None:
    export_onnx(load_bundle_model(Bundle.open(tiny_bundle)).model, Bundle.open(tiny_bundle).spec, tmp_path)
    for name in (IMAGE_ONNX, TEXT_ONNX):
        content = (tmp_path / name).read_bytes()
        assert content == (exported / name).read_bytes()
        assert b".py" not in content


def test_a_convolutional_stem_is_folded_into_the_graph(tiny_bundle: Path, tmp_path: Path) -> None:
    import onnx
    import torch

    spec = Bundle.open(tiny_bundle).spec
    torch.manual_seed(0)
    model = DualEncoder(Architecture({**spec.architecture, "stem": {"widths": [4, 8], "blocks": [1, 0]}}))
    model.train()
    for _ in range(2):
        model.image_features(torch.randn(8, 3, 32, 16) + 1)
    export_onnx(model.eval(), spec, tmp_path)
    pixels = np.random.default_rng(0).normal(size=(3, 3, 32, 16)).astype(np.float32)
    found = run(tmp_path / IMAGE_ONNX, pixels)
    assert largest_distance(found, model.encode_image(torch.from_numpy(pixels)).detach().numpy()) < PARITY
    operators = [node.op_type for node in onnx.load(tmp_path / IMAGE_ONNX).graph.node]
    assert operators.count("Conv") == 5
    assert "BatchNormalization" not in operators
