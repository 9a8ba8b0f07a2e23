"""CSKT's bidirectional prompts transferring (arXiv 2309.09496): own prompts and projections per layer and direction.

Each layer replaces its prompts, so what it would compute at their places is never read. They enter its attention as
keys and values only, computed once for the whole batch; features equal those of the full sequence.

Shapes: T layers of the text tower, V of the vision tower, B of either, P prompts, Q = 2P, C channels of the tower,
H heads, E channels of a head.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from personsearch.models.adaptation.blocks import query_key_value, split_heads

PROMPT_STD = 0.02
LINEAR_STD = 0.02


class BidirectionalPrompts(nn.Module):
    """Prompts of each tower, and linear maps that lend them to the other tower.

    In towers of unequal depth, a layer without a counterpart borrows from the other tower's last layer.
    """

    def __init__(self, prompts: int, *, text: tuple[int, int], vision: tuple[int, int]) -> None:
        """`text` and `vision` are (layers, channels) of the towers."""
        super().__init__()
        (text_layers, text_channels), (vision_layers, vision_channels) = text, vision
        self.text = nn.Parameter(torch.empty(text_layers, prompts, text_channels).normal_(std=PROMPT_STD))
        self.vision = nn.Parameter(torch.empty(vision_layers, prompts, vision_channels).normal_(std=PROMPT_STD))
        self.text_to_vision = nn.ModuleList(nn.Linear(text_channels, vision_channels) for _ in range(vision_layers))
        self.vision_to_text = nn.ModuleList(nn.Linear(vision_channels, text_channels) for _ in range(text_layers))
        for projection in (*self.text_to_vision, *self.vision_to_text):
            assert isinstance(projection, nn.Linear)
            start_small(projection)

    def for_vision(self) -> Tensor:
        """[V, Q, C]: in each layer those that the text lends, then the tower's own."""
        return torch.cat([_lent(self.text, self.text_to_vision), self.vision], dim=1)

    def for_text(self) -> Tensor:
        """[T, Q, C]: in each layer the tower's own, then those that vision lends."""
        return torch.cat([self.text, _lent(self.vision, self.vision_to_text)], dim=1)

    def image_memory(self, clip: Any) -> Tensor:
        """Keys and values [V, 2, H, Q, E] of the image tower's blocks; the first prompts enter before `ln_pre`."""
        first_QC, *deeper = self.for_vision()
        return _memory(clip.visual.transformer, [clip.visual.ln_pre(first_QC), *deeper])

    def text_memory(self, clip: Any) -> Tensor:
        """Keys and values [T, 2, H, Q, E] of the text tower's blocks; the first prompts have positions 1 to Q."""
        first_QC, *deeper = self.for_text()
        return _memory(clip.transformer, [first_QC + clip.positional_embedding[1 : 1 + len(first_QC)], *deeper])


class RememberedPrompts(nn.Module):
    """The keys and values of trained prompts, so that inference does not compute them again."""

    def __init__(self, prompts: BidirectionalPrompts, clip: Any) -> None:
        super().__init__()
        self.image = nn.Buffer(prompts.image_memory(clip).detach())
        self.text = nn.Buffer(prompts.text_memory(clip).detach())

    def image_memory(self, _clip: Any) -> Tensor:
        """As BidirectionalPrompts."""
        return self.image

    def text_memory(self, _clip: Any) -> Tensor:
        """As BidirectionalPrompts."""
        return self.text


def start_small(layer: nn.Linear) -> None:
    """The start of every linear layer of CSKT: normal weights and no bias."""
    nn.init.normal_(layer.weight, std=LINEAR_STD)
    nn.init.zeros_(layer.bias)


def _lent(prompts_BPC: Tensor, projections: nn.ModuleList) -> Tensor:
    last = len(prompts_BPC) - 1
    return torch.stack([project(prompts_BPC[min(layer, last)]) for layer, project in enumerate(projections)])


def _memory(transformer: Any, prompts: Iterable[Tensor]) -> Tensor:
    packed = (
        split_heads(block.attn, query_key_value(block.attn, block.ln_1(prompts_QC)[None]))
        for block, prompts_QC in zip(transformer.resblocks, prompts, strict=True)
    )
    return torch.stack([torch.cat([key_1HQE, value_1HQE]) for _, key_1HQE, value_1HQE in packed])
