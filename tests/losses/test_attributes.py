"""Losses on facts, by hand."""

import math

import pytest
import torch

from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.losses.attributes import fact_loss, kinds_of_facts, query_loss


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_unknown_facts_count_for_nothing() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 7.0]], requires_grad=True)
    known = torch.tensor([[TRUE, FALSE], [FALSE, UNKNOWN]], dtype=torch.int8)
    loss = fact_loss(logits, known, kinds_of_facts(["bag", "bag"]))
    assert loss.item() == pytest.approx((softplus(-2.0) + softplus(-1.0) + softplus(0.5)) / 3, abs=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[1, 1] == 0
    assert logits.grad[0, 0] < 0 < logits.grad[1, 0]


def test_each_kind_of_fact_has_the_same_weight() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5, 0.0]])
    known = torch.tensor([[TRUE, FALSE, TRUE, UNKNOWN]], dtype=torch.int8)
    loss = fact_loss(logits, known, kinds_of_facts(["colour", "colour", "bag", "hat"]))
    assert loss.item() == pytest.approx(((softplus(-2.0) + softplus(-1.0)) / 2 + softplus(-0.5)) / 3, abs=1e-6)


def test_right_and_wrong_images_of_queries_have_half_the_weight_each() -> None:
    logits = torch.tensor([[1.0, -2.0], [3.0, 0.0], [0.5, 9.0]], requires_grad=True)
    fitting = torch.tensor([[TRUE, FALSE], [FALSE, FALSE], [FALSE, UNKNOWN]], dtype=torch.int8)
    loss = query_loss(logits, fitting)
    right, wrong = softplus(-1.0), (softplus(-2.0) + softplus(3.0) + softplus(0.0) + softplus(0.5)) / 4
    assert loss.item() == pytest.approx((right + wrong) / 2, abs=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[2, 1] == 0


def test_where_nothing_is_known_the_loss_is_0() -> None:
    logits, nothing = torch.randn(2, 3, requires_grad=True), torch.full((2, 3), UNKNOWN, dtype=torch.int8)
    for value in (fact_loss(logits, nothing, kinds_of_facts(["a", "a", "b"])), query_loss(logits, nothing)):
        assert value.item() == 0
        value.backward()
