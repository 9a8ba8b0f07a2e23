"""CSKT: prompts that both towers lend each other, and adapters beside every feed-forward (arXiv 2309.09496).

    vision  [CLS, patches, T→V, V]         prompts after the position embedding and before ln_pre
    text    [SOT, T, V→T, caption … EOT]   prompts at positions 1 to 2P, under the causal mask

Shapes: N items, H height, W width, L caption tokens or class token and patches, Q prompts of both kinds,
K = Q + L keys, C channels of a tower, H heads, E channels of a head, D embedding dimension.
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
from personsearch.models.adaptation.prompts import BidirectionalPrompts, RememberedPrompts, start_small
from personsearch.models.architecture import SIDES


class CsktConfig(Config):
    """CSKT: prompts shared by both towers, and adapters beside every feed-forward layer."""

    kind: Literal["cskt"]
    """Names this adaptation."""

    prompts: int = Field(default=4, ge=1)
    """Prompts of each kind per layer; both kinds take their places from the caption."""

    reduction: int = Field(default=8, ge=1)
    """Adapters narrow their tower's width by this factor."""

    image_scale: float = 0.1
    """Factor of what the image tower's adapters add."""

    text_scale: float = 4.0
    """Factor of what the text tower's adapters add."""


class Adapter(nn.Module):
    """scale · up(ReLU(down(norm x))), from small random matrices as in the released code.

    Were `up` zero at the start, `down` would get no gradient from it, and Adam's eps of 1e-3 slows what is small.
    """

    def __init__(self, channels: int, *, reduction: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.norm = nn.LayerNorm(channels)
        self.down = nn.Linear(channels, max(1, channels // reduction))
        self.up = nn.Linear(max(1, channels // reduction), channels)
        for layer in (self.down, self.up):
            start_small(layer)

    def forward(self, tokens_NLC: Tensor) -> Tensor:
        """The term [N, L, C] that is added to a block's output."""
        added: Tensor = self.scale * self.up(relu(self.down(self.norm(tokens_NLC))))
        return added


class Cskt(Adaptation):
    """Prompts and adapters of both towers.

    Raises:
        UserError: the model's towers are not plain Transformers, or its context is too short.
    """

    crosses = frozenset(SIDES)

    def __init__(self, config: CsktConfig, clip: Any) -> None:
        super().__init__()
        require_plain_towers(clip, config.kind)
        vision, text = clip.visual.transformer, clip.transformer
        self.prompts: BidirectionalPrompts | RememberedPrompts = BidirectionalPrompts(
            config.prompts,
            text=(len(text.resblocks), text.width),
            vision=(len(vision.resblocks), vision.width),
        )
        self.image_adapters = _adapters(vision, config.reduction, config.image_scale)
        self.text_adapters = _adapters(text, config.reduction, config.text_scale)
        self.num_prompts = self.extra_image_tokens = 2 * config.prompts
        if self.caption_length(clip.context_length) < 2:
            raise UserError(
                f"model.adaptation: {self.num_prompts} prompts leave no room for a caption"
                f" in a context of {clip.context_length} tokens"
            )

    def caption_length(self, context_length: int) -> int:
        return context_length - self.num_prompts

    def image_features(self, clip: Any, pixels_N3HW: Tensor) -> Tensor:
        tokens_NLC, memory = embed_image(clip.visual, pixels_N3HW), self.prompts.image_memory(clip)
        for block, adapter, prompts_2HQE in zip(
            clip.visual.transformer.resblocks, self.image_adapters, memory, strict=True
        ):
            tokens_NLC = _run_block(block, adapter, tokens_NLC, prompts_2HQE, None)
        return pool_image(clip.visual, tokens_NLC)

    def text_features(self, clip: Any, ids_NL: Tensor) -> Tensor:
        length, memory = ids_NL.shape[1], self.prompts.text_memory(clip)
        # Prompts take positions 1 to Q without being in the sequence; the words after the start token follow them.
        position_LC = clip.positional_embedding[self.num_prompts : self.num_prompts + length]
        position_LC = torch.cat([clip.positional_embedding[:1], position_LC[1:]])
        tokens_NLC = clip.token_embedding(ids_NL) + position_LC
        mask_LK = _mask_with_prompts(clip.attn_mask[:length, :length], self.num_prompts)
        for block, adapter, prompts_2HQE in zip(clip.transformer.resblocks, self.text_adapters, memory, strict=True):
            tokens_NLC = _run_block(block, adapter, tokens_NLC, prompts_2HQE, mask_LK)
        return pool_text(clip, tokens_NLC, ids_NL.argmax(dim=-1))

    def merge(self, clip: Any) -> Adaptation:
        if isinstance(self.prompts, BidirectionalPrompts):
            self.prompts = RememberedPrompts(self.prompts, clip)
        return self


def _adapters(transformer: Any, reduction: int, scale: float) -> nn.ModuleList:
    return nn.ModuleList(Adapter(transformer.width, reduction=reduction, scale=scale) for _ in transformer.resblocks)


def _mask_with_prompts(causal_LL: Tensor, num_prompts: int) -> Tensor:
    """The causal mask with the prompts as first keys: they stand behind the start token, so all but it see them."""
    return torch.cat([causal_LL[:, 1:2].expand(-1, num_prompts), causal_LL], dim=1)


def _run_block(
    block: Any, adapter: nn.Module, tokens_NLC: Tensor, prompts_2HQE: Tensor, mask_LK: Tensor | None
) -> Tensor:
    attention, batch = block.attn, tokens_NLC.shape[0]
    query, key, value = split_heads(attention, query_key_value(attention, block.ln_1(tokens_NLC)))
    # The next layer has prompts of its own: what this one would compute at their places is never read.
    prompt_key, prompt_value = prompts_2HQE[:, None].expand(-1, batch, -1, -1, -1)
    key, value = torch.cat([prompt_key, key], dim=2), torch.cat([prompt_value, value], dim=2)
    attended_NLC = attention.out_proj(attend(attention, query, key, value, mask_LK))
    tokens_NLC = tokens_NLC + block.ls_1(attended_NLC)
    out_NLC: Tensor = tokens_NLC + block.ls_2(block.mlp(block.ln_2(tokens_NLC))) + adapter(tokens_NLC)
    return out_NLC
