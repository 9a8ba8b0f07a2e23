"""Prompts, adapters and low-rank updates are in the exported graphs."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, BundleSpec, Lineage, Preprocessing
from personsearch.compression.export import export_onnx
from personsearch.compression.quantise import quantise_dynamic
from personsearch.models.architecture import Architecture
from personsearch.models.clip import DualEncoder

PARITY = 1e-4
VISION = {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 1, "head_width": 16}
TEXT = {"context_length": 20, "vocab_size": 50, "width": 48, "heads": 2, "layers": 1}
ARCHITECTURE: dict[str, Any] = {"embed_dim": 32, "vision_cfg": VISION, "text_cfg": TEXT}
SECTIONS: dict[str, dict[str, Any]] = {
    "cskt": {"kind": "cskt", "prompts": 3},
    "lora": {"kind": "lora", "mlp": True},
    "coop": {"kind": "coop", "prompts": 5},
    "clip_adapter": {"kind": "clip_adapter"},
}
DEEP = {"vision_cfg": VISION | {"layers": 2}, "text_cfg": TEXT | {"layers": 2}}


def adapted(kind: str) -> DualEncoder:
    """A model whose adaptation has left its start."""
    torch.manual_seed(0)
    depth = DEEP if kind == "cskt" else {}  # later layers replace prompts; an export costs seconds
    architecture = Architecture(ARCHITECTURE | depth | {"adaptation": SECTIONS[kind]})
    model = DualEncoder(architecture).eval().requires_grad_(False)
    for parameter in model.adaptation.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def export(model: DualEncoder, folder: Path) -> Path:
    spec = BundleSpec(
        method="adapted",
        architecture=model.architecture.to_dict(),
        preprocessing=Preprocessing(height=32, width=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        context_length=model.context_length,
        embedding_dim=model.embedding_dim,
        lineage=Lineage(dataset_hash="none", git_commit=""),
    )
    export_onnx(model, spec, folder)
    return folder


@pytest.fixture(scope="module", params=SECTIONS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[DualEncoder, Path]:
    model = adapted(request.param)
    return model, export(model, tmp_path_factory.mktemp("onnx"))


def run(graph: Path, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


def largest_distance(left: np.ndarray, right: np.ndarray) -> float:
    return float((1 - (left * right).sum(axis=1)).max())


def draw_pixels(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).normal(size=(batch, 3, 32, 16)).astype(np.float32)


def draw_tokens(batch: int, length: int) -> np.ndarray:
    tokens = np.random.default_rng(length).integers(1, 49, (batch, length))
    tokens[:, -1] = 49
    return tokens


def test_graphs_equal_torch_at_any_batch_and_length(exported: tuple[DualEncoder, Path]) -> None:
    model, folder = exported
    for batch in (1, 7):
        pixels = draw_pixels(batch)
        found = run(folder / IMAGE_ONNX, pixels)
        assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
        assert largest_distance(found, model.encode_image(torch.from_numpy(pixels)).numpy()) < PARITY
        for length in (2, 9, model.context_length):
            tokens = draw_tokens(batch, length)
            padded = torch.from_numpy(np.pad(tokens, ((0, 0), (0, model.context_length - length))))
            assert largest_distance(run(folder / TEXT_ONNX, tokens), model.encode_text(padded).numpy()) < PARITY


def test_the_frozen_model_gives_other_vectors(exported: tuple[DualEncoder, Path]) -> None:
    model, folder = exported
    frozen = DualEncoder(model.architecture.without("adaptation")).eval()
    frozen.clip.load_state_dict(model.clip.state_dict())
    images = frozen.encode_image(torch.from_numpy(draw_pixels(3))).detach().numpy()
    texts = frozen.encode_text(torch.from_numpy(draw_tokens(3, 9))).detach().numpy()
    distances = (
        largest_distance(run(folder / IMAGE_ONNX, draw_pixels(3)), images),
        largest_distance(run(folder / TEXT_ONNX, draw_tokens(3, 9)), texts),
    )
    assert max(distances) > 100 * PARITY


def test_export_leaves_the_adapted_model_as_it_was(exported: tuple[DualEncoder, Path]) -> None:
    model, _ = exported
    untouched = adapted(model.architecture["adaptation"]["kind"]).named_weights()
    found = model.named_weights()
    assert found.keys() == untouched.keys()
    assert all(torch.equal(found[name], value) for name, value in untouched.items())


def test_8_bit_graphs_hold_every_linear_map_of_the_towers_in_8_bits(
    exported: tuple[DualEncoder, Path], tmp_path: Path
) -> None:
    model, folder = exported
    for name in (IMAGE_ONNX, TEXT_ONNX):
        quantise_dynamic(folder / name, tmp_path / name)
    adapters = 2 if model.architecture["adaptation"]["kind"] == "cskt" else 0
    for name, config in ((IMAGE_ONNX, "vision_cfg"), (TEXT_ONNX, "text_cfg")):
        graph = onnx.load(tmp_path / name).graph
        expected = model.architecture[config]["layers"] * (4 + adapters)
        assert sum(node.op_type == "MatMulInteger" for node in graph.node) >= expected
    pixels, tokens = draw_pixels(5), draw_tokens(5, 9)
    assert largest_distance(run(tmp_path / IMAGE_ONNX, pixels), run(folder / IMAGE_ONNX, pixels)) < 0.02
    assert largest_distance(run(tmp_path / TEXT_ONNX, tokens), run(folder / TEXT_ONNX, tokens)) < 0.02
