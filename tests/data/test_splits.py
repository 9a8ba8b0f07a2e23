"""The choice of identities does not depend on their order."""

from hypothesis import given
from hypothesis import strategies as st

from personsearch.data.splits import assign_splits, hold_out, rank_identities

IDENTITIES = st.lists(st.integers(0, 10**6), unique=True, max_size=60)


@given(IDENTITIES, st.randoms(use_true_random=False))
def test_order_does_not_matter(identities: list[int], random: object) -> None:
    shuffled = list(identities)
    random.shuffle(shuffled)
    assert rank_identities(shuffled) == rank_identities(identities)
    assert assign_splits(shuffled) == assign_splits(identities)


@given(IDENTITIES)
def test_splits_are_80_10_10(identities: list[int]) -> None:
    splits = list(assign_splits(identities).values())
    assert len(splits) == len(identities)
    if len(identities) >= 3:
        assert splits.count("val") == splits.count("test") == max(1, round(len(identities) / 10))


def test_hold_out_rounds_and_takes_one_at_least() -> None:
    assert len(hold_out(range(100), 0.1)) == 10
    assert len(hold_out(range(3), 0.01)) == 1
    assert hold_out(range(100), 0) == frozenset()
    assert hold_out([], 0.5) == frozenset()
