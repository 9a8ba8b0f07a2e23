"""CLIP's text tower over captions of different length as one matrix of tokens.

Norms, linear maps and feed-forwards treat tokens one by one, so they run on those of all captions at once: each weight
takes one product forward and one for its gradient. Only attention goes by groups of similar length.

Shapes: N captions, G captions of a group, L tokens, M tokens of a group's longest caption, T tokens of all groups,
C channels, S three times C, D embedding dimension.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding

from personsearch.models.adaptation.base import project_text
from personsearch.models.adaptation.blocks import attend, query_key_value, split_heads
from personsearch.models.attention import PackedAttention
from personsearch.models.encoder import TextGroup, in_one_row


def has_plain_text_blocks(clip: Any) -> bool:
    """Whether every block of the text tower has the attention that `ragged_text_features` computes."""
    return all(isinstance(block.attn, PackedAttention) for block in clip.transformer.resblocks)


def ragged_text_features(clip: Any, ids_NL: Tensor, groups: Sequence[TextGroup]) -> Tensor:
    """Features [N, D] of all captions, one group after the other."""
    cut, ids_T, positions_T = in_one_row(ids_NL, groups)
    tokens_TC = clip.token_embedding(ids_T) + embedding(positions_T, clip.positional_embedding)
    for block in clip.transformer.resblocks:
        attended_TC = _self_attention(block.attn, block.ln_1(tokens_TC), cut, clip.attn_mask)
        tokens_TC = tokens_TC + block.ls_1(attended_TC)
        tokens_TC = tokens_TC + block.ls_2(block.mlp(block.ln_2(tokens_TC)))
    return project_text(clip, tokens_TC[_ends(cut)])


def _self_attention(attention: PackedAttention, x_TC: Tensor, cut: Sequence[Tensor], mask_LL: Tensor) -> Tensor:
    attended = []
    packed_TS = query_key_value(attention, x_TC)
    for packed, ids_GM in zip(torch.split(packed_TS, [ids.numel() for ids in cut]), cut, strict=True):
        length = ids_GM.shape[1]
        query, key, value = split_heads(attention, torch.unflatten(packed, 0, ids_GM.shape))
        attended.append(attend(attention, query, key, value, mask_LL[:length, :length]).flatten(0, 1))
    out_TC: Tensor = attention.out_proj(torch.cat(attended))
    return out_TC


def _ends(cut: Sequence[Tensor]) -> Tensor:
    """Where each caption's end token stands [N] among the tokens of all."""
    lengths_N = torch.cat([torch.full((len(ids_GM),), ids_GM.shape[1]) for ids_GM in cut])
    starts_N = lengths_N.cumsum(0) - lengths_N
    # The end token has the highest id of the vocabulary.
    return starts_N + torch.cat([ids_GM.argmax(dim=-1) for ids_GM in cut])
