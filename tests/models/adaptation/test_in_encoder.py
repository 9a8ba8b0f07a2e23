"""An adaptation inside the dual encoder: what is trained, how long captions are, what a bundle keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from personsearch.bundle import TOKENIZER, WEIGHTS, Bundle, BundleSpec, write_spec
from personsearch.models.architecture import Architecture
from personsearch.models.build import create_model, load_bundle_model
from personsearch.models.encoder import PersonEncoder
from personsearch.tokenizer import Tokenizer

SECTIONS: dict[str, dict[str, Any]] = {
    "cskt": {"kind": "cskt", "prompts": 3},
    "lora": {"kind": "lora", "mlp": True, "rank": 2},
    "coop": {"kind": "coop", "prompts": 4},
    "clip_adapter": {"kind": "clip_adapter"},
}
CAPTION_TOKENS = {"cskt": 14, "lora": 20, "coop": 16, "clip_adapter": 20}


@pytest.fixture(params=SECTIONS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(kind: str, tiny_bundle: Path, stir: Callable[[nn.Module], None]) -> PersonEncoder:
    torch.manual_seed(1)
    architecture = Architecture(Bundle.open(tiny_bundle).spec.architecture).with_values(adaptation=SECTIONS[kind])
    model = create_model(architecture).eval()
    stir(model.get_submodule("adaptation"))
    return model


@pytest.fixture
def ids(model: PersonEncoder, tiny_bundle: Path) -> Tensor:
    tokenizer = Tokenizer(tiny_bundle / TOKENIZER, model.context_length)
    return torch.from_numpy(tokenizer.encode([" ".join(["red coat"] * count) for count in range(24)]))


def test_trains_the_adaptation_alone(model: PersonEncoder) -> None:
    names = set(model.named_weights())
    assert model.trained_names() == {name for name in names if name.startswith("adaptation.")}
    assert "visual.conv1.weight" in names


def test_an_overlong_caption_is_cut_to_what_fits_and_keeps_its_end(
    kind: str, model: PersonEncoder, ids: Tensor, tiny_bundle: Path
) -> None:
    assert model.context_length == CAPTION_TOKENS[kind]
    end = Tokenizer(tiny_bundle / TOKENIZER, model.context_length).end_id
    assert ids.shape == (24, CAPTION_TOKENS[kind])
    assert ids[-1, -1] == end
    assert model.encode_text(ids).norm(dim=1).tolist() == pytest.approx([1.0] * 24, abs=1e-5)


@torch.no_grad()
def test_groups_of_similar_length_give_the_same_vectors(model: PersonEncoder, ids: Tensor) -> None:
    torch.testing.assert_close(model.encode_text_by_length(ids), model.encode_text(ids), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_bundle_gives_the_same_vectors(model: PersonEncoder, ids: Tensor, tiny_bundle: Path, tmp_path: Path) -> None:
    spec = Bundle.open(tiny_bundle).spec.model_dump()
    changes = {"architecture": model.architecture.to_dict(), "context_length": model.context_length}
    write_spec(tmp_path, BundleSpec.model_validate(spec | changes))
    (tmp_path / TOKENIZER).write_bytes((tiny_bundle / TOKENIZER).read_bytes())
    save_file({name: value.contiguous() for name, value in model.named_weights().items()}, tmp_path / WEIGHTS)
    loaded = load_bundle_model(Bundle.open(tmp_path)).model
    pixels = torch.randn(3, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.encode_image(pixels), model.encode_image(pixels))
    assert torch.equal(loaded.encode_text(ids), model.encode_text(ids))


def test_bf16_autocast_stays_near_float32(model: PersonEncoder, ids: Tensor) -> None:
    pixels = torch.randn(3, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        image, text = model.encode_image(pixels), model.encode_text(ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half_image, half_text = model.train().encode_image(pixels), model.encode_text(ids)
    assert half_image.dtype == half_text.dtype == torch.float32
    assert (half_image * image).sum(dim=1).min() > 0.98
    assert (half_text * text).sum(dim=1).min() > 0.98
    (half_image.sum() + half_text.sum()).backward()
