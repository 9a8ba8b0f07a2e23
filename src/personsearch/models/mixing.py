"""Mixup of a batch's rows with other rows of it (CTLG): of pixels, or of what a tower's first block gives.

Shapes: N rows, L tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mixing:
    """Row i becomes `ratio_N[i]` of itself and the rest of row `partner_N[i]`; a ratio of 1 leaves it alone."""

    partner_N: Tensor
    ratio_N: Tensor

    def to(self, device: torch.device) -> "Mixing":
        return Mixing(self.partner_N.to(device), self.ratio_N.to(device))

    def blend(self, rows: Tensor) -> Tensor:
        """Mixed rows [N, …]."""
        share = self.ratio_N.to(rows.dtype).reshape(-1, *[1] * (rows.ndim - 1))
        return share * rows + (1 - share) * rows[self.partner_N]

    def present(self, present_NL: Tensor) -> Tensor:
        """Where a mixed row has a token: where one of the two that it is made of has one."""
        own_NL = present_NL & (self.ratio_N > 0)[:, None]
        other_NL = present_NL[self.partner_N] & (self.ratio_N < 1)[:, None]
        return own_NL | other_NL
