"""N-ITC against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personsearch.losses.n_itc import n_itc
from personsearch.losses.soft_labels import identity_targets, soft_targets


def test_targets_share_a_row_among_pairs_of_the_same_person() -> None:
    expected = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    assert torch.equal(identity_targets(torch.tensor([7, 7, 3])), expected)


def test_two_persons_with_hard_labels_give_the_softplus_of_the_margin() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    rows = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-2))) / 2
    columns = (math.log1p(math.exp(-1)) + math.log1p(math.exp(-3))) / 2
    loss = n_itc(logits, torch.eye(2), alpha=0.0)
    assert loss.item() == pytest.approx((rows + columns) / 2, abs=1e-6)


def test_soft_labels_mix_the_prediction_with_the_identity() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)]])
    mixed = soft_targets(logits, torch.eye(2), 0.5)
    assert torch.allclose(mixed, torch.tensor([[0.875, 0.125], [0.125, 0.875]]))
    expected = -(0.875 * math.log(0.75) + 0.125 * math.log(0.25))
    assert n_itc(logits, torch.eye(2), alpha=0.5).item() == pytest.approx(expected, abs=1e-6)


def test_no_gradient_flows_through_the_labels() -> None:
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = identity_targets(torch.tensor([1, 1, 2, 3]))
    n_itc(logits, targets, alpha=0.5).backward()
    fixed = [soft_targets(side, targets, 0.5) for side in (logits.detach(), logits.detach().T)]
    rows = (logits.detach().softmax(1) - fixed[0]) / 4
    columns = (logits.detach().T.softmax(1) - fixed[1]).T / 4
    assert logits.grad is not None
    assert torch.allclose(logits.grad, (rows + columns) / 2, atol=1e-6)


@given(st.integers(0, 1000), st.integers(2, 6), st.sampled_from([0.0, 0.5]))
def test_order_of_pairs_and_direction_do_not_matter(seed: int, size: int, alpha: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, ids = torch.randn(size, size, generator=generator) * 5, torch.randint(3, (size,), generator=generator)
    order, targets = torch.randperm(size, generator=generator), identity_targets(ids)
    loss = n_itc(logits, targets, alpha=alpha)
    assert torch.allclose(loss, n_itc(logits[order][:, order], identity_targets(ids[order]), alpha=alpha), atol=1e-5)
    assert torch.allclose(loss, n_itc(logits.T, targets, alpha=alpha), atol=1e-5)


@given(st.integers(0, 1000), st.integers(2, 6), st.floats(0, 0.9))
def test_soft_labels_of_the_same_pass_shorten_the_gradient_by_their_share(seed: int, size: int, alpha: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(size, size, generator=generator) * 5).requires_grad_()
    targets = identity_targets(torch.randint(3, (size,), generator=generator))
    (hard,) = torch.autograd.grad(n_itc(logits, targets, alpha=0.0), logits)
    (soft,) = torch.autograd.grad(n_itc(logits, targets, alpha=alpha), logits)
    assert torch.allclose(soft, (1 - alpha) * hard, atol=1e-6)


def test_three_pairs_of_two_persons_have_the_mean_over_positives_outside_the_logarithm() -> None:
    """The supervised contrastive loss, by hand: multi-positive training is what q̂ gives."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [1.0, 0.0, 3.0]])
    persons = [6, 6, 2]
    total = 0.0
    for matrix in (logits, logits.T):
        for row, person in zip(matrix.tolist(), persons, strict=True):
            log_sum = math.log(sum(map(math.exp, row)))
            own = [log_sum - value for value, other in zip(row, persons, strict=True) if other == person]
            total += sum(own) / len(own) / 3 / 2
    assert n_itc(logits, identity_targets(torch.tensor(persons)), alpha=0.0).item() == pytest.approx(total, abs=1e-6)


def test_weights_of_pairs() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    first = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    second = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-3))) / 2
    loss = n_itc(logits, torch.eye(2), alpha=0.0, weights_N=torch.tensor([1.0, 0.25]))
    assert loss.item() == pytest.approx((first + second / 4) / 2, abs=1e-6)
