"""SDM against numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personsearch.losses.r_itc import reversed_divergence
from personsearch.losses.sdm import EPSILON, sdm
from personsearch.losses.soft_labels import identity_targets


def test_three_pairs_of_two_persons_by_hand() -> None:
    """Even predictions of ⅓ against q̂ = (½, ½, 0) twice and (0, 0, 1) once, in both directions."""
    targets = identity_targets(torch.tensor([4, 4, 9]))
    shared = math.log(1 / 3) - (2 * math.log(0.5 + EPSILON) + math.log(EPSILON)) / 3
    alone = math.log(1 / 3) - (math.log(1 + EPSILON) + 2 * math.log(EPSILON)) / 3
    assert sdm(torch.zeros(3, 3), targets).item() == pytest.approx(2 * (2 * shared + alone) / 3, rel=1e-5)


def test_perfect_pairs_cost_nothing() -> None:
    assert sdm(torch.eye(3), torch.eye(3)).item() == pytest.approx(0, abs=1e-6)


def test_temperature_divides_the_cosine() -> None:
    cosine = torch.tensor([[0.03, 0.01], [0.0, 0.02]])
    assert torch.allclose(sdm(cosine, torch.eye(2)), sdm(cosine * 5, torch.eye(2), temperature=0.1))


@given(st.integers(0, 1000), st.integers(2, 6))
def test_is_the_reversed_divergence_with_a_far_smaller_epsilon(seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    cosine = torch.rand(size, size, generator=generator) * 2 - 1
    targets = identity_targets(torch.randint(3, (size,), generator=generator))
    weights = torch.rand(size, generator=generator)
    per_pair = reversed_divergence(cosine / 0.02, targets, 1e-8)
    assert torch.allclose(sdm(cosine, targets), per_pair.mean())
    assert torch.allclose(sdm(cosine, targets, weights_N=weights), (weights * per_pair).sum() / size)
