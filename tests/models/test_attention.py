"""Packed attention is nn.MultiheadAttention: results, gradients, names."""

import copy

import pytest
import torch
from torch import nn

from personsearch.models import composed_attention
from personsearch.models.architecture import Architecture
from personsearch.models.attention import PackedAttention, pack_attention
from personsearch.models.clip import DualEncoder

ARCHITECTURE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2},
}


@pytest.mark.parametrize("masked", [False, True])
def test_results_and_gradients_are_those_of_torch(masked: bool) -> None:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    nn.init.normal_(theirs.in_proj_bias)
    ours = copy.deepcopy(theirs)
    ours.__class__ = PackedAttention
    tokens = torch.randn(3, 7, 32)
    mask = torch.full((7, 7), float("-inf")).triu(1) if masked else None
    found, wanted = (each(tokens, tokens, tokens, need_weights=False, attn_mask=mask)[0] for each in (ours, theirs))
    assert torch.allclose(found, wanted, atol=1e-6)
    for result in (found, wanted):
        result.square().sum().backward()
    for (name, mine), (other, theirs_too) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        assert torch.allclose(mine.grad, theirs_too.grad, atol=1e-4), name


def test_every_block_of_both_towers_is_packed() -> None:
    clip = DualEncoder(Architecture(ARCHITECTURE)).clip
    kinds = [type(module) for module in clip.modules() if isinstance(module, nn.MultiheadAttention)]
    assert kinds == [PackedAttention] * 4


def test_a_pooler_whose_query_is_not_its_key_is_left_alone() -> None:
    from open_clip.transformer import AttentionalPooler

    pooler = AttentionalPooler(16, 32, n_head=2, n_queries=3)
    pack_attention(pooler)
    assert type(pooler.attn) is nn.MultiheadAttention


def test_training_composes_attention_and_gives_what_evaluation_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    ours = composed_attention.composed_attention
    monkeypatch.setattr(
        composed_attention, "composed_attention", lambda *given, **named: calls.append(0) or ours(*given, **named)
    )
    model = DualEncoder(Architecture(ARCHITECTURE))
    pixels, ids = torch.randn(2, 3, 32, 16), torch.tensor([[1, 2, 49, 0], [3, 49, 0, 0]])
    wanted = model.eval().encode_image(pixels), model.encode_text(ids)
    assert calls == []
    found = model.train().encode_image(pixels), model.encode_text(ids)
    assert len(calls) == 4
    torch.testing.assert_close(found, wanted)
