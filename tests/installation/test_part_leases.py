"""Parts of the gallery are shared fairly by those who follow, on each engine, and a dead one's are taken over."""

import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from personsearch.errors import LeaseLost
from personsearch.installation.part_leases import MEMBER, PartLeases
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.parts import DatabaseParts, Reached
from personsearch.integrations.database.schema import open_database


@pytest.fixture
def database(database_address: str) -> Iterator[Database]:
    opened = open_database(database_address)
    yield opened
    opened.close()


@pytest.fixture
def followers(database: Database) -> Iterator[Callable[..., PartLeases]]:
    """Makes followers of one database, each as if in a process of its own; they end by `close`, or all at the end."""
    made = []

    def make(holder: str, parts: int = 4, *, seconds: float = 600.0) -> PartLeases:
        made.append(PartLeases(DatabaseLeases(database), parts, holder=holder, seconds=seconds, silence=600))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_each_takes_its_fair_share_and_no_part_has_two(followers: Callable[..., PartLeases]) -> None:
    one = followers("a")
    assert sorted(one.take()) == [0, 1, 2, 3]
    two, three = followers("b"), followers("c")
    assert (sorted(two.take()), sorted(three.take())) == ([], [])  # one has not given any away yet
    assert sorted(one.take()) == [0, 1]
    assert (sorted(two.take()), sorted(three.take())) == ([2], [3])
    three.close()
    assert (sorted(one.take()), sorted(two.take())) == ([0, 1], [2, 3])
    one.close()
    assert sorted(two.take()) == [0, 1, 2, 3]


def test_more_followers_than_parts(followers: Callable[..., PartLeases]) -> None:
    three = [followers(name, 2) for name in "abc"]
    for each in three * 2:
        each.take()
    assert [sorted(each.take()) for each in three] == [[0], [1], []]


def test_the_parts_of_a_dead_one_are_taken_over_within_seconds(
    followers: Callable[..., PartLeases], database: Database
) -> None:
    dead = followers("dead", seconds=2.0)
    held = dead.take()
    dead._renewal.stop()  # as with its process
    survivor, start = followers("survivor", seconds=2.0), time.monotonic()
    while len(taken := survivor.take()) < 4:
        assert time.monotonic() - start < 30
        time.sleep(0.1)
    assert {lease.token for lease in taken.values()} == {2}
    with pytest.raises(LeaseLost, match="survivor has taken over"):
        DatabaseLeases(database).check(held[1])
    with pytest.raises(LeaseLost):
        DatabaseParts(database).advance(held[1], 1, 4, "persons_v1_1", sequence=7, encoded=1, removed=0)


def test_all_parts_are_as_far_as_the_last_of_them(followers: Callable[..., PartLeases], database: Database) -> None:
    progress, held = DatabaseParts(database), followers("a", 2).take()
    assert progress.reached(2, "persons_v1_1") is None
    progress.advance(held[0], 0, 2, "persons_v1_1", sequence=9, encoded=4, removed=1)
    assert progress.reached(2, "persons_v1_1") is None
    progress.advance(held[1], 1, 2, "persons_v1_1", sequence=5, encoded=2, removed=0)
    assert progress.reached(2, "persons_v1_1") == Reached(5, 6, 1)
    progress.advance(held[1], 1, 2, "persons_v1_1", sequence=9, encoded=3, removed=2)
    assert progress.reached(2, "persons_v1_1") == Reached(9, 9, 3)
    progress.advance(held[1], 1, 2, "persons_v2_2", sequence=9, encoded=0, removed=0)
    assert progress.reached(2, "persons_v1_1") is None


def test_names_of_those_who_ended_long_ago_are_forgotten(database: Database) -> None:
    hours = [1_000_000]

    def clock(_: sa.Connection) -> int:
        return hours[0]

    leases = DatabaseLeases(database, clock=clock)
    leases.acquire(f"{MEMBER}old", "old", 10)
    leases.acquire("promoter", "old", 10)
    assert leases.holders(MEMBER) == {f"{MEMBER}old": "old"}
    hours[0] += 20_000
    assert leases.holders(MEMBER) == {}
    leases.forget_ended(MEMBER)
    assert leases.acquire(f"{MEMBER}old", "old", 10).token == 2  # type: ignore[union-attr]
    hours[0] += 4_000_000
    leases.forget_ended(MEMBER)
    assert leases.acquire(f"{MEMBER}old", "old", 10).token == 1  # type: ignore[union-attr]
    assert leases.acquire("promoter", "new", 10).token == 2  # type: ignore[union-attr]
