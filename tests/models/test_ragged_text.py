"""Captions as one matrix of tokens give what they give padded: vectors, gradients, dropout only in training."""

from typing import Any

import pytest
import torch
from torch import Tensor

from personsearch.models.architecture import Architecture
from personsearch.models.clip import DualEncoder
from personsearch.models.encoder import groups_by_length, text_lengths
from personsearch.models.pruned import keep_heads
from personsearch.models.ragged_text import has_plain_text_blocks

LAYERED = {"context_length": 20, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}
VISION = {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 1, "head_width": 16}
END = 49


def make_model(**text_cfg: object) -> DualEncoder:
    torch.manual_seed(0)
    model = DualEncoder(Architecture({"embed_dim": 16, "vision_cfg": VISION, "text_cfg": LAYERED | text_cfg}))
    torch.nn.init.normal_(model.clip.transformer.resblocks[0].attn.in_proj_bias)
    return model


@pytest.fixture
def captions() -> Tensor:
    """24 captions of 3 to 20 tokens, in no order."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.zeros(24, 20, dtype=torch.long)
    for row, length in enumerate(torch.randint(3, 21, (24,), generator=generator).tolist()):
        ids[row, :length] = torch.randint(1, END, (length,), generator=generator)
        ids[row, length - 1] = END
    return ids


@pytest.mark.parametrize("text_cfg", [{}, {"ls_init_value": 0.3}])
def test_vectors_and_gradients_are_those_of_padded_captions(captions: Tensor, text_cfg: dict[str, Any]) -> None:
    ours, padded = make_model(**text_cfg), make_model(**text_cfg)
    found, wanted = ours.encode_text_by_length(captions), padded.encode_text(captions)
    torch.testing.assert_close(found, wanted)
    for vectors in (found, wanted):
        (vectors * torch.arange(16.0)).sum().backward()
    for (name, mine), other in zip(ours.named_parameters(), padded.parameters(), strict=True):
        if mine.grad is None:
            assert name.startswith("clip.visual") or name == "clip.logit_scale"
        else:
            torch.testing.assert_close(mine.grad, other.grad, msg=name, atol=1e-5, rtol=1e-4)


def test_every_weight_is_multiplied_once_for_all_groups(captions: Tensor) -> None:
    model, rows = make_model(), []
    linear = model.clip.transformer.resblocks[0].mlp.c_fc
    linear.register_forward_hook(lambda _, given, __: rows.append(given[0].shape[0]))
    model.encode_text_by_length(captions)
    groups = groups_by_length(captions)
    assert rows == [sum(len(group.rows_G) * group.length for group in groups)]
    assert int(text_lengths(captions).sum()) <= rows[0] < captions.numel()


def test_dropout_acts_in_training_alone(captions: Tensor) -> None:
    model = make_model()
    model.set_text_attention_dropout(0.5)
    wanted = model.eval().encode_text_by_length(captions)
    assert not torch.allclose(model.train().encode_text_by_length(captions), wanted, atol=1e-3)
    torch.testing.assert_close(model.eval().encode_text(captions), wanted)


def test_a_tower_without_an_attention_goes_group_by_group(captions: Tensor) -> None:
    model = make_model()
    keep_heads(model.clip.transformer.resblocks[1], torch.arange(0))
    assert not has_plain_text_blocks(model.clip)
    torch.testing.assert_close(model.encode_text_by_length(captions), model.encode_text(captions))
