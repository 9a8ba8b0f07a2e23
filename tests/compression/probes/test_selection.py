"""The selection of layers: the published one from the published values, and any other against all subsets."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.compression.probes.figures import select_layers

CONTRIBUTION = [1.00, 0.23, 0.19, 0.22, 0.21, 0.22, 0.16, 0.15, 0.29, 0.35, 1.00, 1.00]
CRITICALITY = [0.92, 0.75, 0.64, 0.72, 0.67, 0.70, 0.53, 0.59, 0.77, 0.77, 0.90, 0.90]


@pytest.mark.parametrize("layers", [(), (7,), (7, 8), (3, 7, 8), (3, 5, 7, 8), (3, 5, 6, 7, 8)])
def test_the_published_values_give_the_published_layers(layers: tuple[int, ...]) -> None:
    assert select_layers(CONTRIBUTION, CRITICALITY, len(layers)) == layers


@given(st.lists(st.tuples(st.integers(-3, 9), st.integers(0, 9)), min_size=1, max_size=7), st.data())
def test_no_subset_is_better_and_none_that_is_as_good_comes_before(
    figures: list[tuple[int, int]], data: st.DataObject
) -> None:
    """`combinations` lists subsets in the order of their layers, and `min` takes the first of equals."""
    count = data.draw(st.integers(0, len(figures)))
    contribution, criticality = [a / 10 for a, _ in figures], [b / 10 for _, b in figures]
    subsets = combinations(range(1, len(figures) + 1), count)
    best = min(subsets, key=lambda subset: sum(sum(figures[layer - 1]) for layer in subset))
    assert select_layers(contribution, criticality, count) == best


def test_of_equal_layers_the_lower_is_taken() -> None:
    assert select_layers([0.1, 0.3, 0.2], [0.3, 0.1, 0.2], 2) == (1, 2)


@pytest.mark.parametrize(("criticality", "count"), [([0.1], 1), ([0.1, 0.2], 3), ([0.1, 0.2], -1)])
def test_what_cannot_be_selected_is_refused(criticality: list[float], count: int) -> None:
    with pytest.raises(ValueError, match="of layers with 2 contributions"):
        select_layers([0.1, 0.2], criticality, count)
