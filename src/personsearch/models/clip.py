"""The dual encoder: one open_clip model, its features normalised, its text cut to any length.

Shapes: N items, H height, W width, L tokens, D embedding dimension.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from personsearch.errors import UserError
from personsearch.models.adaptation import Adaptation, make_adaptation
from personsearch.models.attention import pack_attention
from personsearch.models.encoder import MAX_LOGIT_SCALE, PersonEncoder

SUPPORTED_TEXT_POOLING = "argmax"
ADAPTATION = "adaptation."


class Unadapted(Adaptation):
    """CLIP as it is, all of it trained."""

    trains_backbone = True


class DualEncoder(PersonEncoder):
    """open_clip's CLIP under `clip`, in a bundle by open_clip's names, and what adapts it under `adaptation`."""

    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        self.architecture = architecture
        self.clip = _open_clip_model(architecture)
        pack_attention(self.clip)
        section = architecture.get("adaptation")
        self.adaptation = Unadapted() if section is None else make_adaptation(section, self.clip)
        if not self.adaptation.trains_backbone:
            self.clip.requires_grad_(False)
        self.context_length = self.adaptation.caption_length(int(self.clip.context_length))
        self.embedding_dim = int(architecture["embed_dim"])

    def encode_image(self, pixels_N3HW: Tensor) -> Tensor:
        return normalize(self.adaptation.image_features(self.clip, pixels_N3HW).float(), dim=-1)

    def encode_text(self, ids_NL: Tensor) -> Tensor:
        """As of any encoder; attention is causal and pooling takes the end token, so padding changes nothing."""
        return normalize(self.adaptation.text_features(self.clip, ids_NL).float(), dim=-1)

    def named_weights(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = dict(self.clip.state_dict(keep_vars=True))
        own = self.adaptation.state_dict(keep_vars=True)
        return state | {f"{ADAPTATION}{name}": value for name, value in own.items()}

    def load_named_weights(self, state: Mapping[str, Tensor]) -> None:
        own = {name.removeprefix(ADAPTATION): v for name, v in state.items() if name.startswith(ADAPTATION)}
        self.adaptation.load_state_dict(own)
        self.clip.load_state_dict({name: value for name, value in state.items() if not name.startswith(ADAPTATION)})

    def logit_scale(self) -> Tensor:
        """The factor of similarities in the losses, at most 100."""
        return torch.as_tensor(self.clip.logit_scale).exp().clamp(max=MAX_LOGIT_SCALE)

    @torch.no_grad()
    def set_logit_scale(self, factor: float) -> None:
        self.clip.logit_scale.fill_(math.log(factor))

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        self.clip.logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))

    def set_text_attention_dropout(self, probability: float) -> None:
        for module in self.clip.transformer.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = probability


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
