"""The fastest attention for training: torch's own, or on a CPU batched products with a backward pass of their own.

torch's fused kernel works in tiles larger than a caption or the patches of a small image, and has no dropout; its
fallback keeps half a dozen copies. Here forward and backward are six products and a softmax.

Shapes: N items, H heads, B items times heads, L queries, K keys, E channels of a head.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

MOST_KEYS = 128  # from there on the fused kernel is faster
LEVELS = 1 << 16


def attention(
    query_NHLE: Tensor, key_NHKE: Tensor, value_NHKE: Tensor, mask_LK: Tensor | None, *, dropout: float, training: bool
) -> Tensor:
    """`scaled_dot_product_attention` [N, H, L, E], with `dropout` only in training.

    `mask_LK` may have leading dimensions; a mask of numbers is added, one of booleans says which keys are seen.
    """
    if training and is_composed(query_NHLE, key_NHKE, dropout=dropout):
        return composed_attention(query_NHLE, key_NHKE, value_NHKE, mask_LK, dropout=dropout)
    share = dropout if training else 0.0
    return scaled_dot_product_attention(query_NHLE, key_NHKE, value_NHKE, attn_mask=mask_LK, dropout_p=share)


def is_composed(query_NHLE: Tensor, key_NHKE: Tensor, *, dropout: float) -> bool:
    """Whether products are faster in training: on a CPU, in float32, over few keys or with dropout.

    Whether a gradient is needed plays no part: gradient caching draws the same dropout with and without one.
    """
    plain = query_NHLE.device.type == "cpu" and query_NHLE.dtype == torch.float32
    return plain and (dropout > 0 or key_NHKE.shape[2] <= MOST_KEYS)


def composed_attention(
    query_NHLE: Tensor, key_NHKE: Tensor, value_NHKE: Tensor, mask_LK: Tensor | None, *, dropout: float
) -> Tensor:
    """Attention as products and a softmax. Dropout is drawn in steps of 1/65536 from torch's generator."""
    items, heads, queries, _ = query_NHLE.shape
    if mask_LK is not None:
        if mask_LK.dtype == torch.bool:
            mask_LK = torch.zeros(mask_LK.shape, dtype=query_NHLE.dtype).masked_fill_(~mask_LK, float("-inf"))
        mask_LK = mask_LK.expand(items, heads, queries, -1).flatten(0, 1)
    parts = (part.flatten(0, 1) for part in (query_NHLE, key_NHKE, value_NHKE))
    attended: Tensor = _Attention.apply(*parts, mask_LK, dropout)
    return torch.unflatten(attended, 0, (items, heads))


class _Attention(torch.autograd.Function):
    """Takes query [B, L, E], key and value [B, K, E], a mask [B, L, K] and the share that is dropped."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        query, key, value, mask, ctx.dropout = given
        ctx.scale = query.shape[-1] ** -0.5
        if mask is None:
            scores = torch.bmm(query, key.mT).mul_(ctx.scale)
        else:
            scores = torch.baddbmm(mask, query, key.mT, alpha=ctx.scale)
        weights = scores.softmax(dim=-1)
        kept = _kept(weights, ctx.dropout) if ctx.dropout else None
        # Kept, not computed again: over so few keys the weights take little memory.
        ctx.save_for_backward(query, key, value, weights, kept)
        return torch.bmm(_dropped(weights, kept, ctx.dropout), value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (query, key, value, weights, kept) = gradients, ctx.saved_tensors
        of_value = torch.bmm(_dropped(weights, kept, ctx.dropout).mT, gradient)
        of_weights = _dropped(torch.bmm(gradient, value.mT), kept, ctx.dropout)
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype).mul_(ctx.scale)
        return torch.bmm(of_scores, key), torch.bmm(of_scores.mT, query), of_value, None, None


def _kept(weights: Tensor, dropout: float) -> Tensor:
    """Which weights remain: each random number of 64 bits gives four draws of 16 bits, in the time of one."""
    # From the lowest int64 to the highest: only then are all four parts of a number uniform.
    numbers = torch.empty(-(-weights.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    draws = numbers.view(torch.int16)[: weights.numel()].view_as(weights)
    return draws >= round(dropout * LEVELS) - LEVELS // 2


def _dropped(weights: Tensor, kept: Tensor | None, dropout: float) -> Tensor:
    return weights if kept is None else (weights * kept).mul_(1 / (1 - dropout))
