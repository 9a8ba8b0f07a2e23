"""Weights in the forms that people keep them in, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from personsearch.bundle import Bundle, TextCleaning, write_spec
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.models import weights
from personsearch.models.architecture import Architecture
from personsearch.models.build import build_model, load_bundle_model
from personsearch.models.clip import DualEncoder
from personsearch.models.config import ModelConfig
from personsearch.tokenizer import Tokenizer

VOCABULARY = 49408
ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 32], "patch_size": 8, "width": 64, "layers": 1, "head_width": 64},
    "text_cfg": {"context_length": 12, "vocab_size": VOCABULARY, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture(scope="module")
def model() -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(Architecture(ARCHITECTURE))


def built(source: Path | str, folder: Path, **changes: Any) -> DualEncoder:
    known = {"weights": str(source), "architecture": ARCHITECTURE, "image_size": (32, 32), "activation": "gelu"}
    values = known | changes
    return build_model(ModelConfig(**values), lambda: [], folder / "tokenizer.json").model


def assert_same(found: DualEncoder, wanted: DualEncoder, tolerance: float = 0.0) -> None:
    for name, value in wanted.clip.state_dict().items():
        assert torch.allclose(found.clip.state_dict()[name], value, atol=tolerance), name


def test_open_clip_training_checkpoint(model: DualEncoder, tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in model.clip.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "epoch_3.pt")
    assert_same(built(tmp_path / "epoch_3.pt", tmp_path), model)


def test_bare_state_dict_and_safetensors(model: DualEncoder, tmp_path: Path) -> None:
    torch.save(model.clip.state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    save_file(model.clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    for name in ("open_clip_pytorch_model.bin", "open_clip_model.safetensors"):
        assert_same(built(tmp_path / name, tmp_path), model)


def test_openai_torchscript_archive_in_half_precision(model: DualEncoder, tmp_path: Path) -> None:
    """OpenAI's files are TorchScript, float16, with three numbers beside the weights, for the quick GELU."""

    class Archive(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = model.clip.visual
            self.transformer = model.clip.transformer
            for name in ("token_embedding", "ln_final"):
                setattr(self, name, getattr(model.clip, name))
            for name in ("positional_embedding", "text_projection", "logit_scale"):
                self.register_parameter(name, getattr(model.clip, name))
            for name in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(name, torch.tensor(32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.logit_scale

    archive = torch.jit.trace(Archive(), torch.zeros(1))
    torch.jit.save(archive.half(), str(tmp_path / "ViT.pt"))
    model.float()
    found = built(tmp_path / "ViT.pt", tmp_path, activation=None)
    assert_same(found, model, tolerance=1e-2)
    assert found.architecture["quick_gelu"] is True
    assert found.clip.state_dict()["visual.proj"].dtype == torch.float32


def test_the_cleaning_of_texts_comes_from_the_recipe_or_the_bundle(
    model: DualEncoder, tiny_bundle: Path, tmp_path: Path
) -> None:
    save_file(model.clip.state_dict(), tmp_path / "w.safetensors")
    known = {"weights": str(tmp_path / "w.safetensors"), "architecture": ARCHITECTURE, "activation": "gelu"}
    cleaning = {
        pre_caption: build_model(
            ModelConfig(**known, image_size=(32, 32), pre_caption=pre_caption), lambda: [], tmp_path / "tokenizer.json"
        ).tokenizer.cleaning
        for pre_caption in (None, True)
    }
    assert cleaning == {None: TextCleaning(ftfy=True), True: TextCleaning(ftfy=True, pre_caption=True)}
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    spec = Bundle.open(folder).spec
    write_spec(folder, spec.model_copy(update={"text_cleaning": TextCleaning(pre_caption=True)}))
    for given, kept in ((None, True), (False, False)):
        config = ModelConfig(weights=str(folder), image_size=(32, 16), pre_caption=given)
        assert build_model(config, lambda: [], tmp_path / "t.json").tokenizer.cleaning == TextCleaning(pre_caption=kept)
    assert load_bundle_model(Bundle.open(folder)).tokenizer.cleaning == TextCleaning(pre_caption=True)


def test_a_bundle_brings_architecture_and_tokenizer(tiny_bundle: Path, tmp_path: Path) -> None:
    config = ModelConfig(weights=str(tiny_bundle), image_size=(64, 16), context_length=10)
    result = build_model(config, lambda: [], tmp_path / "tokenizer.json")
    assert (tmp_path / "tokenizer.json").read_bytes() == (tiny_bundle / "tokenizer.json").read_bytes()
    assert result.model.clip.visual.grid_size == (8, 2)
    assert result.model.context_length == result.tokenizer.context_length == 10
    assert result.preprocessing.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", ["openai_state_dict.pt", "open_clip_model.safetensors"])
def test_a_file_that_does_not_say_its_activation_needs_it_from_the_recipe(
    model: DualEncoder, name: str, tmp_path: Path
) -> None:
    state = model.clip.state_dict()  # as clip.load(jit=False).state_dict(): no sign of OpenAI is left
    torch.save(state, tmp_path / name) if name.endswith(".pt") else save_file(state, tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: the file does not say its activation; set model.activation to"):
        built(tmp_path / name, tmp_path, activation=None)
    for activation, expected in (("quick_gelu", {"FusedQuickGELU"}), ("gelu", {"GELU"})):
        found = built(tmp_path / name, tmp_path, activation=activation)
        assert {type(part).__name__ for part in found.modules() if "GELU" in type(part).__name__} == expected


def test_the_architecture_or_the_configuration_beside_a_file_may_say_the_activation(
    model: DualEncoder, tmp_path: Path
) -> None:
    save_file(model.clip.state_dict(), tmp_path / "w.safetensors")
    plain = ARCHITECTURE | {"quick_gelu": False}
    assert not built(tmp_path / "w.safetensors", tmp_path, activation=None, architecture=plain).architecture[
        "quick_gelu"
    ]
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": ARCHITECTURE | {"quick_gelu": True}}))
    assert built(tmp_path / "w.safetensors", tmp_path, activation=None).architecture["quick_gelu"] is True
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": ARCHITECTURE}))
    assert "quick_gelu" not in built(tmp_path / "w.safetensors", tmp_path, activation=None).architecture


def test_an_activation_that_contradicts_the_weights_is_refused(
    model: DualEncoder, tiny_bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"activation: model.activation: quick_gelu; weights .*: gelu; they must agree"):
        built(tiny_bundle, tmp_path, architecture=None, activation="quick_gelu")
    save_file(model.clip.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"model\.activation: gelu; model\.architecture: quick_gelu"):
        built(tmp_path / "w.safetensors", tmp_path, architecture=ARCHITECTURE | {"quick_gelu": True})


@pytest.mark.parametrize(
    ("architecture", "source", "activation"),
    [
        ("ViT-B-16", "openai", "quick_gelu"),
        ("ViT-B-16", "dfn2b", "quick_gelu"),
        ("ViT-B-32", "metaclip_400m", "quick_gelu"),
        ("ViT-B-32", "laion400m_e32", "quick_gelu"),
        ("ViT-B-16", "laion400m_e32", "gelu"),
        ("ViT-B-32", "laion2b_s34b_b79k", "gelu"),
        ("roberta-ViT-B-32", "laion2b_s12b_b32k", "quick_gelu"),
        (None, "hf-hub:apple/DFN2B-CLIP-ViT-B-16", "quick_gelu"),
        (None, "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "gelu"),
        (None, "hf-hub:own/quick", "quick_gelu"),
        (None, "hf-hub:own/silent", None),
    ],
)
def test_the_hub_says_the_activation(
    architecture: str | None, source: str, activation: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By open_clip's table, else by the repository's own configuration."""
    own = tmp_path / "own" / "open_clip_config.json"
    own.parent.mkdir()
    own.write_text(json.dumps({"model_cfg": {"quick_gelu": True}}))
    save_file({"logit_scale": torch.zeros(1)}, tmp_path / "open_clip_model.safetensors")

    def download(repository: str, name: str, source: str) -> Path:
        if name.endswith(".json") and repository != "own/quick":
            raise UserError("there is none")
        return own if name.endswith(".json") else tmp_path / name

    monkeypatch.setattr(weights, "download", download)
    assert weights.load_weights(source, architecture).activation == activation


def test_image_positions_fit_another_size(model: DualEncoder, tmp_path: Path) -> None:
    save_file(model.clip.state_dict(), tmp_path / "w.safetensors")
    taller = built(tmp_path / "w.safetensors", tmp_path, image_size=(64, 24))
    assert taller.clip.visual.positional_embedding.shape == (1 + 8 * 3, 64)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is an empty file; a file that torch.save or safetensors wrote expected"),
        (b"\0" * 100, "is damaged, cut off or of an unknown kind"),
        (b"PK\x03\x04 broken", "is damaged, cut off"),
        (b"\x10\0\0\0\0\0\0\0{broken", "is damaged, cut off"),
        (b"<!DOCTYPE html><title>Sign in</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", r"is a Git LFS pointer.*`git lfs pull`"),
    ],
)
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_files_are_refused(content: bytes, reason: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=reason):
        built(tmp_path / name, tmp_path)


def test_safetensors_are_known_by_content(model: DualEncoder, tmp_path: Path) -> None:
    save_file(model.clip.state_dict(), tmp_path / "weights.bin")
    assert_same(built(tmp_path / "weights.bin", tmp_path), model)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Attack()}, tmp_path / "evil.pt")
    with pytest.raises(
        UserError, match="not a state dict, but a dictionary of state_dict; `personsearch import` makes"
    ):
        built(tmp_path / "evil.pt", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_architecture_are_named(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"do not fit the architecture: .* expected"):
        built(tiny_bundle, tmp_path)
    with pytest.raises(UserError, match="8 image positions do not form a 2×2 grid"):
        built(tiny_bundle / "weights.safetensors", tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nowhere/weights.pt", "neither a model bundle nor a file"),
        ("absent.bin", "neither"),
        ("laion9", "no file, no bundle"),
    ],
)
def test_weights_that_are_nowhere_are_refused(source: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        built(source, tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            {"model": {}, "optimizer": {}, "config": {}},
            "not a state dict, but a dictionary of model, optimizer, config; ",
        ),
        (
            {"module.base_model.ln_final.bias": torch.ones(2)},
            r"a published method's own code, such as base_model\.ln_f",
        ),
        ({"encode_text.ln_final.bias": torch.ones(2)}, "`personsearch import` makes a bundle of a checkpoint"),
        (torch.ones(3), "not a state dict, but a Tensor"),
        ({}, "not a state dict, but empty"),
    ],
)
def test_checkpoints_of_other_code_are_named(content: Any, reason: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "best.pth")
    with pytest.raises(UserError, match=reason) as caught:
        built(tmp_path / "best.pth", tmp_path)
    assert str(caught.value).isprintable()


def test_the_hub_offline_fails_early(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="HF_HUB_OFFLINE forbids"):
        build_model(
            ModelConfig(weights="laion2b_s34b_b79k", architecture="ViT-B-32"), lambda: [], tmp_path / "tokenizer.json"
        )


@pytest.mark.parametrize("source", ["hf-hub:timm/vit_base_patch16_clip_224.openai", "hf-hub:owner/name"])
def test_a_name_on_the_hub_may_have_a_dot(source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=f"^weights {source}: not in the local cache, and HF_HUB_OFFLINE forbids"):
        built(source, tmp_path)


def test_unknown_architectures_and_prefixes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no 'ViT-B-17'; near it: ViT-B-16"):
        built("random", tmp_path, architecture="ViT-B-17")
    with pytest.raises(UserError, match="only weights from a bundle"):
        built("random", tmp_path, architecture=None)
    with pytest.raises(UserError, match=r"'visual.conv9' matches no parameter"):
        built("random", tmp_path, frozen=("visual.conv9",))


def test_frozen_layers_and_dropout_are_set(tmp_path: Path) -> None:
    found = built("random", tmp_path, text_attention_dropout=0.2, initial_logit_scale=50.0)
    frozen = [name for name, value in found.clip.named_parameters() if not value.requires_grad]
    assert frozen == ["visual.conv1.weight"]
    assert found.clip.transformer.resblocks[0].attn.dropout == 0.2
    assert found.clip.visual.transformer.resblocks[0].attn.dropout == 0.0
    assert found.logit_scale().item() == pytest.approx(50.0, rel=1e-4)


def test_features_equal_open_clip_whatever_the_padding(model: DualEncoder) -> None:
    model.eval()
    pixels, ids = torch.randn(20, 3, 32, 32), torch.randint(1, 400, (20, 12))
    ends = torch.arange(20) % 9 + 2
    ids[torch.arange(12)[None] > ends[:, None]] = 0
    ids[torch.arange(20), ends] = VOCABULARY - 1
    with torch.no_grad():
        cut = model.encode_text_by_length(ids[:, : int(ends.max()) + 1])
        assert torch.allclose(model.encode_image(pixels), model.clip.encode_image(pixels, normalize=True), atol=1e-6)
        assert torch.allclose(cut, model.clip.encode_text(ids, normalize=True), atol=1e-6)
        assert torch.allclose(model.encode_text(ids), cut, atol=1e-6)


def test_the_encoder_of_a_bundle_gives_unit_vectors_in_any_batch(tiny_bundle: Path) -> None:
    encoder = TorchEncoder.from_bundle(Bundle.open(tiny_bundle), "cpu")
    texts = [f"a person in a {colour} coat" * (1 + index % 3) for index, colour in enumerate(["red", "blue"] * 40)]
    pixels = np.random.default_rng(0).integers(0, 256, (70, 32, 16, 3), dtype=np.uint8)
    text, image = encoder.encode_texts(texts), encoder.encode_images(pixels)
    assert text.dtype == image.dtype == np.float32
    assert np.allclose(np.linalg.norm(text, axis=1), 1, atol=1e-5)
    assert np.allclose(encoder.encode_texts(texts[5:6])[0], text[5], atol=1e-5)
    assert np.allclose(encoder.encode_images(pixels[66:67])[0], image[66], atol=1e-5)
    assert encoder.encode_texts([]).shape == encoder.encode_images(pixels[:0]).shape == (0, 32)


def test_a_loaded_bundle_is_in_evaluation_mode(tiny_bundle: Path) -> None:
    result = load_bundle_model(Bundle.open(tiny_bundle))
    assert not result.model.training
    assert isinstance(result.tokenizer, Tokenizer)
