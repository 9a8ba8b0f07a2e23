"""The parts of open_clip's Transformer blocks, for an adaptation that runs them itself.

Shapes: N items, L tokens, K keys, C channels, H heads, E channels of a head, S three times C, D embedding dimension.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from personsearch.errors import UserError
from personsearch.models.composed_attention import attention as fastest_attention


def require_plain_towers(clip: Any, kind: str) -> None:
    """Refuse a model whose towers are not open_clip's own Transformers of standard blocks.

    Raises:
        UserError: the image tower is a ResNet or a timm trunk, or a tower has modified attention.
    """
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    if not isinstance(clip.visual, VisionTransformer):
        raise UserError(
            f"model.adaptation: {kind} needs open_clip's VisionTransformer; this image tower is a"
            f" {type(clip.visual).__name__}"
        )
    for block in (*clip.visual.transformer.resblocks, *clip.transformer.resblocks):
        if not isinstance(block, ResidualAttentionBlock):
            raise UserError(f"model.adaptation: {kind} needs standard attention blocks, not {type(block).__name__}")


def embed_image(visual: Any, pixels_N3HW: Tensor) -> Tensor:
    """Class token and patches [N, L, C] with their positions, after `ln_pre`: what the first block reads."""
    tokens_NLC: Tensor = visual._embeds(pixels_N3HW)  # open_clip has no public way to run its tower in parts
    return tokens_NLC


def pool_image(visual: Any, tokens_NLC: Tensor) -> Tensor:
    """Features [N, D] of what the last block gives."""
    pooled_NC: Tensor = visual._pool(tokens_NLC)[0]
    return pooled_NC if visual.proj is None else pooled_NC @ visual.proj


def query_key_value(attention: Any, tokens_NLC: Tensor) -> Tensor:
    """The packed projection [N, L, S] of a block's attention, biases included."""
    return linear(tokens_NLC, attention.in_proj_weight, attention.in_proj_bias)


def split_heads(attention: Any, packed_NLS: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value, each [N, H, L, E]."""
    query, key, value = torch.unflatten(packed_NLS, -1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return query, key, value


def attend(attention: Any, query_NHLE: Tensor, key_NHKE: Tensor, value_NHKE: Tensor, mask_LK: Tensor | None) -> Tensor:
    """Attended values [N, L, C], before the output projection; dropout as the backbone's attention has it."""
    mask = None if mask_LK is None else mask_LK.to(query_NHLE.dtype)
    attended = fastest_attention(
        query_NHLE, key_NHKE, value_NHKE, mask, dropout=attention.dropout, training=attention.training
    )
    return attended.transpose(1, 2).flatten(2)
