"""TAL against numbers worked out by hand, its limits, and triplet ranking, which it bounds from above."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personsearch.losses.tal import tal, tal_per_pair

OWN = torch.arange(3)


def test_three_persons_by_hand() -> None:
    """τ = 1, m = 0.5: each hinge is 0.5 − own cosine + log of the sum of both exponentials of the negatives."""
    cosine = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.8, -0.4], [0.0, 0.5, 0.7]])

    def hinge(own: float, *negatives: float) -> float:
        return max(0.0, 0.5 - own + math.log(sum(map(math.exp, negatives))))

    expected = [
        hinge(0.9, 0.1, 0.2) + hinge(0.9, 0.3, 0.0),
        hinge(0.8, 0.3, -0.4) + hinge(0.8, 0.1, 0.5),
        hinge(0.7, 0.0, 0.5) + hinge(0.7, 0.2, -0.4),
    ]
    given_numbers = {"margin": 0.5, "temperature": 1.0}
    assert tal_per_pair(cosine, OWN, **given_numbers).tolist() == pytest.approx(expected, abs=1e-6)
    assert tal(cosine, OWN, **given_numbers).item() == pytest.approx(sum(expected) / 3, abs=1e-6)
    weighted = tal(cosine, OWN, weights_N=torch.tensor([0.0, 1.0, 0.5]), **given_numbers)
    assert weighted.item() == pytest.approx((expected[1] + expected[2] / 2) / 3, abs=1e-6)


def test_positives_of_one_person_are_weighted_by_their_own_softmax() -> None:
    """Pairs 0 and 1 show one person: cosines 1 and 0 at τ = 1 weigh e and 1."""
    cosine = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    positive = math.e / (math.e + 1)
    losses = tal_per_pair(cosine, torch.tensor([5, 5, 8]), margin=2.0, temperature=1.0)
    shared, alone = 2 * (2.0 - positive + 0.0), 2 * (2.0 - 1.0 + math.log(2))
    assert losses.tolist() == pytest.approx([shared, shared, alone], abs=1e-6)


def test_weights_of_positives_carry_no_gradient() -> None:
    cosine = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).requires_grad_()
    tal(cosine, torch.tensor([5, 5, 8]), margin=2.0, temperature=1.0).backward()
    share = math.e / (math.e + 1)
    assert cosine.grad is not None
    # Row and column of pair 0 both pull its own cosine and that to pair 1; each of three pairs weighs ⅓.
    assert cosine.grad[0].tolist() == pytest.approx([-2 * share / 3, -2 * (1 - share) / 3, (1 + 0.5) / 3], abs=1e-6)


def test_perfect_pairs_cost_nothing_and_move_nothing() -> None:
    cosine = torch.eye(4).requires_grad_()
    loss = tal(cosine, torch.arange(4))
    loss.backward()
    assert loss.item() == 0
    assert cosine.grad is not None
    assert not cosine.grad.any()


def test_one_person_alone_has_no_negative_and_costs_nothing() -> None:
    cosine = torch.rand(3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = tal(cosine, torch.zeros(3, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0
    assert cosine.grad is not None
    assert not cosine.grad.any()


def triplet_ranking(cosine: torch.Tensor, ids: torch.Tensor, margin: float) -> list[float]:
    """Hinge of each pair's best positive and hardest negative, in both directions."""
    losses = []
    for at, own in enumerate(ids.tolist()):
        total = 0.0
        for line in (cosine[at].tolist(), cosine[:, at].tolist()):
            best = max(value for value, other in zip(line, ids.tolist(), strict=True) if other == own)
            hardest = max([value for value, other in zip(line, ids.tolist(), strict=True) if other != own], default=-9)
            total += max(0.0, margin - best + hardest)
        losses.append(total)
    return losses


@given(st.integers(0, 1000), st.integers(2, 7))
def test_bounds_triplet_ranking_and_falls_to_it_as_the_temperature_goes_to_zero(seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    cosine = torch.rand(size, size, generator=generator) * 2 - 1
    ids = torch.randint(3, (size,), generator=generator)
    ranking = triplet_ranking(cosine, ids, 0.1)
    relaxed = tal_per_pair(cosine, ids).tolist()
    assert all(ours >= bound - 1e-6 for ours, bound in zip(relaxed, ranking, strict=True))
    assert tal_per_pair(cosine, ids, temperature=1e-5).tolist() == pytest.approx(ranking, abs=1e-3)
