"""Blocks of open_clip's Transformers with fewer heads and narrower feed-forwards, or without one of the two.

    architecture.pruned: {text: {3: {heads: 4, feed_forward: 512}}, image: {5: {heads: 0}}}

says what remains of a layer, counted from 1; at 0 the residual branch is gone with its norm. Weights keep their names.

Shapes: K kept heads or neurons, E channels of a head.
"""

from typing import Any

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from personsearch.config import Config, describe_validation_error
from personsearch.errors import UserError
from personsearch.models.architecture import PRUNED, SIDES, Architecture, Side
from personsearch.models.attention import PackedAttention


class Remaining(Config):
    """What remains of one layer; None is all of it."""

    heads: int | None = Field(default=None, ge=0)
    """Attention heads; null is all of them."""

    feed_forward: int | None = Field(default=None, ge=0)
    """Feed-forward neurons; null is all of them."""


class Pruned(Config):
    """What remains of each pruned layer."""

    text: dict[int, Remaining] = Field(default={})
    """Text tower: layer number from 1 → what remains."""

    image: dict[int, Remaining] = Field(default={})
    """Image tower: layer number from 1 → what remains."""

    def of(self, side: Side) -> dict[int, Remaining]:
        """One tower's."""
        return self.text if side == "text" else self.image

    def section(self) -> dict[str, Any]:
        """As an architecture has it."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def read_pruned(architecture: Architecture) -> Pruned:
    """The section `pruned` of an architecture.

    Raises:
        UserError: it is not valid.
    """
    try:
        return Pruned.model_validate(architecture.to_dict().get(PRUNED, {}))
    except ValidationError as error:
        raise UserError(f"model.architecture.{PRUNED}: {describe_validation_error(error, Pruned)}") from error


def prune_blocks(clip: Any, architecture: Architecture) -> None:
    """Prune an open_clip model to what its architecture says.

    Raises:
        UserError: there is no such layer, or it has less than should remain.
    """
    pruned = read_pruned(architecture)
    for side in SIDES:
        for layer, remaining in pruned.of(side).items():
            block = block_of(clip, side, layer)
            # Any heads and neurons would do: the weights that are loaded next are those of the pruned model.
            if remaining.heads is not None:
                keep_heads(block, torch.arange(remaining.heads))
            if remaining.feed_forward is not None:
                keep_neurons(block, torch.arange(remaining.feed_forward))


def block_of(clip: Any, side: Side, layer: int) -> Any:
    """A standard block of an open_clip model, counted from 1.

    Raises:
        UserError: the tower is of another kind, or has no such layer.
    """
    tower = clip.visual if side == "image" else clip
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", ())
    if not 1 <= layer <= len(blocks):
        raise UserError(
            f"{PRUNED}.{side}: layer {layer}; the {side} tower has {len(blocks)} layers of open_clip's own kind"
        )
    if not isinstance(blocks[layer - 1].attn, PackedAttention | NoAttention):
        raise UserError(f"{PRUNED}.{side}: layer {layer} is no standard attention block")
    return blocks[layer - 1]


def num_heads(block: Any) -> int:
    """Heads that a block has."""
    return 0 if isinstance(block.attn, NoAttention) else int(block.attn.num_heads)


def num_neurons(block: Any) -> int:
    """Width of a block's feed-forward."""
    return 0 if isinstance(block.mlp, NoFeedForward) else int(block.mlp.c_fc.out_features)


@torch.no_grad()
def keep_heads(block: Any, kept_K: Tensor) -> None:
    """Leave a block only the heads at these places.

    Raises:
        UserError: it has fewer.
    """
    heads, attention = num_heads(block), block.attn
    _check(len(kept_K), heads, "heads")
    if len(kept_K) == 0:
        block.ln_1, block.attn, block.ls_1 = nn.Identity(), NoAttention(), nn.Identity()
        return
    attention.in_proj_weight = _slice(attention.in_proj_weight, 0, (3, heads, -1), kept_K)
    attention.in_proj_bias = _slice(attention.in_proj_bias, 0, (3, heads, -1), kept_K)
    attention.out_proj.weight = _slice(attention.out_proj.weight, 1, (1, heads, -1), kept_K)
    attention.out_proj.in_features = attention.out_proj.weight.shape[1]
    attention.num_heads = len(kept_K)


@torch.no_grad()
def keep_neurons(block: Any, kept_K: Tensor) -> None:
    """Leave a block's feed-forward only the neurons at these places.

    Raises:
        UserError: it has fewer.
    """
    neurons, mlp = num_neurons(block), block.mlp
    _check(len(kept_K), neurons, "neurons")
    if len(kept_K) == 0:
        block.ln_2, block.mlp, block.ls_2 = nn.Identity(), NoFeedForward(), nn.Identity()
        return
    mlp.c_fc.weight = _slice(mlp.c_fc.weight, 0, (1, neurons, 1), kept_K)
    mlp.c_fc.bias = _slice(mlp.c_fc.bias, 0, (1, neurons, 1), kept_K)
    mlp.c_proj.weight = _slice(mlp.c_proj.weight, 1, (1, neurons, 1), kept_K)
    mlp.c_fc.out_features = mlp.c_proj.in_features = len(kept_K)


class NoAttention(nn.Module):
    """Stands in for a removed attention: the branch adds nothing."""

    def forward(self, query: Tensor, *_args: Tensor, **_options: object) -> tuple[Tensor, None]:
        """As nn.MultiheadAttention is called."""
        return query.new_zeros(()), None  # one zero, which broadcasts to any tokens


class NoFeedForward(nn.Module):
    """Stands in for a removed feed-forward: the branch adds nothing."""

    def forward(self, tokens: Tensor) -> Tensor:
        """As a feed-forward is called."""
        return tokens.new_zeros(())


def _slice(weight: Tensor, dim: int, parts: tuple[int, int, int], kept_K: Tensor) -> nn.Parameter:
    """A weight whose dimension `dim` consists of `parts` (groups, units, channels of a unit), of some units only."""
    kept = torch.unflatten(weight, dim, parts).index_select(dim + 1, kept_K.to(weight.device))
    return nn.Parameter(kept.flatten(dim, dim + 2).contiguous())


def _check(remaining: int, present: int, what: str) -> None:
    if remaining > present:
        raise UserError(f"{PRUNED}: {remaining} {what} cannot remain of {present}")
