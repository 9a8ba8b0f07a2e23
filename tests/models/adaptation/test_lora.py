"""LoRA starts as the frozen model, and merged into its weights it gives the same features."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from personsearch.models.adaptation import make_adaptation
from personsearch.models.adaptation.base import Adaptation
from personsearch.models.adaptation.lora import LoraConfig, LowRank

FROZEN = Adaptation()


def make(clip: Any, **changes: Any) -> Adaptation:
    return make_adaptation({"kind": "lora", "rank": 3, "alpha": 6.0, **changes}, clip).eval()


def test_update_is_scaled_up_times_down_for_each_part() -> None:
    update = LowRank(2, 4, LoraConfig(kind="lora", rank=1, alpha=3.0), parts=2)
    with torch.no_grad():
        update.down.copy_(torch.tensor([[[1.0, 2.0]], [[0.0, 1.0]]]))
        update.up.copy_(torch.tensor([[[1.0], [0.0]], [[2.0], [-1.0]]]))
    assert torch.equal(update.matrix(), torch.tensor([[3.0, 6.0], [0.0, 0.0], [0.0, 6.0], [0.0, -3.0]]))
    x = torch.tensor([[[1.0, 1.0]]])
    assert torch.equal(update(x), x @ update.matrix().T)
    assert update(x).tolist() == [[[9.0, 0.0, 6.0, -3.0]]]


@pytest.mark.parametrize("mlp", [False, True])
@torch.no_grad()
def test_starts_as_the_frozen_model(
    clip: Any, mlp: bool, pixels: Callable[..., Tensor], captions: Callable[..., Tensor]
) -> None:
    adaptation, images, ids = make(clip, mlp=mlp), pixels(clip, 3), captions(4, 12)
    torch.testing.assert_close(adaptation.image_features(clip, images), clip.encode_image(images))
    padded = nn.functional.pad(ids, (0, 8))
    torch.testing.assert_close(adaptation.text_features(clip, ids), clip.encode_text(padded))
    torch.testing.assert_close(FROZEN.text_features(clip, ids), clip.encode_text(padded))


@pytest.mark.parametrize("mlp", [False, True])
@torch.no_grad()
def test_merged_weights_give_the_same_features(
    clip: Any,
    mlp: bool,
    pixels: Callable[..., Tensor],
    captions: Callable[..., Tensor],
    stir: Callable[[nn.Module], None],
) -> None:
    adaptation, images, ids = make(clip, mlp=mlp), pixels(clip, 3), captions(4, 12)
    stir(adaptation)
    image, text = adaptation.image_features(clip, images), adaptation.text_features(clip, ids)
    assert not torch.allclose(image, clip.encode_image(images), atol=1e-2)
    merged = copy.deepcopy(clip)
    left = adaptation.merge(merged)
    assert not left.state_dict()
    torch.testing.assert_close(left.image_features(merged, images), image, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(left.text_features(merged, ids), text, atol=1e-5, rtol=1e-4)
    assert merged.state_dict().keys() == clip.state_dict().keys()


def test_dropout_acts_in_training_alone(
    plain_clip: Any, pixels: Callable[..., Tensor], stir: Callable[[nn.Module], None]
) -> None:
    adaptation, images = make(plain_clip, dropout=0.5), pixels(plain_clip, 2)
    stir(adaptation)
    calm = adaptation.image_features(plain_clip, images)
    assert torch.equal(calm, adaptation.image_features(plain_clip, images))
    assert not torch.equal(calm, adaptation.train().image_features(plain_clip, images))


def test_text_attention_dropout_of_the_backbone_stays(plain_clip: Any, captions: Callable[..., Tensor]) -> None:
    adaptation, ids = make(plain_clip), captions(2, 12)
    calm = adaptation.text_features(plain_clip, ids)
    for block in plain_clip.transformer.resblocks:
        block.attn.dropout = 0.5
    assert torch.equal(calm, adaptation.text_features(plain_clip, ids))
    assert not torch.equal(calm, adaptation.text_features(plain_clip.train(), ids))


def test_trains_only_its_own_factors(plain_clip: Any, pixels: Callable[..., Tensor]) -> None:
    adaptation = make(plain_clip)
    adaptation.image_features(plain_clip, pixels(plain_clip, 2)).sum().backward()
    assert all(parameter.grad is None for parameter in plain_clip.parameters())
    assert all(block.query_key_value.up.grad.abs().sum() > 0 for block in adaptation.image)
    image = 2 * (3 * 3 * (32 + 32) + 3 * (32 + 32))  # layers · (three parts + output) · rank · (inputs + outputs)
    text = 2 * (3 * 3 * (24 + 24) + 3 * (24 + 24))
    assert sum(parameter.numel() for parameter in adaptation.parameters()) == image + text
    assert "image.0.query_key_value.down" in adaptation.state_dict()
