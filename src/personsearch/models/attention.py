"""Self-attention of open_clip's blocks without the copies that nn.MultiheadAttention makes of query, key and value.

Shapes: N items, L tokens, C channels.
"""

from typing import Any

import torch
from torch import Tensor, nn

from personsearch.models.adaptation.blocks import attend, query_key_value, split_heads


class PackedAttention(nn.MultiheadAttention):
    """The same weights under the same names, the same result."""

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Self-attention of `query` [N, L, C]; `key` and `value` are the same tensor."""
        assert key is query
        assert value is query
        assert not need_weights
        parts = split_heads(self, query_key_value(self, query))
        return self.out_proj(attend(self, *parts, by_head(attn_mask, query.shape[0]))), None


def by_head(mask: Tensor | None, items: int) -> Tensor | None:
    """A mask of every item and head, which open_clip stacks in one dimension, as [N, H, L, L]; others as they are."""
    return mask if mask is None or mask.ndim < 3 else torch.unflatten(mask, 0, (items, -1))


def pack_attention(clip: Any) -> None:
    """Let every standard block of an open_clip model attend so, its weights as they are."""
    from open_clip.transformer import ResidualAttentionBlock

    for block in clip.modules():
        if type(block) is ResidualAttentionBlock and not hasattr(block, "ln_1_kv"):
            block.attn.__class__ = PackedAttention
