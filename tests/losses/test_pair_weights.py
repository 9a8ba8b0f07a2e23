"""Weights of pairs: what a trust of 0, 1 and between does to a batch."""

import torch

from personsearch.losses.pair_weights import mean_over_pairs


def test_divides_by_all_pairs() -> None:
    losses = torch.tensor([1.0, 4.0, 7.0])
    assert mean_over_pairs(losses).item() == 4
    assert mean_over_pairs(losses, torch.ones(3)).item() == 4
    assert mean_over_pairs(losses, torch.tensor([1.0, 0.5, 0.0])).item() == (1 + 2) / 3


def test_a_batch_that_nobody_trusts_moves_nothing() -> None:
    losses = torch.tensor([1.0, 2.0]).requires_grad_()
    loss = mean_over_pairs(losses, torch.zeros(2))
    loss.backward()
    assert loss.item() == 0
    assert losses.grad is not None
    assert not losses.grad.any()
