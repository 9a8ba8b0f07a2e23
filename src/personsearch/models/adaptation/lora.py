"""LoRA: low-rank updates of the linear maps of every block of both towers, which can be merged into them.

Shapes: N items, H height, W width, L tokens, C channels, S three times C, I inputs, O outputs of a map, R rank,
D embedding dimension.
"""

import math
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import linear

from personsearch.config import Config
from personsearch.models.adaptation.base import Adaptation, Unadapted, pool_text
from personsearch.models.adaptation.blocks import (
    attend,
    embed_image,
    pool_image,
    query_key_value,
    require_plain_towers,
    split_heads,
)
from personsearch.models.architecture import SIDES


class LoraConfig(Config):
    """LoRA: low-rank updates on query, key, value and output of every attention."""

    kind: Literal["lora"]
    """Names this adaptation."""

    rank: int = Field(default=8, ge=1)
    """Rank of each update; more trains more parameters."""

    alpha: float = Field(default=16.0, gt=0)
    """Updates are scaled by `alpha` / `rank`."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout of the input of updates while training."""

    mlp: bool = False
    """Update the feed-forward layers too."""


class LowRank(nn.Module):
    """The update of a linear map whose output has `parts` equal parts, each with its own factors; zero at the start."""

    def __init__(self, inputs: int, outputs: int, config: LoraConfig, *, parts: int = 1) -> None:
        super().__init__()
        self.scale = config.alpha / config.rank
        self.dropout = nn.Dropout(config.dropout)
        self.down = nn.Parameter(torch.empty(parts, config.rank, inputs))
        self.up = nn.Parameter(torch.zeros(parts, outputs // parts, config.rank))
        nn.init.uniform_(self.down, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))

    def forward(self, x_NLI: Tensor) -> Tensor:
        """The update's output [N, L, O]."""
        reduced = linear(self.dropout(x_NLI), self.down.flatten(0, 1)).chunk(len(self.down), dim=-1)
        return self.scale * torch.cat([linear(part, up) for part, up in zip(reduced, self.up, strict=True)], dim=-1)

    def matrix(self) -> Tensor:
        """The update [O, I] of the map's weight."""
        return self.scale * torch.bmm(self.up, self.down).flatten(0, 1)


class LoraBlock(nn.Module):
    """The updates of one Transformer block."""

    def __init__(self, block: Any, config: LoraConfig) -> None:
        super().__init__()
        channels = block.attn.embed_dim
        self.query_key_value = LowRank(channels, 3 * channels, config, parts=3)
        self.out = LowRank(channels, channels, config)
        self.mlp_in = self.mlp_out = None
        if config.mlp:
            hidden = block.mlp.c_fc.out_features
            self.mlp_in, self.mlp_out = LowRank(channels, hidden, config), LowRank(hidden, channels, config)

    def forward(self, block: Any, tokens_NLC: Tensor, mask_LL: Tensor | None) -> Tensor:
        """What `block` gives [N, L, C] with its updates."""
        tokens_NLC = tokens_NLC + block.ls_1(self._attention(block.attn, block.ln_1(tokens_NLC), mask_LL))
        out_NLC: Tensor = tokens_NLC + block.ls_2(self._mlp(block.mlp, block.ln_2(tokens_NLC)))
        return out_NLC

    def _attention(self, attention: Any, x_NLC: Tensor, mask_LL: Tensor | None) -> Tensor:
        packed_NLS = query_key_value(attention, x_NLC) + self.query_key_value(x_NLC)
        attended_NLC = attend(attention, *split_heads(attention, packed_NLS), mask_LL)
        out_NLC: Tensor = attention.out_proj(attended_NLC) + self.out(attended_NLC)
        return out_NLC

    def _mlp(self, mlp: Any, x_NLC: Tensor) -> Tensor:
        if self.mlp_in is None or self.mlp_out is None:
            frozen_NLC: Tensor = mlp(x_NLC)
            return frozen_NLC
        hidden = mlp.gelu(mlp.c_fc(x_NLC) + self.mlp_in(x_NLC))
        out_NLC: Tensor = mlp.c_proj(hidden) + self.mlp_out(hidden)
        return out_NLC

    def merge(self, block: Any) -> None:
        """Add the updates to the block's own weights."""
        block.attn.in_proj_weight += self.query_key_value.matrix()
        block.attn.out_proj.weight += self.out.matrix()
        if self.mlp_in is not None and self.mlp_out is not None:
            block.mlp.c_fc.weight += self.mlp_in.matrix()
            block.mlp.c_proj.weight += self.mlp_out.matrix()


class Lora(Adaptation):
    """Low-rank updates of both towers.

    Raises:
        UserError: the model's towers are not plain Transformers.
    """

    crosses = frozenset(SIDES)

    def __init__(self, config: LoraConfig, clip: Any) -> None:
        super().__init__()
        require_plain_towers(clip, config.kind)
        self.image = nn.ModuleList(LoraBlock(block, config) for block in clip.visual.transformer.resblocks)
        self.text = nn.ModuleList(LoraBlock(block, config) for block in clip.transformer.resblocks)

    def image_features(self, clip: Any, pixels_N3HW: Tensor) -> Tensor:
        tokens_NLC = embed_image(clip.visual, pixels_N3HW)
        for lora, block in zip(self.image, clip.visual.transformer.resblocks, strict=True):
            tokens_NLC = lora(block, tokens_NLC, None)
        return pool_image(clip.visual, tokens_NLC)

    def text_features(self, clip: Any, ids_NL: Tensor) -> Tensor:
        length = ids_NL.shape[1]
        tokens_NLC = clip.token_embedding(ids_NL) + clip.positional_embedding[:length]
        for lora, block in zip(self.text, clip.transformer.resblocks, strict=True):
            tokens_NLC = lora(block, tokens_NLC, clip.attn_mask[:length, :length])
        return pool_text(clip, tokens_NLC, ids_NL.argmax(dim=-1))

    @torch.no_grad()
    def merge(self, clip: Any) -> Adaptation:
        for updates, transformer in ((self.image, clip.visual.transformer), (self.text, clip.transformer)):
            for lora, block in zip(updates, transformer.resblocks, strict=True):
                assert isinstance(lora, LoraBlock)
                lora.merge(block)
        return Unadapted()
