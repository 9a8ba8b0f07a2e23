"""CSKT: prompts that both towers lend each other, and adapters beside every feed-forward (METHODS 2).

    vision  [CLS, patches, T→V, V]         prompts after the position embedding and before ln_pre
    text    [SOT, T, V→T, caption … EOT]   prompts at positions 1 to 2P, under the causal mask

Every layer replaces the prompts, so what a layer gives at their places is never read. They are therefore run as
keys and values alone, once for the whole batch: the same features as from the full sequence, for less work.

Shapes: N items, H height, W width, L caption tokens or class token and patches, Q prompts of both kinds,
C channels of a tower, B layers of a tower, D embedding dimension.
"""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.models.adaptation.base import Adaptation, pool_text
from personsearch.models.adaptation.blocks import (
    attend,
    embed_image,
    pool_image,
    query_key_value,
    require_plain_towers,
    split_heads,
)
from personsearch.models.adaptation.prompts import BidirectionalPrompts


class CsktConfig(Config):
    """`prompts` of each kind per layer; adapters narrow their tower by `reduction` and are added times a scale."""

    kind: Literal["cskt"]
    prompts: int = Field(default=4, ge=1)
    reduction: int = Field(default=8, ge=1)
    image_scale: float = 0.1
    text_scale: float = 4.0


class Adapter(nn.Module):
    """scale · up(ReLU(down(norm x))); `up` starts at zero, so that training starts from the frozen model."""

    def __init__(self, channels: int, *, reduction: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.norm = nn.LayerNorm(channels)
        self.down = nn.Linear(channels, max(1, channels // reduction))
        self.up = nn.Linear(max(1, channels // reduction), channels)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, tokens_NLC: Tensor) -> Tensor:
        """The term [N, L, C] that is added to a block's output."""
        added: Tensor = self.scale * self.up(relu(self.down(self.norm(tokens_NLC))))
        return added


class Cskt(Adaptation):
    """Prompts and adapters of both towers.

    Raises:
        UserError: the model's towers are not plain Transformers, or too short a context.
    """

    def __init__(self, config: CsktConfig, clip: Any) -> None:
        super().__init__()
        require_plain_towers(clip, config.kind)
        vision, text = clip.visual.transformer, clip.transformer
        self.prompts = BidirectionalPrompts(
            config.prompts,
            text=(len(text.resblocks), text.width),
            vision=(len(vision.resblocks), vision.width),
        )
        self.image_adapters = _adapters(vision, config.reduction, config.image_scale)
        self.text_adapters = _adapters(text, config.reduction, config.text_scale)
        self.num_prompts = 2 * config.prompts
        if self.caption_length(clip.context_length) < 2:
            raise UserError(
                f"model.adaptation: {self.num_prompts} prompts leave no room for a caption"
                f" in a context of {clip.context_length} tokens"
            )

    def caption_length(self, context_length: int) -> int:
        return context_length - self.num_prompts

    def image_features(self, clip: Any, pixels_N3HW: Tensor) -> Tensor:
        visual, prompts_BQC = clip.visual, self.prompts.for_vision()
        prompts = [visual.ln_pre(prompts_BQC[0]), *prompts_BQC[1:]]
        tokens_NLC = embed_image(visual, pixels_N3HW)
        for block, adapter, prompts_QC in zip(visual.transformer.resblocks, self.image_adapters, prompts, strict=True):
            tokens_NLC = _run_block(block, adapter, tokens_NLC, prompts_QC, None)
        return pool_image(visual, tokens_NLC)

    def text_features(self, clip: Any, ids_NL: Tensor) -> Tensor:
        num_prompts, length = self.num_prompts, ids_NL.shape[1]
        position_LC = clip.positional_embedding[: length + num_prompts]
        start_1C, places_QC, caption_LC = position_LC.split_with_sizes([1, num_prompts, length - 1])
        prompts_BQC = self.prompts.for_text()
        prompts = [prompts_BQC[0] + places_QC, *prompts_BQC[1:]]
        tokens_NLC = clip.token_embedding(ids_NL) + torch.cat([start_1C, caption_LC])
        mask_LK = _mask_with_prompts(clip.attn_mask[:length, :length], num_prompts)
        for block, adapter, prompts_QC in zip(clip.transformer.resblocks, self.text_adapters, prompts, strict=True):
            tokens_NLC = _run_block(block, adapter, tokens_NLC, prompts_QC, mask_LK)
        return pool_text(clip, tokens_NLC, ids_NL.argmax(dim=-1))


def _adapters(transformer: Any, reduction: int, scale: float) -> nn.ModuleList:
    return nn.ModuleList(Adapter(transformer.width, reduction=reduction, scale=scale) for _ in transformer.resblocks)


def _mask_with_prompts(causal_LL: Tensor, num_prompts: int) -> Tensor:
    """The causal mask with the prompts as first keys: they stand behind the start token, so all but it see them."""
    return torch.cat([causal_LL[:, 1:2].expand(-1, num_prompts), causal_LL], dim=1)


def _run_block(
    block: Any, adapter: nn.Module, tokens_NLC: Tensor, prompts_QC: Tensor, mask_LK: Tensor | None
) -> Tensor:
    attention, batch = block.attn, tokens_NLC.shape[0]
    query, key, value = split_heads(attention, query_key_value(attention, block.ln_1(tokens_NLC)))
    prompts_1QC = block.ln_1(prompts_QC.to(tokens_NLC.dtype))[None]
    _, prompt_key, prompt_value = split_heads(attention, query_key_value(attention, prompts_1QC))
    key = torch.cat([prompt_key.expand(batch, -1, -1, -1), key], dim=2)
    value = torch.cat([prompt_value.expand(batch, -1, -1, -1), value], dim=2)
    attended_NLC = attention.out_proj(attend(attention, query, key, value, mask_LK))
    tokens_NLC = tokens_NLC + block.ls_1(attended_NLC)
    out_NLC: Tensor = tokens_NLC + block.ls_2(block.mlp(block.ln_2(tokens_NLC))) + adapter(tokens_NLC)
    return out_NLC
