"""What an adaptation does to a CLIP model, and the text tower as a function of embedded tokens.

Shapes: N items, H height, W width, L tokens, C channels of the tower, D embedding dimension.
"""

from typing import Any

import torch
from torch import Tensor, nn

from personsearch.models.architecture import Side


class Adaptation(nn.Module):
    """Modules trained over an open_clip CLIP, which every call is given and which is no part of the state dict.

    A tower that an adaptation does not override runs as it is. Features are not normalised. CLIP's logit scale stays as
    it is with the rest of CLIP: CSKT, CoOp and CLIP-Adapter do not train it, and LoRA follows them.
    """

    trains_backbone: bool = False
    """Whether CLIP's own weights are trained too."""

    computes: bool = True
    """Whether it computes anything beside CLIP; False where the model is a plain CLIP."""

    crosses: frozenset[Side] = frozenset()
    """Towers that a gradient passes back through to reach the adaptation's modules."""

    extra_image_tokens: int = 0
    """What the image tower's attention sees beside class token and patches."""

    fits_any_embedding: bool = True
    """Whether its modules still fit after the towers' last projections have become shorter."""

    def caption_length(self, context_length: int) -> int:
        """Tokens of a caption, start and end included, in a text tower of `context_length` positions."""
        return context_length

    def image_features(self, clip: Any, pixels_N3HW: Tensor) -> Tensor:
        """Features [N, D] of standardised pixels."""
        features_ND: Tensor = clip.visual(pixels_N3HW)
        return features_ND

    def text_features(self, clip: Any, ids_NL: Tensor) -> Tensor:
        """Features [N, D] of captions' tokens; L is any length up to `caption_length` that holds every end token."""
        tokens_NLC = clip.token_embedding(ids_NL) + clip.positional_embedding[: ids_NL.shape[1]]
        return run_text_tower(clip, tokens_NLC, ids_NL.argmax(dim=-1))

    def merge(self, clip: Any) -> "Adaptation":
        """Write into `clip` what its own weights can express, and return what must still run beside them."""
        return self


class Unadapted(Adaptation):
    """CLIP as it is, all of it trained."""

    trains_backbone = True
    computes = False


def run_text_tower(clip: Any, tokens_NLC: Tensor, end_N: Tensor) -> Tensor:
    """Features [N, D] of embedded tokens with their positions; `end_N` says where each text ends."""
    length = tokens_NLC.shape[1]
    return pool_text(clip, clip.transformer(tokens_NLC, attn_mask=clip.attn_mask[:length, :length]), end_N)


def pool_text(clip: Any, tokens_NLC: Tensor, end_N: Tensor) -> Tensor:
    """Features [N, D] at each text's end token."""
    return project_text(clip, tokens_NLC[torch.arange(end_N.shape[0], device=end_N.device), end_N])


def project_text(clip: Any, end_NC: Tensor) -> Tensor:
    """Features [N, D] of what the last block gives for the end tokens: norm, then projection if the model has one."""
    pooled_NC: Tensor = clip.ln_final(end_NC)
    if clip.text_projection is None:
        return pooled_NC
    linear = isinstance(clip.text_projection, nn.Linear)
    projected_ND: Tensor = clip.text_projection(pooled_NC) if linear else pooled_NC @ clip.text_projection
    return projected_ND
