"""Hardness-aware InfoNCE against numbers worked out by hand."""

import math

import pytest
import torch

from personsearch.losses.info_nce import info_nce, info_nce_per_pair
from personsearch.losses.n_itc import n_itc


def test_three_pairs_by_hand() -> None:
    cosine = torch.tensor([[0.010, 0.005, 0.000], [0.000, 0.010, 0.000], [0.000, 0.000, 0.010]])
    logits = [[2, 1, 0], [0, 2, 0], [0, 0, 2]]
    rows = [math.log(sum(map(math.exp, row))) - 2 for row in logits]
    columns = [math.log(sum(map(math.exp, column))) - 2 for column in zip(*logits, strict=True)]
    expected = [(row + column) / 2 for row, column in zip(rows, columns, strict=True)]
    assert info_nce_per_pair(cosine).tolist() == pytest.approx(expected, abs=1e-5)
    assert info_nce(cosine).item() == pytest.approx(sum(expected) / 3, abs=1e-5)
    assert info_nce(cosine, weights_N=torch.tensor([1.0, 0.0, 0.5])).item() == pytest.approx(
        (expected[0] + expected[2] / 2) / 3, abs=1e-5
    )


def test_is_n_itc_with_each_pair_its_own_person() -> None:
    cosine = torch.rand(5, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.allclose(info_nce(cosine), n_itc(cosine / 0.005, torch.eye(5), alpha=0.0), atol=1e-4)


def test_the_lower_the_temperature_the_more_the_hardest_negative_decides() -> None:
    shares = []
    for temperature in (1.0, 0.1, 0.02):
        cosine = torch.tensor([[0.5, 0.4, 0.3], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]]).requires_grad_()
        info_nce(cosine, temperature=temperature).backward()
        rows, columns = (cosine / temperature).softmax(1), (cosine / temperature).softmax(0)
        assert cosine.grad is not None
        assert torch.allclose(cosine.grad, (rows + columns - 2 * torch.eye(3)) / (6 * temperature), atol=1e-5)
        shares.append((cosine.grad[0, 1] / cosine.grad[0, 1:].sum()).item())
    assert 0.5 < shares[0] < 0.6 < shares[1] < shares[2]
    assert shares[2] > 0.99


def test_limits_of_the_temperature() -> None:
    cosine = torch.tensor([[0.2, 0.1, 0.0], [0.3, 0.2, 0.0], [0.0, 0.1, 0.2]])
    # τ → ∞: every partner as likely. τ → 0: τ × loss is the lead of the best over the own partner, here 0.1 in two.
    assert info_nce(cosine, temperature=1e6).item() == pytest.approx(math.log(3), abs=1e-5)
    assert 1e-4 * info_nce(cosine, temperature=1e-4).item() == pytest.approx((0.1 + 0.1) / 2 / 3, abs=1e-4)
