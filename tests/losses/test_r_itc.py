"""R-ITC against numbers worked out by hand and a slow oracle."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personsearch.losses.r_itc import EPSILON, r_itc
from personsearch.losses.soft_labels import identity_targets


def test_an_even_prediction_for_two_persons() -> None:
    expected = math.log(0.5) - 0.5 * math.log(1 + EPSILON) - 0.5 * math.log(EPSILON)
    assert r_itc(torch.zeros(2, 2), torch.eye(2)).item() == pytest.approx(expected, abs=1e-6)


def slow_r_itc(logits: torch.Tensor, targets: torch.Tensor) -> float:
    total = 0.0
    for matrix in (logits, logits.T):
        for row, wanted in zip(matrix.tolist(), targets.tolist(), strict=True):
            exponentials = [math.exp(value) for value in row]
            for value, q in zip(exponentials, wanted, strict=True):
                p = value / sum(exponentials)
                total += p * (math.log(p) - math.log(q + EPSILON)) / len(row) / 2
    return total


@given(st.integers(0, 1000), st.integers(2, 6))
def test_equals_a_slow_oracle_in_any_order(seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, ids = torch.randn(size, size, generator=generator) * 3, torch.randint(3, (size,), generator=generator)
    order, loss = torch.randperm(size, generator=generator), r_itc(logits, identity_targets(ids))
    assert loss.item() == pytest.approx(slow_r_itc(logits, identity_targets(ids)), abs=1e-4)
    assert torch.allclose(loss, r_itc(logits[order][:, order], identity_targets(ids[order])), atol=1e-5)


def test_weights_of_pairs() -> None:
    """Pair 0 alone: its row of logits (0, 0) and its column, of another pair nothing."""
    logits = torch.tensor([[0.0, 0.0], [0.0, 5.0]])
    alone = math.log(0.5) - 0.5 * math.log(1 + EPSILON) - 0.5 * math.log(EPSILON)
    loss = r_itc(logits, torch.eye(2), weights_N=torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx(alone / 2, abs=1e-6)


def test_least_a_little_short_of_certainty() -> None:
    """At softmax(S) = (q̂ + ε) / (1 + Nε) every term is −log(1 + Nε), and nothing moves."""
    logits = (torch.eye(3) + EPSILON).log().requires_grad_()
    loss = r_itc(logits, torch.eye(3))
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(1 + 3 * EPSILON), abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6
    assert r_itc(100 * torch.eye(3), torch.eye(3)).item() == pytest.approx(-math.log(1 + EPSILON), abs=1e-6)
