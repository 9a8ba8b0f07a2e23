"""CSKT against a literal one that runs the whole sequence through every block, and against its published size."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from open_clip.model import CLIP
from torch import Tensor, nn

from personsearch.errors import UserError
from personsearch.models.adaptation import make_adaptation
from personsearch.models.adaptation.cskt import Adapter, Cskt
from personsearch.models.adaptation.prompts import BidirectionalPrompts

SECTION = {"kind": "cskt", "prompts": 3}
VIT_B_16: dict[str, Any] = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": [384, 128], "patch_size": 16, "width": 768, "layers": 12},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
}


def make(clip: Any) -> Cskt:
    adaptation = make_adaptation(SECTION, clip)
    assert isinstance(adaptation, Cskt)
    return adaptation.eval()


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def literal_block(block: Any, adapter: Adapter, x: Tensor, mask: Tensor | None) -> Tensor:
    x = x + block.ls_1(block.attention(block.ln_1(x), attn_mask=mask))
    added = adapter.up(torch.relu(adapter.down(adapter.norm(x))))
    return x + block.ls_2(block.mlp(block.ln_2(x))) + adapter.scale * added


def literal_image(adaptation: Cskt, clip: Any, pixels: Tensor) -> Tensor:
    """[CLS, patches, T→V, V], the prompts replaced at the entry of every block."""
    visual, prompts = clip.visual, adaptation.prompts
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(pixels), 1, -1), patches], dim=1) + visual.positional_embedding
    real = x.shape[1]
    for layer, block in enumerate(visual.transformer.resblocks):
        text = prompts.text[min(layer, len(prompts.text) - 1)]
        added = torch.cat([prompts.text_to_vision[layer](text), prompts.vision[layer]])
        x = torch.cat([x[:, :real], added.expand(len(pixels), -1, -1)], dim=1)
        if layer == 0:
            x = visual.ln_pre(x)
        x = literal_block(block, adaptation.image_adapters[layer], x, None)
    return visual._pool(x[:, :real])[0] @ visual.proj


def literal_text(adaptation: Cskt, clip: Any, ids: Tensor) -> Tensor:
    """[SOT, T, V→T, caption … EOT, padding] over the full context, the prompts replaced at the entry of every block."""
    prompts, count = adaptation.prompts, adaptation.num_prompts
    padded = torch.nn.functional.pad(ids, (0, clip.context_length - count - ids.shape[1]))
    with_places = torch.cat([padded[:, :1], torch.ones(len(ids), count, dtype=torch.int64), padded[:, 1:]], dim=1)
    x = clip.token_embedding(with_places)
    for layer, block in enumerate(clip.transformer.resblocks):
        vision = prompts.vision[min(layer, len(prompts.vision) - 1)]
        added = torch.cat([prompts.text[layer], prompts.vision_to_text[layer](vision)])
        x = torch.cat([x[:, :1], added.expand(len(ids), -1, -1), x[:, 1 + count :]], dim=1)
        if layer == 0:
            x = x + clip.positional_embedding
        x = literal_block(block, adaptation.text_adapters[layer], x, clip.attn_mask)
    x = clip.ln_final(x)[torch.arange(len(ids)), with_places.argmax(dim=1)]
    return clip.text_projection(x) if isinstance(clip.text_projection, nn.Linear) else x @ clip.text_projection


@torch.no_grad()
def test_equals_the_whole_sequence_run_through_every_block(
    clip: Any, pixels: Callable[..., Tensor], captions: Callable[..., Tensor], stir: Callable[[nn.Module], None]
) -> None:
    adaptation = make(clip)
    stir(adaptation)
    images, ids = pixels(clip, 3), captions(5, 11)
    torch.testing.assert_close(
        adaptation.image_features(clip, images), literal_image(adaptation, clip, images), atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(
        adaptation.text_features(clip, ids), literal_text(adaptation, clip, ids), atol=1e-5, rtol=1e-4
    )


def test_has_the_published_size_at_vit_b_16() -> None:
    with torch.device("meta"):
        clip = CLIP(**VIT_B_16)
        adaptation = make_adaptation({"kind": "cskt"}, clip)
    assert isinstance(adaptation, Cskt)
    assert size(adaptation) == 12_117_888
    assert size(adaptation.prompts) == 9_513_984
    assert size(adaptation.image_adapters) + size(adaptation.text_adapters) == 2_603_904
    temperature = clip.logit_scale.numel()  # fixed in CSKT's loss, so no parameter there
    assert size(clip) + size(adaptation) - temperature == 161_735_552
    assert adaptation.caption_length(77) == 77 - 8  # 67 words, start and end
    assert adaptation.prompts.for_vision().shape == (12, 8, 768)
    assert adaptation.prompts.for_text().shape == (12, 8, 512)


@torch.no_grad()
def test_padding_cut_away_changes_nothing(
    clip: Any, captions: Callable[..., Tensor], stir: Callable[[nn.Module], None]
) -> None:
    adaptation = make(clip)
    stir(adaptation)
    longest = adaptation.caption_length(clip.context_length)
    ids = captions(6, longest)
    features = adaptation.text_features(clip, ids)
    for row, end in enumerate(ids.argmax(dim=1)):
        alone = adaptation.text_features(clip, ids[row : row + 1, : end + 1])
        torch.testing.assert_close(alone[0], features[row], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_every_linear_layer_starts_small_and_without_bias() -> None:
    torch.manual_seed(0)
    layers = [layer for layer in Adapter(512, reduction=8, scale=1.0).modules() if isinstance(layer, nn.Linear)]
    prompts = BidirectionalPrompts(4, text=(1, 512), vision=(1, 768))
    layers += [layer for layer in prompts.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert layer.weight.mean().item() == pytest.approx(0, abs=1e-3)
        assert not layer.bias.any()


def test_a_first_step_teaches_both_matrices_of_an_adapter(plain_clip: Any, captions: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    adaptation = make(plain_clip)
    adaptation.text_features(plain_clip, captions(2, 9)).square().sum().backward()
    for adapter in adaptation.text_adapters:
        assert adapter.down.weight.grad.abs().max() > 1e-3  # Adam's eps in CSKT: less than that hardly moves
        assert adapter.up.weight.grad.abs().max() > 1e-3


def test_either_loss_teaches_the_prompts_of_both_towers(
    plain_clip: Any, pixels: Callable[..., Tensor], captions: Callable[..., Tensor], stir: Callable[[nn.Module], None]
) -> None:
    for features in ("image", "text"):
        adaptation = make(plain_clip)
        stir(adaptation)
        if features == "image":
            adaptation.image_features(plain_clip, pixels(plain_clip, 2)).square().sum().backward()
        else:
            adaptation.text_features(plain_clip, captions(2, 9)).square().sum().backward()
        for prompts in (adaptation.prompts.text, adaptation.prompts.vision):
            assert prompts.grad is not None
            assert (prompts.grad.abs().amax(dim=(1, 2)) > 0).all()
        assert all(parameter.grad is None for parameter in plain_clip.parameters())


@torch.no_grad()
def test_merged_holds_keys_and_values_of_the_prompts_and_gives_the_same(
    clip: Any, pixels: Callable[..., Tensor], captions: Callable[..., Tensor]
) -> None:
    adaptation, images, ids = make(clip), pixels(clip, 2), captions(2, 9)
    image, text = adaptation.image_features(clip, images), adaptation.text_features(clip, ids)
    merged = adaptation.merge(clip)
    assert {name for name in merged.state_dict() if name.startswith("prompts")} == {"prompts.image", "prompts.text"}
    assert torch.equal(merged.image_features(clip, images), image)
    assert torch.equal(merged.text_features(clip, ids), text)


def test_names_are_readable_and_hold_no_backbone(plain_clip: Any) -> None:
    names = set(make(plain_clip).state_dict())
    expected = {f"prompts.{own}" for own in ("text", "vision")}
    expected |= {
        f"prompts.{way}.{layer}.{part}"
        for way in ("text_to_vision", "vision_to_text")
        for layer in (0, 1)
        for part in ("weight", "bias")
    }
    expected |= {
        f"{tower}_adapters.{layer}.{module}.{part}"
        for tower in ("image", "text")
        for layer in (0, 1)
        for module in ("norm", "down", "up")
        for part in ("weight", "bias")
    }
    assert names == expected


def test_refuses_a_context_without_room_for_a_caption(plain_clip: Any) -> None:
    with pytest.raises(UserError, match="20 prompts leave no room for a caption in a context of 20 tokens"):
        make_adaptation({"kind": "cskt", "prompts": 10}, plain_clip)
