"""The dual encoder: one open_clip model, its features normalised, its text cut to any length.

Shapes: N items, H height, W width, L tokens, D embedding dimension.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from personsearch.errors import UserError

MAX_LOGIT_SCALE = 100.0
TEXT_GROUPS = 8
SUPPORTED_TEXT_POOLING = "argmax"


@dataclass(frozen=True, slots=True)
class Features:
    """What one forward pass gives every loss: unit vectors [N, D] and the positive factor of their products."""

    image_ND: Tensor
    text_ND: Tensor
    logit_scale: Tensor


class DualEncoder(nn.Module):
    """open_clip's CLIP under `clip`, whose state dict is what a bundle stores."""

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        self.architecture = architecture
        self.clip = _open_clip_model(architecture)
        self.context_length: int = self.clip.context_length
        self.embedding_dim = int(architecture["embed_dim"])

    def forward(self, pixels_N3HW: Tensor, ids_NL: Tensor) -> Features:
        return Features(self.encode_image(pixels_N3HW), self.encode_text_by_length(ids_NL), self.logit_scale())

    def encode_image(self, pixels_N3HW: Tensor) -> Tensor:
        """Unit float32 vectors [N, D] of standardised pixels."""
        return normalize(self.clip.visual(pixels_N3HW).float(), dim=-1)

    def encode_text(self, ids_NL: Tensor) -> Tensor:
        """Unit float32 vectors [N, D]. L may be any length up to the context that still holds every end token.

        Attention is causal and pooling takes the end token, so padding cut away changes nothing.
        """
        clip, length = self.clip, ids_NL.shape[1]
        x_NLW = clip.token_embedding(ids_NL) + clip.positional_embedding[:length]
        x_NLW = clip.ln_final(clip.transformer(x_NLW, attn_mask=clip.attn_mask[:length, :length]))
        pooled_NW = x_NLW[torch.arange(len(ids_NL), device=ids_NL.device), ids_NL.argmax(dim=-1)]
        return normalize(self._project(pooled_NW).float(), dim=-1)

    def encode_text_by_length(self, ids_NL: Tensor) -> Tensor:
        """`encode_text` in groups of similar length, each cut to its longest: the same vectors for less work.

        On a GPU, where small batches waste more than padding does, it is one group.
        """
        if ids_NL.device.type != "cpu" or len(ids_NL) < 2 * TEXT_GROUPS:
            return self.encode_text(ids_NL)
        lengths_N, order_N = ids_NL.argmax(dim=-1).sort(stable=True)
        groups = zip(order_N.chunk(TEXT_GROUPS), lengths_N.chunk(TEXT_GROUPS), strict=True)
        sorted_ND = torch.cat([self.encode_text(ids_NL[rows, : int(length[-1]) + 1]) for rows, length in groups])
        return sorted_ND[order_N.argsort()]

    def logit_scale(self) -> Tensor:
        """The factor of similarities in the losses, at most 100."""
        return torch.as_tensor(self.clip.logit_scale).exp().clamp(max=MAX_LOGIT_SCALE)

    @torch.no_grad()
    def set_logit_scale(self, factor: float) -> None:
        self.clip.logit_scale.fill_(math.log(factor))

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        """Keep the parameter where the clamp has a gradient; call after each optimiser step."""
        self.clip.logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))

    def set_text_attention_dropout(self, probability: float) -> None:
        """Dropout on attention weights of the text transformer (TBPS-CLIP, training trick 2)."""
        for module in self.clip.transformer.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = probability

    def freeze(self, prefixes: Iterable[str]) -> None:
        """Take parameters whose name starts with one of `prefixes` out of training.

        Raises:
            UserError: a prefix matches no parameter.
        """
        parameters = dict(self.clip.named_parameters())
        for prefix in prefixes:
            chosen = [p for name, p in parameters.items() if name.startswith(prefix)]
            if not chosen:
                raise UserError(f"model.frozen: {prefix!r} matches no parameter of this model")
            for parameter in chosen:
                parameter.requires_grad_(False)

    def _project(self, pooled_NW: Tensor) -> Tensor:
        projection = self.clip.text_projection
        if projection is None:
            return pooled_NW
        projected: Tensor = projection(pooled_NW) if isinstance(projection, nn.Linear) else pooled_NW @ projection
        return projected


def _open_clip_model(architecture: dict[str, Any]) -> Any:
    from open_clip.model import CLIP

    text = architecture["text_cfg"]
    foreign = sorted(
        key for key in ("hf_model_name", "hf_tokenizer_name", "no_causal_mask", "embed_cls") if text.get(key)
    )
    if (
        foreign
        or text.get("pool_type", SUPPORTED_TEXT_POOLING) != SUPPORTED_TEXT_POOLING
        or "multimodal_cfg" in architecture
    ):
        raise UserError(
            f"model.architecture: its text tower is not CLIP's causal transformer ({', '.join(foreign) or 'pooling'})"
        )
    known = {key: architecture[key] for key in ("embed_dim", "vision_cfg", "text_cfg")}
    try:
        return CLIP(**known, quick_gelu=bool(architecture.get("quick_gelu", False)))
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UserError(f"model.architecture: open_clip cannot build it: {error}") from error
