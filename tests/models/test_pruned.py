"""Fewer heads, narrower feed-forwards: what is taken out, what remains, and what is refused."""

import copy
from typing import Any

import pytest
import torch

from personsearch.errors import UserError
from personsearch.models.architecture import Architecture
from personsearch.models.clip import DualEncoder
from personsearch.models.layers import weights_without_layers, without_layers
from personsearch.models.pruned import block_of, keep_heads, keep_neurons, read_pruned

ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 4, "layers": 3},
}
IDS = torch.tensor([[47, 5, 9, 49, 0], [47, 8, 49, 0, 0], [47, 3, 4, 6, 49]])


def model(pruned: dict[str, Any] | None = None) -> DualEncoder:
    torch.manual_seed(3)
    return DualEncoder(Architecture(ARCHITECTURE | ({} if pruned is None else {"pruned": pruned}))).eval()


def size(encoder: DualEncoder) -> int:
    return sum(parameter.numel() for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("pruned", "gone"),
    [
        # a text head has 8 channels: rows of query, key and value with their biases, columns of the output
        ({"text": {"2": {"heads": 1}}}, 3 * (3 * 8 * 32 + 3 * 8 + 32 * 8)),
        ({"image": {"1": {"heads": 1}}}, 3 * 16 * 32 + 3 * 16 + 32 * 16),
        ({"text": {"1": {"feed_forward": 40}}}, (128 - 40) * (32 + 1 + 32)),
        # gone with its norm
        ({"text": {"3": {"heads": 0}}}, 64 + 3 * 32 * 32 + 3 * 32 + 32 * 32 + 32),
        ({"image": {"2": {"feed_forward": 0}}}, 64 + 128 * (32 + 1 + 32) + 32),
        ({"text": {}, "image": {}}, 0),
    ],
)
def test_parameters_that_go_are_counted_by_hand(pruned: dict[str, Any], gone: int) -> None:
    assert size(model()) - size(model(pruned)) == gone
    assert model(pruned).named_weights().keys() <= model().named_weights().keys()


@torch.no_grad()
def test_heads_and_neurons_that_say_nothing_are_not_missed() -> None:
    whole = model()
    kept_heads, kept_neurons = torch.tensor([0, 2]), torch.arange(3, 128, 2)
    block = block_of(whole.clip, "text", 2)
    block.attn.out_proj.weight.unflatten(1, (4, 8))[:, [1, 3]] = 0
    block.mlp.c_proj.weight[:, [*range(3), *range(4, 128, 2)]] = 0
    smaller = copy.deepcopy(whole)
    keep_heads(block_of(smaller.clip, "text", 2), kept_heads)
    keep_neurons(block_of(smaller.clip, "text", 2), kept_neurons)
    assert size(smaller) < size(whole)
    torch.testing.assert_close(smaller.encode_text(IDS), whole.encode_text(IDS), atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("what", ["heads", "feed_forward"])
def test_a_module_that_is_gone_adds_nothing(what: str) -> None:
    whole, pruned = model(), model({"image": {"2": {what: 0}}})
    pruned.load_named_weights({name: whole.named_weights()[name] for name in pruned.named_weights()})
    block = block_of(whole.clip, "image", 2)
    last = block.attn.out_proj if what == "heads" else block.mlp.c_proj
    last.weight.zero_()
    last.bias.zero_()
    pixels = torch.randn(3, 3, 32, 16)
    torch.testing.assert_close(pruned.encode_image(pixels), whole.encode_image(pixels), atol=1e-6, rtol=0)


def test_a_pruned_model_trains_and_drops_attention() -> None:
    encoder = model({"text": {"1": {"heads": 2, "feed_forward": 16}, "2": {"heads": 0}}}).train()
    encoder.set_text_attention_dropout(0.9)
    assert not torch.equal(encoder.encode_text(IDS), encoder.encode_text(IDS))
    encoder.encode_text(IDS)[:, 0].sum().backward()
    names = {name for name, weight in encoder.named_weights().items() if weight.grad is not None}
    assert {name for name in encoder.named_weights() if name.startswith("transformer.")} <= names


@pytest.mark.parametrize(
    ("pruned", "reason"),
    [
        ({"text": {"4": {"heads": 1}}}, "layer 4; the text tower has 3 layers"),
        ({"text": {"1": {"heads": 5}}}, "5 heads cannot remain of 4"),
        ({"image": {"1": {"feed_forward": 129}}}, "129 neurons cannot remain of 128"),
        ({"image": {"first": {"heads": 1}}}, "image.first"),
        ({"text": {"1": {"neurons": 1}}}, "neurons"),
    ],
)
def test_what_is_not_there_cannot_remain(pruned: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        model(pruned)


def test_other_towers_and_adaptations_are_refused() -> None:
    foreign = ARCHITECTURE | {"text_cfg": ARCHITECTURE["text_cfg"] | {"no_causal_mask": True, "pool_type": "last"}}
    with pytest.raises(UserError, match="the text tower has 0 layers of open_clip's own kind"):
        DualEncoder(Architecture(foreign | {"pruned": {"text": {"1": {"heads": 1}}}}))
    adapted = {"adaptation": {"kind": "lora"}, "pruned": {"text": {"1": {"heads": 1}}}}
    with pytest.raises(UserError, match="adapts whole blocks"):
        DualEncoder(Architecture(ARCHITECTURE | adapted))


def test_the_section_is_what_was_read() -> None:
    section = {"text": {"2": {"heads": 1}}, "image": {"1": {"heads": 0, "feed_forward": 8}}}
    assert read_pruned(Architecture({"pruned": section})).section() == section
    assert read_pruned(Architecture({})).section() == {}


def test_pruned_layers_keep_what_remains_when_others_are_dropped() -> None:
    pruned = {"text": {"1": {"heads": 1}, "3": {"feed_forward": 8}}, "image": {"2": {"heads": 1}}}
    smaller = without_layers(Architecture(ARCHITECTURE | {"pruned": pruned}), text=(1,), image=())
    remaining = {"text": {2: {"feed_forward": 8}}, "image": pruned["image"]}
    assert read_pruned(smaller) == read_pruned(Architecture({"pruned": remaining}))
    whole, encoder = model(pruned), DualEncoder(smaller).eval()
    encoder.load_named_weights(weights_without_layers(whole.named_weights(), text=(1,), image=()))
    assert block_of(encoder.clip, "text", 2).mlp.c_fc.out_features == 8
