"""Few-shot shares: whole identities, nested, by the seed alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.data.records import ImageRecord
from personsearch.data.sampler import few_shot_rows


def records(identities: int, views: int = 3) -> list[ImageRecord]:
    return [
        ImageRecord(f"{person}-{view}", f"{person}-{view}.png", person, "train", ["a coat", "a hat"], "tiny")
        for view in range(views)
        for person in range(identities)
    ]


def few_shot(everything: list[ImageRecord], fraction: float, seed: int) -> list[ImageRecord]:
    return [everything[row] for row in few_shot_rows(everything, fraction, seed)]


def persons(chosen: list[ImageRecord]) -> set[int]:
    return {record.person_id for record in chosen}


@pytest.mark.parametrize(("fraction", "identities"), [(0.01, 2), (0.05, 10), (0.1, 20), (1.0, 200), (0.001, 1)])
def test_the_share_is_of_identities_with_all_their_images(fraction: float, identities: int) -> None:
    chosen = few_shot(records(200), fraction, seed=0)
    assert len(persons(chosen)) == identities
    assert len(chosen) == 3 * identities


@given(
    identities=st.integers(1, 60),
    fractions=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted),
    seed=st.integers(0, 1000),
)
def test_smaller_shares_lie_within_larger_ones(identities: int, fractions: list[float], seed: int) -> None:
    everything = records(identities)
    small, large = (few_shot(everything, fraction, seed) for fraction in fractions)
    assert persons(small) <= persons(large)
    assert small == [record for record in everything if record.person_id in persons(small)]
    assert few_shot(list(reversed(everything)), fractions[0], seed) == list(reversed(small))


def test_another_seed_draws_other_identities() -> None:
    assert persons(few_shot(records(200), 0.1, seed=0)) != persons(few_shot(records(200), 0.1, seed=1))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        few_shot_rows(records(3), fraction, seed=0)
