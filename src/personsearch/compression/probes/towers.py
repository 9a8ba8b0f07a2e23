"""CLIP's towers taken apart: what the first block reads, the blocks in two halves, what becomes of the last one.

Shapes: N items, L tokens, C channels of the tower, H height, W width, D embedding dimension.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from torch import Tensor, nn
from torch.nn.functional import normalize

from personsearch.errors import UserError
from personsearch.models.adaptation.base import pool_text
from personsearch.models.adaptation.blocks import embed_image, pool_image
from personsearch.models.architecture import Side
from personsearch.models.clip import require_clip
from personsearch.models.encoder import PersonEncoder

Kind = Literal["attention", "feed_forward", "layer"]
# A module is a residual branch with its norm, a layer is both of its modules.
PARAMETERS: dict[Kind, tuple[str, ...]] = {
    "attention": ("ln_1.", "attn.", "ls_1."),
    "feed_forward": ("ln_2.", "mlp.", "ls_2."),
    "layer": ("ln_1.", "attn.", "ls_1.", "ln_2.", "mlp.", "ls_2."),
}
KINDS: tuple[Kind, ...] = tuple(PARAMETERS)


class Tower(Protocol):
    """A chain of blocks; `prefix` is what their names in a bundle start with, before their number from 0."""

    side: Side
    prefix: str
    blocks: Sequence[nn.Module]

    def embed(self, inputs: Tensor) -> Tensor:
        """What the first block reads [N, L, C]."""

    def mask(self, inputs: Tensor) -> Tensor | None:
        """What attention adds to its scores [L, L]."""

    def pool(self, tokens_NLC: Tensor, inputs: Tensor) -> Tensor:
        """Unit vectors [N, D] of what the last block gives."""


class TextTower:
    """Inputs are token ids [N, L], L any length that holds every text's end."""

    side: Side = "text"

    def __init__(self, clip: Any, prefix: str) -> None:
        self._clip = clip
        self.prefix = prefix
        self.blocks: Sequence[nn.Module] = clip.transformer.resblocks

    def embed(self, inputs: Tensor) -> Tensor:
        tokens_NLC: Tensor = self._clip.token_embedding(inputs) + self._clip.positional_embedding[: inputs.shape[1]]
        return tokens_NLC

    def mask(self, inputs: Tensor) -> Tensor | None:
        mask_LL: Tensor = self._clip.attn_mask[: inputs.shape[1], : inputs.shape[1]]
        return mask_LL

    def pool(self, tokens_NLC: Tensor, inputs: Tensor) -> Tensor:
        return normalize(pool_text(self._clip, tokens_NLC, inputs.argmax(dim=-1)).float(), dim=-1)


class ImageTower:
    """Inputs are standardised pixels [N, 3, H, W]."""

    side: Side = "image"

    def __init__(self, visual: Any, prefix: str) -> None:
        self._visual = visual
        self.prefix = prefix
        self.blocks: Sequence[nn.Module] = visual.transformer.resblocks

    def embed(self, inputs: Tensor) -> Tensor:
        return embed_image(self._visual, inputs)

    def mask(self, inputs: Tensor) -> Tensor | None:
        return None

    def pool(self, tokens_NLC: Tensor, inputs: Tensor) -> Tensor:
        return normalize(pool_image(self._visual, tokens_NLC).float(), dim=-1)


def take_apart(model: PersonEncoder, side: Side) -> Tower:
    """One tower of a plain CLIP.

    Raises:
        UserError: the model is another, is adapted, or the tower is not a Transformer of open_clip's standard blocks.
    """
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    encoder = require_clip(model, "probing")
    if encoder.foreign_text:
        raise UserError("probing: needs CLIP's own text tower; this model has another text tower")
    if encoder.adaptation.computes:
        adaptation = encoder.architecture.adaptation
        raise UserError(f"probing: expected an unadapted model; this one has the adaptation {adaptation}")
    if side == "image" and not isinstance(encoder.clip.visual, VisionTransformer):
        raise UserError(f"probing: needs a Vision Transformer, not a {type(encoder.clip.visual).__name__}")
    prefix = encoder.architecture.block_prefix(side)
    tower: Tower = TextTower(encoder.clip, prefix) if side == "text" else ImageTower(encoder.clip.visual, prefix)
    if not all(isinstance(block, ResidualAttentionBlock) for block in tower.blocks):
        raise UserError(f"probing: needs standard blocks, not {type(tower.blocks[0]).__name__}")
    return tower


def attend(block: Any, tokens_NLC: Tensor, mask_LL: Tensor | None) -> Tensor:
    """The first half of a block."""
    attended_NLC: Tensor = block.attention(block.ln_1(tokens_NLC), attn_mask=mask_LL)
    result_NLC: Tensor = tokens_NLC + block.ls_1(attended_NLC)
    return result_NLC


def feed_forward(block: Any, tokens_NLC: Tensor) -> Tensor:
    """The second half of a block."""
    result_NLC: Tensor = tokens_NLC + block.ls_2(block.mlp(block.ln_2(tokens_NLC)))
    return result_NLC
