"""The promoter indexes when the champion moves, follows the gallery, and continues after failures, if it leads."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from personsearch.errors import UserError
from personsearch.installation import promoter_memory
from personsearch.installation.index_worker import Outcome
from personsearch.installation.leadership import Leadership
from personsearch.installation.part_leases import PART, PartLeases
from personsearch.installation.promoter import (
    BEAT_SECONDS,
    LEASE,
    LONGEST_OUTAGE_SECONDS,
    LONGEST_RETRY_SECONDS,
    QUIET_SECONDS,
    RETRY_SECONDS,
    Promoter,
    SharedParts,
)
from personsearch.installation.promoter_memory import open_memory, read_memory
from personsearch.installation.settings import Settings
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import DatabaseLeases, Lease
from personsearch.integrations.database.parts import DatabaseParts
from personsearch.integrations.database.promotions import DatabasePromotions, Heartbeat, Promotion
from personsearch.integrations.database.schema import open_database


class World:
    """A registry, a gallery and a store that a test changes by hand."""

    def __init__(self) -> None:
        self.alias: str | None = None
        self.sequence = 0
        self.noticed = 0
        self.now = 1000.0
        self.broken: set[str] = set()
        self.unreachable = False
        self.indexed: list[str] = []
        self.followed: list[int] = []
        self.purged = 0
        self.parts: list[list[int]] = []
        self.live: str | None = None
        self.stopped = 0
        self.erases = 0
        self.afresh = 0
        self.away = False
        self.meanwhile: Callable[[], None] = lambda: None

    def champion(self) -> str | None:
        if self.unreachable:
            raise UserError("MLflow cannot be reached")
        return self.alias

    def notices(self) -> int:
        return self.noticed

    def last_sequence(self) -> int:
        return self.sequence

    def live_collection(self) -> str | None:
        if self.away:
            raise UserError("Milvus cannot be reached")
        return self.live

    def index(self, version: str, lease: Lease, beat: Callable[[], None], *, afresh: bool = False) -> Outcome:
        self.afresh += afresh
        self.meanwhile()
        beat()
        if version in self.broken:
            raise UserError(f"version {version}: embeddings are all alike")
        collection = f"persons_v{version}"
        if self.live == collection:
            self.followed.append(self.sequence)
            return Outcome(collection, self.sequence, 1, self.erases, followed=True)
        self.indexed.append(version)
        self.live = collection
        return Outcome(collection, self.sequence, 10)

    def follow(self, leases: dict[int, Lease], of: int, beat: Callable[[], None]) -> Outcome:
        self.parts.append(sorted(leases))
        return Outcome(str(self.live), self.sequence, followed=True)

    def purge(self, lease: Lease, beat: Callable[[], None]) -> Outcome:
        self.purged += 1
        self.live = f"{self.live}_purged"
        return Outcome(self.live)

    def stand_by(self) -> None:
        self.stopped += 1

    def close(self) -> None: ...


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'gallery.db'}")
    yield opened
    opened.close()


@pytest.fixture
def promoter(world: World, database: Database) -> Iterator[Callable[..., Promoter]]:
    """Makes promoters of the same world and database, each as if in a process of its own."""
    made = []

    def make(holder: str = "one", *, seconds: float = 600.0, parts: int = 1) -> Promoter:
        leases, times = DatabaseLeases(database), {"holder": holder, "seconds": seconds, "silence": 600}
        shared = SharedParts(PartLeases(leases, parts, **times), DatabaseParts(database)) if parts > 1 else None
        leadership = Leadership(leases, LEASE, **times)
        promoter = Promoter(world, remembered(world, database), leadership, clock=lambda: world.now, parts=shared)
        made.append(promoter)
        return promoter

    yield make
    for promoter in made:
        promoter.close()


def remembered(world: World, database: Database) -> DatabasePromotions:
    def clock(_: sa.Connection) -> int:
        return round(world.now * 1000)

    return DatabasePromotions(database, clock=clock)


def heartbeat(world: World, database: Database) -> Heartbeat:
    return remembered(world, database).heartbeats()[0]


def test_it_waits_for_a_champion_and_for_crops(world: World, promoter: Callable[..., Promoter]) -> None:
    one = promoter()
    assert one.look() == "no champion yet"
    world.alias = "1"
    assert "gallery is empty" in one.look()
    world.sequence = 5
    assert one.look() == "version 1 is live"
    assert world.indexed == ["1"]


def test_the_gallery_is_followed_while_the_registry_is_away(world: World, promoter: Callable[..., Promoter]) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter()
    one.look()
    world.unreachable, world.sequence = True, 6
    assert one.look() == "MLflow cannot be reached"
    assert one.look() == "MLflow cannot be reached"
    assert (world.indexed, world.followed) == (["1"], [6])
    world.unreachable, world.alias = False, "2"
    one.look()
    assert world.indexed == ["1", "2"]


def test_a_version_that_was_overtaken_during_its_build_need_not_wait(
    world: World, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter()

    def overtake() -> None:
        world.alias = "2"
        raise UserError("version 1 does not go live: version 2 has become the champion")

    world.meanwhile = overtake
    assert "version 2 has become the champion" in one.look()
    world.meanwhile, world.alias = lambda: None, "1"
    assert one.look() == "version 1 is live"


def test_a_live_collection_is_followed_soon_after_an_outage(world: World, promoter: Callable[..., Promoter]) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter()
    one.look()
    world.broken, world.sequence = {"1"}, 6
    for _ in range(6):
        assert "embeddings are all alike" in one.look()
        world.now += LONGEST_OUTAGE_SECONDS
    world.broken = set()
    assert one.look() == "version 1 is live"
    assert world.followed == [6]


def test_it_follows_the_alias_there_and_back_and_the_gallery(world: World, promoter: Callable[..., Promoter]) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter()
    for version in ("1", "1", "2", "1"):
        world.alias = version
        one.look()
    assert (world.indexed, world.followed) == (["1", "2", "1"], [])
    world.sequence = 6
    one.look()
    one.look()
    one.keep_up()
    assert (world.indexed, world.followed) == (["1", "2", "1"], [6])
    world.sequence = 7
    one.keep_up()
    assert world.followed == [6, 7]


def test_a_webhook_lets_the_leader_look_at_once(world: World, promoter: Callable[..., Promoter]) -> None:
    leader, standby = promoter("one"), promoter("two")
    world.alias, world.sequence = "1", 5
    leader.look()
    standby.look()
    world.alias = "2"
    leader.keep_up()
    assert world.indexed == ["1"]  # nobody has said anything
    world.noticed += 1
    standby.keep_up()
    assert world.indexed == ["1"]
    leader.keep_up()
    leader.keep_up()
    assert world.indexed == ["1", "2"]


def test_the_next_leader_knows_what_was_done(world: World, promoter: Callable[..., Promoter]) -> None:
    world.alias, world.sequence = "1", 5
    first = promoter()
    first.look()
    first.close()
    second = promoter("two")
    assert second.look() == "version 1 is live"
    world.sequence = 6
    second.look()
    assert (world.indexed, world.followed) == (["1"], [6])


def test_a_failing_version_is_said_and_tried_again_later(
    world: World, database: Database, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence, world.broken = "1", 5, {"1"}
    one = promoter()
    assert "all alike" in one.look()
    assert heartbeat(world, database).failed
    assert one.look() == "version 1: embeddings are all alike; it will be tried again"
    assert heartbeat(world, database).failed
    one.close()
    two = promoter("two")
    assert two.look() == "version 1: embeddings are all alike; it will be tried again"
    world.broken.clear()
    world.now += LONGEST_RETRY_SECONDS
    assert two.look() == "version 1 is live"
    assert heartbeat(world, database).state == "version 1 is live"
    assert not heartbeat(world, database).failed


def test_another_version_need_not_wait_for_a_failed_one(world: World, promoter: Callable[..., Promoter]) -> None:
    world.alias, world.sequence, world.broken = "1", 5, {"1"}
    one = promoter()
    one.look()
    world.alias = "2"
    one.look()
    assert world.indexed == ["2"]


def test_what_is_live_follows_the_gallery_though_the_champion_cannot_go_live(
    world: World, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence, world.broken = "1", 5, {"2"}
    one = promoter()
    one.look()
    world.alias, world.sequence = "2", 6
    assert "all alike" in one.look()
    assert "will be tried again" in one.look()
    assert world.followed == [6]
    world.sequence = 7
    one.keep_up()
    assert (world.live, world.followed) == ("persons_v1", [6, 7])
    world.alias, world.sequence = None, 8
    assert one.look() == "no champion yet"
    assert world.followed == [6, 7, 8]
    assert world.indexed == ["1"]


def test_a_changed_gallery_asks_nothing_of_the_registry(world: World, promoter: Callable[..., Promoter]) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter()
    one.look()
    world.unreachable, world.sequence = True, 6
    one.keep_up()
    assert (world.followed, one.failures) == ([6], 0)


def test_a_registry_out_of_reach_is_survived(world: World, promoter: Callable[..., Promoter]) -> None:
    world.unreachable = True
    one = promoter()
    assert "cannot be reached" in one.look()
    world.unreachable, world.alias, world.sequence = False, "1", 1
    assert one.look() == "version 1 is live"


def test_everything_is_compared_after_the_store_was_away(world: World, promoter: Callable[..., Promoter]) -> None:
    """Though nothing has changed: Milvus Lite's server may have lost rows that it had taken when it was killed."""
    world.alias, world.sequence = "1", 5
    one = promoter()
    one.look()
    world.away = True
    assert "cannot be reached" in one.look()
    world.away = False
    assert one.look() == "version 1 is live"
    assert (world.followed, world.afresh) == ([5], 1)
    one.look()
    world.sequence = 6
    one.keep_up()
    assert (world.followed, world.afresh) == ([5, 6], 1)


