"""The loss on captions with one thing made wrong, by hand."""

import math

import pytest
import torch

from personsearch.losses.swapped_captions import swapped_captions

IMAGE = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
TEXT = torch.tensor([[0.8, 0.6], [0.6, 0.8], [1.0, 0.0]])
WRONG = torch.tensor([[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]])
SWAPPED = torch.tensor([True, True, False])
SCALE = torch.tensor(10.0)


def test_three_pairs_by_hand() -> None:
    # the first image is nearer to its caption by .2, the second to the wrong one by .2, the third has no wrong one
    first, second = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert swapped_captions(IMAGE, TEXT, WRONG, SWAPPED, SCALE).item() == pytest.approx((first + second) / 2, abs=1e-6)
    weighted = swapped_captions(IMAGE, TEXT, WRONG, SWAPPED, SCALE, weights_N=torch.tensor([0.0, 0.5, 1.0]))
    assert weighted.item() == pytest.approx(second / 4, abs=1e-6)


def test_the_gradient_reaches_both_towers_and_not_the_scale() -> None:
    image, text, wrong, scale = (value.clone().requires_grad_() for value in (IMAGE, TEXT, WRONG, SCALE))
    swapped_captions(image, text, wrong, SWAPPED, scale).backward()
    assert scale.grad is None
    for value in (image, text, wrong):
        assert value.grad[:2].abs().sum(dim=1).min() > 0.1
        assert not value.grad[2].any()
    torch.testing.assert_close(text.grad, -wrong.grad)


def test_without_a_wrong_caption_it_is_zero() -> None:
    assert swapped_captions(IMAGE, TEXT, WRONG, torch.zeros(3, dtype=torch.bool), SCALE).item() == 0
