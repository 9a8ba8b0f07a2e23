"""The dual Transformer: its sizes on paper, its vectors, feature-level mixup, and that it learns."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from personsearch.errors import UserError
from personsearch.models.architecture import Architecture
from personsearch.models.dual_transformer import DualTransformer, complete_architecture
from personsearch.models.mixing import Mixing

ARCHITECTURE: dict[str, Any] = {
    "kind": "dual_transformer",
    "embed_dim": 32,
    "vision_cfg": {"image_size": [64, 32], "patch_size": 16, "stride": 12, "width": 48, "layers": 2, "heads": 3},
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 60,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 12,
    },
}


@pytest.fixture(scope="module")
def model() -> DualTransformer:
    torch.manual_seed(0)
    return DualTransformer(Architecture(ARCHITECTURE)).eval()


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels and padded ids of 24 pairs, of 2 to 12 tokens."""
    numbers = torch.Generator().manual_seed(3)
    ids_NL = torch.randint(1, 60, (24, 12), generator=numbers)
    lengths_N = torch.arange(24) % 11 + 2
    ids_NL[torch.arange(12)[None] >= lengths_N[:, None]] = 0
    return torch.randn(24, 3, 64, 32, generator=numbers), ids_NL


def mixing(ratio: float, partner: list[int]) -> Mixing:
    return Mixing(torch.tensor(partner), torch.full((len(partner),), ratio))


REVERSED = list(reversed(range(24)))


def test_the_paper_s_sizes() -> None:
    with torch.device("meta"):
        model = DualTransformer(Architecture({"kind": "dual_transformer"}))
    assert model.visual.grid_size == (31, 10)
    assert model.visual.positional_embedding.shape == (311, 768)
    vit_b16, positions_197 = 85_798_656, 197 * 768
    assert sum(p.numel() for p in model.visual.parameters()) == vit_b16 - positions_197 + 311 * 768
    assert sum(p.numel() for p in model.text.parameters()) == 109_482_240
    assert sum(p.numel() for p in model.parameters()) == 195_368_448
    assert (model.embedding_dim, model.context_length) == (768, 64)


@torch.no_grad()
def test_vectors_are_unit_and_padding_changes_nothing(
    model: DualTransformer, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    pixels, ids = batch
    image, text = model.encode_image(pixels), model.encode_text(ids)
    assert image.shape == text.shape == (24, 32)
    for vectors in (image, text):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(24), atol=1e-5)
    assert torch.allclose(model.encode_text_by_length(ids), text, atol=1e-6)
    for row in range(11):
        assert torch.allclose(model.encode_text(ids[row : row + 1, : row + 2])[0], text[row], atol=1e-6)


