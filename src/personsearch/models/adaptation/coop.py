"""CoOp: learnt context tokens before the caption, everything else frozen (arXiv 2109.01134), a baseline of TBPS-CLIP.

Shapes: N items, L tokens of a caption, M context tokens, C channels of the text tower, D embedding dimension.
"""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.models.adaptation.base import Adaptation, run_text_tower
from personsearch.models.adaptation.prompts import PROMPT_STD
from personsearch.models.architecture import Side


class CoopConfig(Config):
    """CoOp: learnt context tokens before the caption."""

    kind: Literal["coop"]
    """Names this adaptation."""

    prompts: int = Field(default=16, ge=1)
    """Context tokens between the start token and the caption; they take their places from the caption."""


class Coop(Adaptation):
    """One learnt context for every caption: [SOT, context, caption … EOT].

    Raises:
        UserError: the context does not leave room for a caption.
    """

    crosses = frozenset[Side]({"text"})

    def __init__(self, config: CoopConfig, clip: Any) -> None:
        super().__init__()
        self.context = nn.Parameter(torch.empty(config.prompts, clip.transformer.width).normal_(std=PROMPT_STD))
        if self.caption_length(clip.context_length) < 2:
            raise UserError(
                f"model.adaptation: {config.prompts} prompts leave no room for a caption"
                f" in a context of {clip.context_length} tokens"
            )

    def caption_length(self, context_length: int) -> int:
        return context_length - len(self.context)

    def text_features(self, clip: Any, ids_NL: Tensor) -> Tensor:
        words_NLC, size = clip.token_embedding(ids_NL), len(self.context)
        context_NMC = self.context.to(words_NLC.dtype).expand(ids_NL.shape[0], -1, -1)
        tokens = torch.cat([words_NLC[:, :1], context_NMC, words_NLC[:, 1:]], dim=1)
        position_LC = clip.positional_embedding[: tokens.shape[1]]
        return run_text_tower(clip, tokens + position_LC, ids_NL.argmax(dim=-1) + size)
