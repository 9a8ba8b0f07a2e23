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
        # open_clip passes one tensor three times, which is what lets one product make query, key and value.
        assert key is query
        assert value is query
        assert not need_weights
        parts = split_heads(self, query_key_value(self, query))
        return self.out_proj(attend(self, *parts, by_head(attn_mask, query.shape[0]))), None


def by_head(mask: Tensor | None, items: int) -> Tensor | None:
    """Unstack a mask that open_clip gives per item and head to [N, H, L, L]; leave other masks as they are."""
    return mask if mask is None or mask.ndim < 3 else torch.unflatten(mask, 0, (items, -1))


def pack_attention(clip: Any) -> None:
    """Switch every standard block of an open_clip model to PackedAttention; weights stay."""
    from open_clip.transformer import ResidualAttentionBlock

    for block in clip.modules():
        # A block with `ln_1_kv` attends to another sequence, so its key is not its query.
        if type(block) is ResidualAttentionBlock and not hasattr(block, "ln_1_kv"):
            # Another class on the same object keeps weights, their names and their training flags.
            block.attn.__class__ = PackedAttention
