"""Epochs and shards that follow from numbers alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.data.records import ImageRecord
from personsearch.data.sampler import Groups, Pairs, Sampler, shard
from personsearch.errors import UserError


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


def people_in_groups(groups: int, twins: int, images: int) -> list[ImageRecord]:
    return [
        ImageRecord(
            f"{group}-{twin}-{image}",
            "x",
            group * twins + twin,
            "train",
            ["c", "d"],
            "s",
            attributes=f'{{"group": {group}}}',
        )
        for group in range(groups)
        for twin in range(twins)
        for image in range(images)
    ]


def test_near_twins_meet_in_a_batch_and_no_pair_is_lost() -> None:
    records = people_in_groups(groups=10, twins=4, images=3)
    pairs, groups = Pairs.of(records), Groups.of(records)
    assert groups is not None
    sampler = Sampler(len(pairs), 16, 0, groups.of_pairs(pairs))
    order = sampler.order(0)
    assert sorted(order.tolist()) == list(range(240))
    for start in range(0, 240, 4):
        people = {records[image].person_id for image in pairs.image_P[order[start : start + 4]]}
        assert len(people) == 4
        assert len({person // 4 for person in people}) == 1
    assert sampler.order(0).tolist() == order.tolist() != sampler.order(1).tolist()
    neighbours = [int(pairs.image_P[order[start]]) // 12 for start in range(0, 240, 4)]
    assert len(set(neighbours[:4])) > 1, "blocks of one group are spread over the epoch"


def test_strangers_are_drawn_as_without_groups() -> None:
    assert Groups.of(people_in_groups(groups=6, twins=1, images=2)) is None
    assert Groups.of([ImageRecord(str(n), "x", n, "train", ["c"], "s") for n in range(4)]) is None


def people_of(*groups: str) -> list[ImageRecord]:
    return [
        ImageRecord(str(n), "x.png", n, "train", ["c"], "s", attributes=f'{{"group": {group}}}')
        for n, group in enumerate(groups)
    ]


@pytest.mark.parametrize("group", ["7", str(10**30), '"g1"', '"1"', "1.5", "-3"])
def test_a_group_is_any_number_or_text(group: str) -> None:
    groups = Groups.of(people_of(group, "1000", group, '"g2"', "null", '""'))
    assert groups is not None
    first, other, same, *rest = groups.group_G.tolist()
    assert first == same
    assert len({first, other, *rest}) == 5


def test_numbers_keep_the_batches_that_they_made() -> None:
    groups = Groups.of(people_of("12", "3", "12.0", '"12"'))
    assert groups is not None
    assert groups.group_G.tolist() == [12, 3, 12, 12]


@pytest.mark.parametrize("group", ["true", "[1]", '{"a": 1}'])
def test_a_group_that_is_neither_is_refused(group: str) -> None:
    with pytest.raises(UserError, match=r"x.png: attribute group is .*; expected a number or a text"):
        Groups.of(people_of("1", group))


def test_a_person_without_a_group_is_nobodys_twin() -> None:
    first, second = (ImageRecord(str(n), "x", n, "train", ["c"], "s", attributes='{"group": 7}') for n in (1, 2))
    stranger = ImageRecord("3", "x", 7, "train", ["c"], "s")
    groups = Groups.of([first, second, stranger])
    assert groups is not None
    assert groups.group_G[0] == groups.group_G[1] != groups.group_G[2]
