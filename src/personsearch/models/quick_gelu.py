"""The activation of OpenAI's CLIP: in training it takes half of open_clip's time and keeps one tensor, not two.

Shapes: any.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

SLOPE = 1.702


class FusedQuickGELU(nn.Module):
    """x · sigmoid(1.702 x), which is silu(1.702 x) / 1.702; in evaluation as open_clip computes it, which exports."""

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        activated: Tensor = _QuickGELU.apply(x) if self.training else x * torch.sigmoid(SLOPE * x)
        return activated


class _QuickGELU(torch.autograd.Function):
    """Its derivative is that of silu at 1.702 x: both factors cancel out."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        steeper = SLOPE * given[0]
        ctx.save_for_backward(steeper)
        return silu(steeper).mul_(1 / SLOPE)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (steeper,) = ctx.saved_tensors
        gradient: Tensor = torch.ops.aten.silu_backward(gradients[0], steeper)
        return gradient


def fuse_quick_gelu(clip: Any) -> None:
    """Switch every QuickGELU of an open_clip model to FusedQuickGELU; it has no weights."""
    from open_clip.transformer import QuickGELU

    for module in clip.modules():
        if type(module) is QuickGELU:
            module.__class__ = FusedQuickGELU
