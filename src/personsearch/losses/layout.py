"""A loss on where the parts of a person are: each patch names the parts that its cells show.

Shapes: N images, R × K patches, r × k cells of one patch, C cells of an image, P parts, W width of the tower.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from personsearch.errors import UserError


class LayoutHead(nn.Module):
    """A linear classifier of the cells of each patch, and its loss."""

    def __init__(self, width: int, patches: tuple[int, int], cells: tuple[int, int], parts: int) -> None:
        super().__init__()
        if cells[0] % patches[0] or cells[1] % patches[1]:
            raise UserError(
                f"losses.layout: {patches[0]}×{patches[1]} patches; expected a number that divides "
                f"{cells[0]}×{cells[1]} cells"
            )
        self.cells, self.parts = (cells[0] // patches[0], cells[1] // patches[1]), parts
        self.linear = nn.Linear(width, self.cells[0] * self.cells[1] * parts)

    def forward(self, patches_NRKW: Tensor, layout_NC: Tensor) -> Tensor:
        """Mean cross-entropy over the cells that are known, 0 or more in `layout_NC`; 0 where none is."""
        logits_NRKrkP = torch.unflatten(self.linear(patches_NRKW), -1, (*self.cells, self.parts))
        logits_NCP = logits_NRKrkP.permute(0, 1, 3, 2, 4, 5).flatten(1, 4)
        known = layout_NC >= 0
        losses_NC = cross_entropy(logits_NCP.transpose(1, 2), layout_NC.clamp(min=0).long(), reduction="none")
        return (losses_NC * known).sum() / known.sum().clamp(min=1)
