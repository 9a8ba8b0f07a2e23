"""timm's self-attention, computed as training does it fastest.

Shapes: N items, L tokens, C channels.
"""

import torch
from timm.layers.attention import Attention
from torch import Tensor

from personsearch.models.composed_attention import attention


class PatchAttention(Attention):
    """The same weights under the same names, the same result; all tokens are seen."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """[N, L, C] to [N, L, C]."""
        assert attn_mask is None
        assert not is_causal
        query, key, value = torch.unflatten(self.qkv(x), -1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = attention(query, key, value, None, dropout=self.attn_drop.p, training=self.training)
        out_NLC: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out_NLC
