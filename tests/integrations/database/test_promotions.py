"""What one promoter stores, the next one finds, in every engine."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import DatabaseLeases, Lease
from personsearch.integrations.database.promotions import FORGOTTEN_AFTER_SECONDS, DatabasePromotions, Promotion
from personsearch.integrations.database.schema import open_database


class Hours:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self, _: sa.Connection) -> int:
        return self.now


@pytest.fixture
def database(database_address: str) -> Iterator[Database]:
    opened = open_database(database_address)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Hours:
    return Hours()


@pytest.fixture
def promotions(database: Database, clock: Hours) -> DatabasePromotions:
    return DatabasePromotions(database, clock=clock)


@pytest.fixture
def lease(database: Database) -> Lease:
    lease = DatabaseLeases(database).acquire("promoter", "me", 60)
    assert lease is not None
    return lease


def test_the_latest_that_went_live_follows_the_gallery(promotions: DatabasePromotions, lease: Lease) -> None:
    assert promotions.live() is None
    promotions.went_live(Promotion("1", "persons_v1_1", 10, encoded=10), lease)
    promotions.went_live(Promotion("2", "persons_v2_2", 12, encoded=12), lease)
    promotions.advance(Promotion("2", "persons_v2_2", 20, encoded=19, unpurged=1), lease)
    assert promotions.live() == Promotion("2", "persons_v2_2", 20, encoded=19, unpurged=1)
    assert promotions.of_version("1") == Promotion("1", "persons_v1_1", 10, encoded=10)
    promotions.failed("3", "NaN", 2, lease)
    assert promotions.live() == Promotion("2", "persons_v2_2", 20, encoded=19, unpurged=1)


def test_failures_in_a_row_are_counted_and_waited_for(
    promotions: DatabasePromotions, lease: Lease, clock: Hours
) -> None:
    promotions.failed("1", "out of reach", 2, lease)
    assert promotions.of_version("1") == Promotion("1", failure="out of reach", attempts=1, wait=2.0)
    clock.now += 1500
    assert promotions.of_version("1") == Promotion("1", failure="out of reach", attempts=1, wait=0.5)
    clock.now += 1500
    assert promotions.of_version("1") == Promotion("1", failure="out of reach", attempts=1)
    promotions.failed("1", "NaN", 4, lease)
    assert promotions.of_version("1") == Promotion("1", failure="NaN", attempts=2, wait=4.0)
    promotions.went_live(Promotion("1", "persons_v1_1", 10), lease)
    promotions.failed("1", "NaN", 2, lease)
    assert promotions.of_version("1") == Promotion("1", failure="NaN", attempts=1, wait=2.0)


def test_heartbeats_tell_leader_and_standby_apart_and_are_forgotten(
    promotions: DatabasePromotions, clock: Hours
) -> None:
    promotions.beat("a", leads=False, state="stands by", failed=False)
    clock.now += 3000
    promotions.beat("b", leads=True, state="version 1 is live", failed=False)
    promotions.beat("b", leads=True, state="version 2: NaN", failed=True)
    leader, standby = promotions.heartbeats()
    assert (leader.holder, leader.leads, leader.state, leader.failed) == ("b", True, "version 2: NaN", True)
    assert (standby.holder, standby.leads, standby.age) == ("a", False, 3.0)
    clock.now += round(FORGOTTEN_AFTER_SECONDS * 1000)
    promotions.beat("b", leads=True, state="version 1 is live", failed=False)
    assert [beat.holder for beat in promotions.heartbeats()] == ["b"]
    promotions.forget("b")
    assert promotions.heartbeats() == []