def test_gradients_of_texts_in_one_row_are_those_of_padded_ones(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.manual_seed(0)
    ours = DualTransformer(Architecture(ARCHITECTURE)).train()
    ours.set_text_attention_dropout(0)
    for module in ours.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    padded = copy.deepcopy(ours)
    found, wanted = ours.encode_text_by_length(batch[1]), padded.encode_text(batch[1])
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    for vectors in (found, wanted):
        (vectors * torch.arange(32.0)).sum().backward()
    for (name, mine), other in zip(ours.text.named_parameters(), padded.text.parameters(), strict=True):
        assert mine.grad is not None, name
        torch.testing.assert_close(mine.grad, other.grad, msg=name, atol=2e-5, rtol=1e-4)


def test_the_temperature_is_fixed(model: DualTransformer) -> None:
    model.set_logit_scale(50)
    assert model.logit_scale().item() == pytest.approx(200)
    assert not model.logit_scale().requires_grad
    warm = DualTransformer(Architecture(ARCHITECTURE | {"temperature": 0.1}))
    assert warm.logit_scale().item() == pytest.approx(10)


def test_a_bundle_s_description_and_weights_give_the_model_back(
    model: DualTransformer, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    again = DualTransformer(Architecture(json.loads(json.dumps(model.architecture.to_dict())))).eval()
    assert again.architecture == model.architecture
    assert not torch.equal(again.encode_image(batch[0]), model.encode_image(batch[0]))
    again.load_named_weights({name: value.detach().clone() for name, value in model.named_weights().items()})
    assert torch.equal(again.encode_image(batch[0]), model.encode_image(batch[0]))
    assert torch.equal(again.encode_text(batch[1]), model.encode_text(batch[1]))


def test_named_weights_are_every_parameter(model: DualTransformer) -> None:
    assert model.named_weights().keys() == dict(model.named_parameters()).keys()
    assert {name.split(".")[0] for name in model.named_weights()} == {"visual", "text", "image_projection"}
    fresh = DualTransformer(Architecture(ARCHITECTURE))
    fresh.freeze(["visual.conv1", "text.bert.embeddings"])
    frozen = dict(fresh.named_parameters()).keys() - fresh.trained_names()
    assert len(frozen) == 2 + 5
    with pytest.raises(UserError, match="matches no parameter of this model"):
        fresh.freeze(["text.layer"])


@torch.no_grad()
def test_mixing_nothing_or_with_itself_changes_nothing(
    model: DualTransformer, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    pixels, ids = batch
    for neutral in (mixing(1.0, REVERSED), mixing(0.3, list(range(24)))):
        assert torch.allclose(model.image_features(pixels, mixing=neutral), model.image_features(pixels), atol=1e-5)
        assert torch.allclose(model.text_features(ids, mixing=neutral), model.text_features(ids), atol=1e-5)
    exchanged = mixing(0.0, REVERSED)
    assert torch.allclose(model.text_features(ids, mixing=exchanged), model.text_features(ids)[REVERSED], atol=1e-5)


@torch.no_grad()
def test_mixing_is_of_both_rows_and_knows_no_padding(
    model: DualTransformer, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    pixels, ids = batch
    half, third, rest = mixing(0.5, REVERSED), mixing(0.3, REVERSED), mixing(0.7, REVERSED)
    image, text = model.image_features(pixels, mixing=half), model.text_features(ids, mixing=half)
    assert torch.allclose(image, image[REVERSED], atol=1e-5)
    assert torch.allclose(text, text[REVERSED], atol=1e-5)
    assert not torch.allclose(text, model.text_features(ids), atol=1e-2)
    turned = model.text_features(ids, mixing=rest)[REVERSED]
    assert torch.allclose(model.text_features(ids, mixing=third), turned, atol=1e-5)
    padded = torch.nn.functional.pad(ids[:4, :5], (0, 7))
    pair = mixing(0.5, [1, 0, 3, 2])
    assert torch.allclose(
        model.text_features(padded, mixing=pair), model.text_features(ids[:4, :5], mixing=pair), atol=1e-5
    )


@torch.no_grad()
def test_features_are_mixed_after_the_first_block(
    model: DualTransformer, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    pixels, vit = batch[0][:2], model.visual
    tokens = torch.cat([vit.class_embedding.expand(2, 1, -1), vit.conv1(pixels).flatten(2).transpose(1, 2)], dim=1)
    first = vit.blocks[0](tokens + vit.positional_embedding)
    mixed = 0.25 * first + 0.75 * first.flip(0)
    assert torch.allclose(vit(pixels, mixing(0.25, [1, 0])), vit.norm(vit.blocks[1](mixed))[:, 0], atol=1e-5)


def test_a_few_steps_reduce_the_contrastive_loss(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.manual_seed(0)
    model = DualTransformer(Architecture(ARCHITECTURE | {"temperature": 0.05}))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        logits = model.logit_scale() * model.encode_image(batch[0]) @ model.encode_text_by_length(batch[1]).T
        loss = (cross_entropy(logits, torch.arange(24)) + cross_entropy(logits.T, torch.arange(24))) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None for name, p in model.named_parameters() if "token_type" not in name)


def test_each_tower_takes_its_own_weights(tmp_path: Path, model: DualTransformer) -> None:
    from timm.models.vision_transformer import VisionTransformer
    from transformers import BertConfig, BertModel

    text = {key: value for key, value in ARCHITECTURE["text_cfg"].items() if key != "context_length"}
    bert = BertModel(BertConfig(**text))
    bert.save_pretrained(tmp_path)
    vit = VisionTransformer((32, 32), 16, embed_dim=48, depth=2, num_heads=3)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    sizes = {"image_size": (64, 32), "context_length": 12, "text_weights": str(tmp_path)}
    found = DualTransformer(complete_architecture(Architecture(ARCHITECTURE | {"text_cfg": {}}), **sizes))
    assert found.architecture["text_cfg"] == model.architecture["text_cfg"]
    found.load_pretrained(str(tmp_path / "vit.safetensors"), str(tmp_path))
    assert torch.equal(found.text.bert.pooler.dense.weight, bert.pooler.dense.weight)
    assert torch.equal(found.visual.blocks[1].attn.qkv.weight, vit.blocks[1].attn.qkv.weight)
    with pytest.raises(UserError, match=r"num_hidden_layers: 3, but .* has 2"):
        complete_architecture(Architecture({"text_cfg": {"num_hidden_layers": 3}}), **sizes)
    dropout = complete_architecture(Architecture({"text_cfg": {"hidden_dropout_prob": 0.0}}), **sizes)
    assert dropout["text_cfg"]["hidden_dropout_prob"] == 0.0


def test_a_recipe_s_sizes_enter_the_architecture() -> None:
    found = complete_architecture(Architecture(ARCHITECTURE), image_size=(96, 32), context_length=8, text_weights=None)
    model = DualTransformer(found)
    assert (model.visual.grid_size, model.context_length) == ((7, 2), 8)
    assert ARCHITECTURE["vision_cfg"]["image_size"] == [64, 32]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vision_cfg": {"width": 50}}, "vision_cfg: .*no multiple of 12 heads"),
        ({"text_cfg": {"context_length": 600}}, "it has 512 positions"),
        ({"text_cfg": {"width": 64}}, r"text_cfg\.width: unknown; known: context_length, vocab_size"),
        ({"temperature": 0}, "temperature=0"),
    ],
)
def test_wrong_architectures_are_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        DualTransformer(Architecture(ARCHITECTURE | changes))
