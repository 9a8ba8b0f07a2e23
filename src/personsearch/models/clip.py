"""The dual encoder: one open_clip model, its text cut to any length.

Shapes: N items, H height, W width, L tokens, D embedding dimension.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from personsearch.errors import UserError
from personsearch.models.adaptation import Unadapted, make_adaptation
from personsearch.models.architecture import PRUNED, STRIDE, Architecture, Side
from personsearch.models.attention import pack_attention
from personsearch.models.conv_stem import add_stem
from personsearch.models.encoder import MAX_LOGIT_SCALE, PersonEncoder, TextGroup
from personsearch.models.foreign_text import build_foreign, whole_context
from personsearch.models.pruned import prune_blocks
from personsearch.models.quick_gelu import fuse_quick_gelu
from personsearch.models.ragged_text import has_plain_text_blocks, ragged_text_features

ADAPTATION = "adaptation."
IMAGE_PROJECTION, TEXT_PROJECTION = "visual.proj", "text_projection"
LINEAR_TEXT, TEXT_BIAS = "text_projection.weight", "text_projection.bias"
DEFAULT_CONTEXT = 77


class DualEncoder(PersonEncoder):
    """open_clip's CLIP under `clip`, in a bundle by open_clip's names, and what adapts it under `adaptation`."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.clip = _open_clip_model(architecture)
        add_stem(self.clip, architecture)
        _overlap_patches(self.clip, architecture)
        pack_attention(self.clip)
        fuse_quick_gelu(self.clip)
        prune_blocks(self.clip, architecture)
        self.foreign_text = architecture.is_foreign
        section = architecture.get("adaptation")
        if section is not None and self.foreign_text:
            raise UserError("model.adaptation: adapts CLIP's own text tower; this architecture has another")
        if section is not None and PRUNED in architecture:
            raise UserError("model.adaptation: adapts whole blocks; this architecture has pruned ones")
        self.adaptation = Unadapted() if section is None else make_adaptation(section, self.clip)
        if not self.adaptation.trains_backbone:
            self.clip.requires_grad_(False)
        own_length = architecture["text_cfg"].get("context_length", DEFAULT_CONTEXT)
        self.context_length = self.adaptation.caption_length(int(own_length))
        self.padding = int(architecture["text_cfg"].get("pad_id", 0))
        self.embedding_dim = int(architecture["embed_dim"])

    def image_features(self, pixels_N3HW: Tensor) -> Tensor:
        if self.foreign_text:  # CoCa's image tower returns tokens beside the vector; only encode_image drops them
            features_ND: Tensor = self.clip.encode_image(pixels_N3HW)
            return features_ND.float()
        return self.adaptation.image_features(self.clip, pixels_N3HW).float()

    @property
    def patch_shape(self) -> tuple[int, int, int] | None:
        visual = self.clip.visual
        if not isinstance(self.adaptation, Unadapted) or not hasattr(visual, "output_tokens") or self.foreign_text:
            return None
        return (*visual.grid_size, visual.transformer.width)

    def image_features_and_patches(self, pixels_N3HW: Tensor) -> tuple[Tensor, Tensor]:
        visual = self.clip.visual
        if self.patch_shape is None:
            return super().image_features_and_patches(pixels_N3HW)
        visual.output_tokens = True
        try:
            features_ND, patches_NTC = visual(pixels_N3HW)
        finally:
            visual.output_tokens = False
        return features_ND.float(), torch.unflatten(patches_NTC.float(), 1, visual.grid_size)

    def text_features(self, ids_NL: Tensor) -> Tensor:
        """Padding changes nothing: attention is causal and pooling takes the end token."""
        if self.foreign_text:
            features_ND: Tensor = self.clip.encode_text(whole_context(ids_NL, self.context_length, self.padding))
            return features_ND.float()
        return self.adaptation.text_features(self.clip, ids_NL).float()

    def text_features_in_groups(self, ids_NL: Tensor, groups: Sequence[TextGroup]) -> Tensor:
        if self.foreign_text or self.adaptation.computes or not has_plain_text_blocks(self.clip):
            return super().text_features_in_groups(ids_NL, groups)
        return ragged_text_features(self.clip, ids_NL, groups).float()

    @property
    def crosses(self) -> frozenset[Side]:
        return self.adaptation.crosses

    @property
    def extra_image_tokens(self) -> int:
        return self.adaptation.extra_image_tokens

    @property
    def token_embedding_name(self) -> str | None:
        return None if self.foreign_text else "token_embedding.weight"

    def _projections(self, state: Mapping[str, Tensor], basis_DR: Tensor) -> dict[str, Tensor]:
        if self.foreign_text or IMAGE_PROJECTION not in state:
            raise UserError("embedding: expected both towers of open_clip's own kind, each ending in a matrix")
        if not self.adaptation.fits_any_embedding:
            adaptation = self.architecture.adaptation
            raise UserError(f"embedding: {adaptation} works on whole embeddings; they cannot be reduced")
        projected = {IMAGE_PROJECTION: state[IMAGE_PROJECTION] @ basis_DR}
        if LINEAR_TEXT in state:  # a linear layer holds its matrix transposed
            projected[LINEAR_TEXT] = basis_DR.T @ state[LINEAR_TEXT]
            return projected | ({TEXT_BIAS: state[TEXT_BIAS] @ basis_DR} if TEXT_BIAS in state else {})
        if TEXT_PROJECTION not in state:
            raise UserError("embedding: the text tower ends in no projection; it cannot be reduced")
        return projected | {TEXT_PROJECTION: state[TEXT_PROJECTION] @ basis_DR}

    def merge_adaptation(self) -> None:
        self.adaptation = self.adaptation.merge(self.clip)

    def named_weights(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = dict(self.clip.state_dict(keep_vars=True))
        own = self.adaptation.state_dict(keep_vars=True)
        return state | {f"{ADAPTATION}{name}": value for name, value in own.items()}

    def load_named_weights(self, state: Mapping[str, Tensor]) -> None:
        own = {name.removeprefix(ADAPTATION): v for name, v in state.items() if name.startswith(ADAPTATION)}
        self.adaptation.load_state_dict(own)
        self.clip.load_state_dict({name: value for name, value in state.items() if not name.startswith(ADAPTATION)})

    def logit_scale(self) -> Tensor:
        """The factor of similarities in the losses, at most 100.

        The gradient is that of the unbounded factor. A clamp inside the graph has none above its bound, and float32
        puts CLIP's own start, e^(ln 100), at 100.0000076: there the parameter would never move.
        """
        factor = torch.as_tensor(self.clip.logit_scale).exp()
        return factor + (factor.clamp(max=MAX_LOGIT_SCALE) - factor).detach()

    @torch.no_grad()
    def set_logit_scale(self, factor: float) -> None:
        self.clip.logit_scale.fill_(math.log(factor))

    def set_text_attention_dropout(self, probability: float) -> None:
        text = self.clip.text if self.foreign_text else self.clip.transformer
        attentions = [module for module in text.modules() if isinstance(module, nn.MultiheadAttention)]
        if probability and not attentions:
            raise UserError(f"model.text_attention_dropout: this text tower takes none; expected 0, not {probability}")
        for attention in attentions:
            attention.dropout = probability


def _open_clip_model(architecture: Architecture) -> Any:
    from open_clip.model import CLIP

    values = architecture.to_dict()
    known = {key: values[key] for key in ("embed_dim", "vision_cfg", "text_cfg")}
    if not architecture.is_foreign:
        known["vision_cfg"].pop(STRIDE, None)  # `_overlap_patches` reads it; open_clip has no such setting
    try:
        if architecture.is_foreign:
            return build_foreign(architecture)
        return CLIP(**known, quick_gelu=bool(values.get("quick_gelu", False)))
    except (TypeError, ValueError, RuntimeError, AssertionError, OSError) as error:
        raise UserError(f"model.architecture: open_clip cannot build it: {error}") from error


def _overlap_patches(clip: Any, architecture: Architecture) -> None:
    """Let an open_clip model cut a patch every `vision_cfg.stride` pixels, as IRRA's and RDE's models may.

    Raises:
        UserError: the stride leaves gaps, or the image tower has no patch convolution.
    """
    stride = architecture.section("image").get(STRIDE)
    if stride is None:
        return
    patches = getattr(clip.visual, "conv1", None)
    setting = f"model.architecture.vision_cfg.{STRIDE}"
    if not isinstance(patches, nn.Conv2d) or not hasattr(clip.visual, "transformer"):
        raise UserError(f"{setting}: expected a Vision Transformer with one patch convolution")
    side = min(patches.kernel_size)
    if not isinstance(stride, int) or not 1 <= stride <= side:
        raise UserError(f"{setting}: {stride!r}; expected 1 to {side}, the side of a patch")
    patches.stride = (stride, stride)
    clip.visual.grid_size = architecture.grid
    rows, columns = architecture.grid
    width = patches.out_channels
    clip.visual.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(1 + rows * columns, width))


def require_clip(model: PersonEncoder, needed_for: str) -> DualEncoder:
    """The model, which `needed_for` takes apart.

    Raises:
        UserError: it is not open_clip's CLIP.
    """
    if not isinstance(model, DualEncoder):
        raise UserError(f"{needed_for}: needs open_clip's CLIP, not {type(model).__name__}")
    return model
