"""open_clip's models whose text tower is not CLIP's causal transformer: SigLIP, MobileCLIP, CoCa, Hugging Face towers.

Their attention sees the padding, or their pooling takes the last position, so they are always given the whole context
with the padding that they were trained with.

Shapes: N items, L tokens.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from personsearch.models.architecture import Architecture
from personsearch.models.encoder import text_lengths


def build_foreign(architecture: Architecture) -> Any:
    """open_clip's own model of it, untrained; a Hugging Face tower from its configuration alone."""
    from open_clip.coca_model import CoCa
    from open_clip.model import CustomTextCLIP

    keys = ("embed_dim", "vision_cfg", "init_logit_scale", "init_logit_bias", "quick_gelu")
    values = architecture.to_dict()
    known = {key: values[key] for key in keys if key in values}
    own = ("pad_id",) if "hf_model_name" in values["text_cfg"] else ()
    known["text_cfg"] = {key: value for key, value in values["text_cfg"].items() if key not in own}
    if "hf_model_name" in known["text_cfg"]:
        # Or open_clip would download weights, only for the bundle's to replace them.
        known["text_cfg"]["hf_model_pretrained"] = False
    if "multimodal_cfg" in values:
        return CoCa(multimodal_cfg=values["multimodal_cfg"], **known)
    return CustomTextCLIP(**known)


def whole_context(ids_NL: Tensor, context_length: int, padding: int) -> Tensor:
    """The texts [N, context_length], padded with `padding` instead of 0."""
    padded_NL = pad(ids_NL, (0, context_length - ids_NL.shape[1]))
    if padding == 0:
        return padded_NL
    positions_L = torch.arange(context_length, device=ids_NL.device)
    return torch.where(positions_L < text_lengths(ids_NL)[:, None], padded_NL, padding)
