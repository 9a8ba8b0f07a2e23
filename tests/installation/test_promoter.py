"""The promoter indexes when the champion or the gallery has changed, once, and goes on after failures."""

from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.installation.promoter import HEARTBEAT, RETRY_SECONDS, Promoter, read_heartbeat


class World:
    """A registry, a gallery and an index that a test changes by hand."""

    def __init__(self) -> None:
        self.champion: str | None = None
        self.sequence = 0
        self.now = 1000.0
        self.broken: set[str] = set()
        self.unreachable = False
        self.indexed: list[str] = []

    def alias_version(self, alias: str) -> str | None:
        if self.unreachable:
            raise UserError("MLflow cannot be reached")
        return self.champion if alias == "champion" else None

    def index(self, version: str) -> None:
        if version in self.broken:
            raise UserError(f"version {version}: embeddings are all alike")
        self.indexed.append(version)


@pytest.fixture
def world() -> World:
    return World()


def promoter(world: World, home: Path) -> Promoter:
    return Promoter(home, world, last_sequence=lambda: world.sequence, index=world.index, clock=lambda: world.now)


def test_it_waits_for_a_champion_and_for_crops(world: World, tmp_path: Path) -> None:
    one = promoter(world, tmp_path)
    assert one.look() == "no champion yet"
    world.champion = "1"
    assert "gallery is empty" in one.look()
    world.sequence = 5
    assert one.look() == "version 1 is live"
    assert world.indexed == ["1"]


def test_it_follows_the_alias_there_and_back_and_the_gallery(world: World, tmp_path: Path) -> None:
    world.champion, world.sequence = "1", 5
    one = promoter(world, tmp_path)
    for version in ("1", "1", "2", "1"):
        world.champion = version
        one.look()
    world.sequence = 6
    one.look()
    one.look()
    assert world.indexed == ["1", "2", "1", "1"]


def test_a_new_process_knows_what_was_done(world: World, tmp_path: Path) -> None:
    world.champion, world.sequence = "1", 5
    promoter(world, tmp_path).look()
    promoter(world, tmp_path).look()
    assert world.indexed == ["1"]
    (tmp_path / HEARTBEAT).write_text("{torn")
    promoter(world, tmp_path).look()
    assert world.indexed == ["1", "1"]


def test_a_failing_version_is_said_and_tried_again_later(world: World, tmp_path: Path) -> None:
    world.champion, world.sequence, world.broken = "1", 5, {"1"}
    one = promoter(world, tmp_path)
    assert "all alike" in one.look()
    assert "will be tried again" in one.look()
    world.broken.clear()
    world.now += RETRY_SECONDS
    assert one.look() == "version 1 is live"
    assert read_heartbeat(tmp_path).state == "version 1 is live"


def test_another_version_need_not_wait_for_a_failed_one(world: World, tmp_path: Path) -> None:
    world.champion, world.sequence, world.broken = "1", 5, {"1"}
    one = promoter(world, tmp_path)
    one.look()
    world.champion = "2"
    one.look()
    assert world.indexed == ["2"]


def test_a_registry_out_of_reach_is_survived(world: World, tmp_path: Path) -> None:
    world.unreachable = True
    one = promoter(world, tmp_path)
    assert "cannot be reached" in one.look()
    world.unreachable, world.champion, world.sequence = False, "1", 1
    assert one.look() == "version 1 is live"
