"""The promoter indexes when the champion or the gallery has changed, once, and goes on after failures."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.installation.promoter import HEARTBEAT, LONGEST_RETRY_SECONDS, POLL_SECONDS, Promoter, read_heartbeat


class World:
    """A registry, a gallery and a store that a test changes by hand."""

    def __init__(self) -> None:
        self.alias: str | None = None
        self.sequence = 0
        self.now = 1000.0
        self.broken: set[str] = set()
        self.unreachable = False
        self.indexed: list[str] = []
        self.live: str | None = None

    def champion(self) -> str | None:
        if self.unreachable:
            raise UserError("MLflow cannot be reached")
        return self.alias

    def last_sequence(self) -> int:
        return self.sequence

    def live_collection(self) -> str | None:
        return self.live

    def index(self, version: str, beat: Callable[[], None]) -> str:
        beat()
        if version in self.broken:
            raise UserError(f"version {version}: embeddings are all alike")
        self.indexed.append(version)
        self.live = f"persons_v{version}"
        return self.live


@pytest.fixture
def world() -> World:
    return World()


def promoter(world: World, home: Path) -> Promoter:
    return Promoter(home, world, clock=lambda: world.now)


def test_it_waits_for_a_champion_and_for_crops(world: World, tmp_path: Path) -> None:
    one = promoter(world, tmp_path)
    assert one.look() == "no champion yet"
    world.alias = "1"
    assert "gallery is empty" in one.look()
    world.sequence = 5
    assert one.look() == "version 1 is live"
    assert world.indexed == ["1"]


def test_it_follows_the_alias_there_and_back_and_the_gallery(world: World, tmp_path: Path) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter(world, tmp_path)
    for version in ("1", "1", "2", "1"):
        world.alias = version
        one.look()
    world.sequence = 6
    one.look()
    one.look()
    assert world.indexed == ["1", "2", "1", "1"]


def test_a_new_process_knows_what_was_done(world: World, tmp_path: Path) -> None:
    world.alias, world.sequence = "1", 5
    promoter(world, tmp_path).look()
    promoter(world, tmp_path).look()
    assert world.indexed == ["1"]
    (tmp_path / HEARTBEAT).write_text("{torn")
    promoter(world, tmp_path).look()
    assert world.indexed == ["1", "1"]


def test_a_failing_version_is_said_and_tried_again_later(world: World, tmp_path: Path) -> None:
    world.alias, world.sequence, world.broken = "1", 5, {"1"}
    one = promoter(world, tmp_path)
    assert "all alike" in one.look()
    assert read_heartbeat(tmp_path).failed
    assert one.look() == "version 1: embeddings are all alike; it will be tried again"
    assert read_heartbeat(tmp_path).failed
    world.broken.clear()
    world.now += LONGEST_RETRY_SECONDS
    assert one.look() == "version 1 is live"
    assert read_heartbeat(tmp_path).state == "version 1 is live"
    assert not read_heartbeat(tmp_path).failed


def test_another_version_need_not_wait_for_a_failed_one(world: World, tmp_path: Path) -> None:
    world.alias, world.sequence, world.broken = "1", 5, {"1"}
    one = promoter(world, tmp_path)
    one.look()
    world.alias = "2"
    one.look()
    assert world.indexed == ["2"]


def test_a_registry_out_of_reach_is_survived(world: World, tmp_path: Path) -> None:
    world.unreachable = True
    one = promoter(world, tmp_path)
    assert "cannot be reached" in one.look()
    world.unreachable, world.alias, world.sequence = False, "1", 1
    assert one.look() == "version 1 is live"


def test_an_index_that_was_lost_is_made_again(world: World, tmp_path: Path) -> None:
    """The store is asked, not our own note: after a lost database that note says that everything is live."""
    world.alias, world.sequence = "1", 5
    promoter(world, tmp_path).look()
    world.live = None
    assert promoter(world, tmp_path).look() == "version 1 is live"
    assert world.indexed == ["1", "1"]


def test_another_collection_that_went_live_is_replaced(world: World, tmp_path: Path) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter(world, tmp_path)
    one.look()
    world.live = "persons_v7"
    one.look()
    one.look()
    assert world.indexed == ["1", "1"]


def test_a_passing_fault_costs_seconds_and_a_lasting_one_is_tried_ever_more_rarely(
    world: World, tmp_path: Path
) -> None:
    world.alias, world.sequence, world.broken = "1", 5, {"1"}
    one = promoter(world, tmp_path)
    tried_at = []
    for _ in range(190):
        if one.look() == "version 1: embeddings are all alike":
            tried_at.append(world.now)
        world.now += POLL_SECONDS
    waits = [later - earlier for earlier, later in pairwise(tried_at)]
    assert waits == [2, 4, 8, 16, 32, 64, 120, 120]
    world.broken.clear()
    world.now += LONGEST_RETRY_SECONDS
    assert one.look() == "version 1 is live"
    world.broken, world.sequence = {"1"}, 6
    assert "all alike" in one.look()
    world.broken.clear()
    world.now += POLL_SECONDS
    assert one.look() == "version 1 is live"