def test_an_index_that_was_lost_is_made_again(world: World, promoter: Callable[..., Promoter]) -> None:
    """The store is asked, not our own note: after a lost store that note says that everything is live."""
    world.alias, world.sequence = "1", 5
    one = promoter()
    one.look()
    world.live = None
    assert one.look() == "version 1 is live"
    assert world.indexed == ["1", "1"]


def test_another_collection_that_went_live_is_replaced(world: World, promoter: Callable[..., Promoter]) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter()
    one.look()
    world.live = "persons_v7"
    one.look()
    one.look()
    assert world.indexed == ["1", "1"]


def test_a_passing_fault_costs_seconds_and_a_lasting_one_is_tried_ever_more_rarely(
    world: World, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence, world.broken = "1", 5, {"1"}
    one = promoter()
    tried_at = []
    for _ in range(190):
        if one.look() == "version 1: embeddings are all alike":
            tried_at.append(world.now)
        world.now += RETRY_SECONDS
    waits = [later - earlier for earlier, later in pairwise(tried_at)]
    assert waits == [2, 4, 8, 16, 32, 64, 120, 120]
    world.broken.clear()
    world.now += LONGEST_RETRY_SECONDS
    assert one.look() == "version 1 is live"
    world.broken, world.sequence = {"1"}, 6
    assert "all alike" in one.look()
    world.broken.clear()
    world.now += RETRY_SECONDS
    assert one.look() == "version 1 is live"


def test_a_gallery_that_changes_all_the_time_gives_a_broken_version_no_rest_less(
    world: World, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence, world.broken = "1", 5, {"1"}
    one, tries = promoter(), 0
    for _ in range(20):
        tries += one.look() == "version 1: embeddings are all alike"
        world.now += 1
        world.sequence += 1
    assert tries == 4  # after 0, 2, 6 and 14 seconds


def test_one_leads_and_the_others_stand_by_without_a_model(
    world: World, database: Database, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence = "1", 5
    one, two = promoter("one"), promoter("two")
    assert one.look() == "version 1 is live"
    assert two.look() == "stands by: one leads"
    two.keep_up()
    assert (two.leads, world.indexed) == (False, ["1"])
    beats = remembered(world, database).heartbeats()
    assert [(beat.holder, beat.leads, beat.state) for beat in beats] == [
        ("one", True, "version 1 is live"),
        ("two", False, "stands by: one leads"),
    ]
    one.close()
    world.alias = "2"
    assert two.look() == "version 2 is live"
    assert [beat.holder for beat in remembered(world, database).heartbeats()] == ["two"]


def test_a_leader_that_was_replaced_during_a_build_stores_nothing(
    world: World, database: Database, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence = "1", 5
    leases = DatabaseLeases(database)

    def another_takes_over() -> None:
        held = leases.holder(LEASE)
        assert held == "one"
        with database.writing() as connection:
            connection.execute(sa.text("UPDATE leases SET expires_at = 0"))
        assert leases.acquire(LEASE, "two", 600) is not None

    world.meanwhile = another_takes_over
    one = promoter("one")
    assert one.look() == "one no longer leads: two has taken over"
    assert (one.leads, world.stopped) == (False, 1)
    assert remembered(world, database).live() is None
    world.meanwhile = lambda: None
    assert one.look() == "stands by: two leads"


def test_work_stops_where_the_lease_cannot_be_renewed(world: World, promoter: Callable[..., Promoter]) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter(seconds=0.5)

    def the_database_is_away() -> None:
        def unreachable(*_: object) -> bool:
            raise UserError("the database does not answer")

        one._leadership._leases.renew = unreachable  # type: ignore[method-assign]
        while True:
            one._leadership.check()

    world.meanwhile = the_database_is_away
    assert one.look() == "one could not renew its lease for 0.5 s, so another may lead"
    assert not one.leads


def test_what_was_erased_leaves_files_once_it_is_quiet_or_after_long(
    world: World, database: Database, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence = "1", 5
    one = promoter()
    one.look()
    world.sequence, world.erases = 6, 2
    one.look()
    assert remembered(world, database).live() == Promotion("1", "persons_v1", 6, encoded=11, unpurged=2)
    world.now += QUIET_SECONDS - 1
    one.look()
    assert world.purged == 0
    world.now += 1
    one.look()
    assert world.purged == 1
    assert remembered(world, database).live() == Promotion("1", "persons_v1_purged", 6, encoded=11)
    one.look()
    assert world.purged == 1


def test_a_heartbeat_is_stored_when_it_says_something_new_and_now_and_then(
    world: World, database: Database, promoter: Callable[..., Promoter]
) -> None:
    one = promoter()
    one.look()
    world.now += BEAT_SECONDS / 2
    one.look()
    assert heartbeat(world, database).age == BEAT_SECONDS / 2
    world.alias = "1"
    one.look()
    assert heartbeat(world, database).age == 0
    world.now += BEAT_SECONDS
    one.look()
    assert heartbeat(world, database).age == 0


def test_the_file_of_an_earlier_version_moves_into_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERSONSEARCH_DATABASE", raising=False)
    settings = Settings(home=tmp_path)
    file = tmp_path / "promoter.json"
    held = {"looked_at": 1.0, "state": "version 3 is live", "failed": False, "collection": "persons_v3_7"}
    file.write_text(json.dumps(held | {"indexed": {"version": "3", "sequence": 40}}))
    assert read_memory(settings).state == "not running"
    assert file.exists()  # a look alone makes no database
    assert open_memory(settings).live() == Promotion("3", "persons_v3_7", 40)
    assert not file.exists()
    file.write_text(json.dumps(held | {"indexed": {"version": "1", "sequence": 4}}))
    assert open_memory(settings).live() == Promotion("3", "persons_v3_7", 40)
    for damaged in ("{torn", json.dumps(held | {"indexed": None})):
        file.write_text(damaged)
        open_memory(settings)
        assert not file.exists()
    assert read_memory(settings).live == "version 3, persons_v3_7, change 40 of the gallery"
    take_over = promoter_memory._take_over

    def overtaken(*arguments: Any) -> None:
        take_over(*arguments)
        file.unlink()

    monkeypatch.setattr(promoter_memory, "_take_over", overtaken)
    file.write_text("{}")
    assert open_memory(settings).live() == Promotion("3", "persons_v3_7", 40)


def test_with_parts_the_leader_builds_and_all_follow_their_share(
    world: World, database: Database, promoter: Callable[..., Promoter]
) -> None:
    world.alias, world.sequence = "1", 5
    one, two = promoter("one", parts=4), promoter("two", parts=4)
    assert one.look() == "version 1 is live"
    assert (world.indexed, world.parts) == (["1"], [])
    one.look()
    two.look()
    assert world.parts == [[0, 1, 2, 3]]
    world.sequence = 9
    for each in (one, two):
        each.keep_up()
    assert world.parts[1:] == [[0, 1], [2, 3]]
    assert world.followed == []  # nobody follows all of it
    assert one.look() == "version 1 is live, 4 changes behind the gallery"
    store = DatabaseParts(database)
    for number in range(4):
        holder = DatabaseLeases(database).holder(f"{PART}4/{number}")
        lease = Lease(f"{PART}4/{number}", str(holder), 1 if number < 2 else 2)
        store.advance(lease, number, 4, "persons_v1", sequence=9, encoded=2, removed=1)
    assert one.look() == "version 1 is live"
    live = remembered(world, database).live()
    assert live is not None
    assert (live.sequence, live.encoded, live.unpurged) == (9, 18, 4)
    one.look()
    assert remembered(world, database).live() == live
