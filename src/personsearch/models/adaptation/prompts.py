"""Bidirectional prompts transferring (CSKT, METHODS 2): own prompts and projections for each layer and direction.

Shapes: T layers of the text tower, V of the vision tower, P prompts, Q = 2P, C channels of the tower.
"""

import torch
from torch import Tensor, nn

PROMPT_STD = 0.02


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

    def for_vision(self) -> Tensor:
        """[V, Q, C]: in each layer those that the text lends, then the tower's own."""
        return torch.cat([_lent(self.text, self.text_to_vision), self.vision], dim=1)

    def for_text(self) -> Tensor:
        """[T, Q, C]: in each layer the tower's own, then those that vision lends."""
        return torch.cat([self.text, _lent(self.vision, self.vision_to_text)], dim=1)


def _lent(prompts_APC: Tensor, projections: nn.ModuleList) -> Tensor:
    last = len(prompts_APC) - 1
    return torch.stack([project(prompts_APC[min(layer, last)]) for layer, project in enumerate(projections)])
