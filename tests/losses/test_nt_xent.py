"""NT-Xent against numbers worked out by hand and a slow oracle."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personsearch.losses.nt_xent import nt_xent


def test_three_items_on_their_own_axes_by_hand() -> None:
    """Each view has cosine 1 to its other view and 0 to the four views of others."""
    views = torch.eye(3)
    expected = -math.log(math.e / (math.e + 4))
    assert nt_xent(views, views, temperature=1).item() == pytest.approx(expected, abs=1e-6)
    assert nt_xent(views, views).item() == pytest.approx(math.log1p(4 * math.exp(-10)), abs=1e-6)


def test_views_that_say_nothing_cost_the_logarithm_of_the_choices() -> None:
    same = torch.ones(3, 4)
    assert nt_xent(same, same).item() == pytest.approx(math.log(5), abs=1e-6)


def test_a_single_item_has_nothing_to_tell_apart() -> None:
    assert nt_xent(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 1.0]])).item() == 0


def test_length_of_a_projection_does_not_matter() -> None:
    first, second = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(nt_xent(first, second), nt_xent(5 * first, second / 7))


def slow_nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> float:
    views = [view / view.norm() for view in (*first, *second)]
    total = 0.0
    for place, view in enumerate(views):
        others = [math.exp(float(view @ other) / temperature) for at, other in enumerate(views) if at != place]
        own = math.exp(float(view @ views[(place + len(first)) % len(views)]) / temperature)
        total -= math.log(own / sum(others))
    return total / len(views)


@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from([0.1, 0.5]))
def test_equals_a_slow_oracle_and_views_are_alike(seed: int, size: int, temperature: float) -> None:
    first, second = torch.randn(2, size, 6, generator=torch.Generator().manual_seed(seed))
    loss = nt_xent(first, second, temperature=temperature)
    assert loss.item() == pytest.approx(slow_nt_xent(first, second, temperature), abs=1e-4)
    assert torch.allclose(loss, nt_xent(second, first, temperature=temperature), atol=1e-5)
