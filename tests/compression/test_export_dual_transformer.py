"""The dual Transformer's ONNX graphs give torch's vectors for every batch size and text length."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, BundleSpec, Lineage, Preprocessing
from personsearch.compression.export import export_onnx
from personsearch.models.architecture import Architecture
from personsearch.models.dual_transformer import DualTransformer

PARITY = 1e-4
CONTEXT = 12


@pytest.fixture(scope="module")
def model() -> DualTransformer:
    torch.manual_seed(0)
    text = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    architecture = {
        "kind": "dual_transformer",
        "embed_dim": 32,
        "vision_cfg": {"image_size": [40, 28], "width": 48, "layers": 2, "heads": 3},
        "text_cfg": text | {"context_length": CONTEXT, "vocab_size": 60, "max_position_embeddings": CONTEXT},
    }
    return DualTransformer(Architecture(architecture)).eval()


@pytest.fixture(scope="module")
def exported(model: DualTransformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    spec = BundleSpec(
        method="ctlg",
        architecture=model.architecture.to_dict(),
        preprocessing=Preprocessing(height=40, width=28, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        context_length=CONTEXT,
        embedding_dim=32,
        lineage=Lineage(dataset_hash="none", git_commit=""),
    )
    export_onnx(model, spec, folder)
    return folder


def run(graph: Path, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_image_graph_equals_torch(exported: Path, model: DualTransformer, batch: int) -> None:
    pixels = np.random.default_rng(batch).normal(size=(batch, 3, 40, 28)).astype(np.float32)
    wanted = model.encode_image(torch.from_numpy(pixels)).numpy()
    assert np.abs(run(exported / IMAGE_ONNX, pixels) - wanted).max() < PARITY


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("length", [2, 5, CONTEXT])
def test_text_graph_equals_torch_with_padding_and_without(
    exported: Path, model: DualTransformer, batch: int, length: int
) -> None:
    tokens = np.random.default_rng(length).integers(1, 60, (batch, length))
    tokens[1:, length // 2 + 1 :] = 0
    padded = np.pad(tokens, ((0, 0), (0, CONTEXT - length)))
    wanted = model.encode_text(torch.from_numpy(padded)).numpy()
    for given in (tokens, padded):
        assert np.abs(run(exported / TEXT_ONNX, given) - wanted).max() < PARITY
