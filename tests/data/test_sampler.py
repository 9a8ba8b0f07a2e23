"""Epochs and shards that follow from numbers alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.data.records import ImageRecord
from personsearch.data.sampler import Pairs, Sampler, shard


def test_pairs_are_every_caption_of_every_image() -> None:
    records = [
        ImageRecord(str(index), "x", index, "train", ["c"] * count, "s") for index, count in enumerate([2, 0, 3])
    ]
    pairs = Pairs.of(records)
    assert pairs.image_P.tolist() == [0, 0, 2, 2, 2]
    assert pairs.caption_P.tolist() == [0, 1, 0, 1, 2]
    assert len(Pairs.of([])) == 0


@given(st.integers(1, 200), st.integers(1, 4), st.integers(1, 8), st.integers(0, 5))
def test_an_epoch_shows_each_pair_at_most_once_on_one_rank(pairs: int, ranks: int, size: int, epoch: int) -> None:
    sampler = Sampler(pairs, ranks * size, seed=3)
    order = sampler.order(epoch)
    batches = [sampler.batch(order, step) for step in range(sampler.steps_per_epoch)]
    for batch in batches:
        assert np.array_equal(np.concatenate([shard(batch, rank, ranks) for rank in range(ranks)]), batch)
    seen = np.concatenate([np.empty(0, np.int64), *batches])
    assert len(set(seen.tolist())) == len(seen) == pairs // (ranks * size) * ranks * size
    assert np.array_equal(order, Sampler(pairs, ranks * size, seed=3).order(epoch))


def test_epochs_and_seeds_differ() -> None:
    orders = [Sampler(50, 5, seed).order(epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    with pytest.raises(ValueError, match="batch of 5 for 2 processes"):
        shard(np.arange(5), 0, 2)
