"""The activation of OpenAI's CLIP in training: as fast as GELU, and one tensor kept for its gradient in place of two.

Shapes: any.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

SLOPE = 1.702
PART = 1 << 16  # numbers of a thread that stay in its cache from one operation to the next


class FusedQuickGELU(nn.Module):
    """x · sigmoid(1.702 x), which is silu(1.702 x) / 1.702. In use as open_clip computes it, so that it exports."""

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        activated: Tensor = _QuickGELU.apply(x) if self.training else x * torch.sigmoid(SLOPE * x)
        return activated


class _QuickGELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x = given[0].contiguous()
        ctx.save_for_backward(x)
        activated = torch.empty_like(x)
        for inside, outside in _parts(x, activated):
            torch.mul(inside, SLOPE, out=outside)
            torch.ops.aten.silu_(outside)
            outside.mul_(1 / SLOPE)
        return activated

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gradient = torch.empty_like(x)
        for inside, above, below in _parts(x, gradients[0].contiguous(), gradient):
            torch.ops.aten.silu_backward.grad_input(above, inside * SLOPE, grad_input=below)
        return gradient


def _parts(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors in step, on a CPU by parts."""
    flat = [tensor.view(-1) for tensor in tensors]
    size = PART * torch.get_num_threads() if flat[0].device.type == "cpu" else max(1, flat[0].numel())
    return zip(*(torch.split(tensor, size) for tensor in flat), strict=True)


def fuse_quick_gelu(clip: Any) -> None:
    """Let every QuickGELU of an open_clip model compute so; it has no weights."""
    from open_clip.transformer import QuickGELU

    for module in clip.modules():
        if type(module) is QuickGELU:
            module.__class__ = FusedQuickGELU
