"""Parts by cell, by hand."""

import math

import pytest
import torch

from personsearch.errors import UserError
from personsearch.losses.layout import LayoutHead


def test_each_patch_names_its_own_cells() -> None:
    head = LayoutHead(width=2, patches=(1, 2), cells=(2, 4), parts=3)
    assert head.linear.out_features == 2 * 2 * 3
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias.zero_()
        bias = head.linear.bias.view(2, 2, 3)  # row and column within the patch, part
        bias[0, 1, 2] = 5.0
    patches = torch.randn(1, 1, 2, 2)
    # rows of 4 cells: both patches expect part 2 in their upper right cell and anything elsewhere
    right = torch.tensor([[0, 2, 1, 2, 0, 0, 1, 1]], dtype=torch.int8)
    surely, evenly = math.log(math.exp(5) + 2) - 5, math.log(3)
    assert head(patches, right).item() == pytest.approx((2 * surely + 6 * evenly) / 8, abs=1e-5)
    wrong = torch.tensor([[0, 0, 1, 2, 0, 0, 1, 1]], dtype=torch.int8)
    assert head(patches, wrong).item() == pytest.approx((2 * surely + 5 + 6 * evenly) / 8, abs=1e-5)


def test_unknown_cells_count_for_nothing() -> None:
    head, patches = LayoutHead(2, (1, 2), (2, 4), 3), torch.randn(2, 1, 2, 2)
    layout = torch.randint(0, 3, (2, 8), dtype=torch.int8)
    half = layout.clone()
    half[1] = -1
    assert head(patches, half).item() == pytest.approx(head(patches[:1], layout[:1]).item(), abs=1e-6)
    assert head(patches, torch.full((2, 8), -1)).item() == 0


def test_patches_must_divide_the_cells() -> None:
    with pytest.raises(UserError, match="3×2 patches; expected a number that divides 16×8 cells"):
        LayoutHead(8, (3, 2), (16, 8), 16)
