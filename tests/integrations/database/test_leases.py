"""A lease has one holder at a time, by the database's clock, and whoever held it before can write no more."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from personsearch.errors import LeaseLost
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import DatabaseLeases, Lease
from personsearch.integrations.database.promotions import DatabasePromotions, Promotion
from personsearch.integrations.database.schema import open_database


@pytest.fixture
def database(database_address: str) -> Iterator[Database]:
    opened = open_database(database_address)
    yield opened
    opened.close()


class Hours:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self, _: sa.Connection) -> int:
        return self.now


def test_it_has_one_holder_until_it_ends_and_tokens_grow(database: Database) -> None:
    clock = Hours()
    leases = DatabaseLeases(database, clock=clock)
    first = leases.acquire("promoter", "a", 10)
    assert first == Lease("promoter", "a", 1)
    assert leases.acquire("promoter", "b", 10) is None
    assert leases.acquire("promoter", "a", 10) is None
    assert leases.acquire("another", "b", 10) == Lease("another", "b", 1)
    clock.now += 9_999
    assert leases.holder("promoter") == "a"
    assert leases.renew(first, 10)
    clock.now += 9_999
    assert leases.acquire("promoter", "b", 10) is None
    clock.now += 1
    assert leases.holder("promoter") is None
    second = leases.acquire("promoter", "b", 10)
    assert second == Lease("promoter", "b", 2)
    assert not leases.renew(first, 10)
    leases.release(first)
    assert leases.holder("promoter") == "b"
    leases.release(second)
    assert leases.acquire("promoter", "c", 10) == Lease("promoter", "c", 3)


def test_one_that_ended_and_that_nobody_took_is_held_again(database: Database) -> None:
    clock = Hours()
    leases = DatabaseLeases(database, clock=clock)
    lease = leases.acquire("promoter", "a", 10)
    assert lease is not None
    clock.now += 60_000
    leases.check(lease)
    assert leases.renew(lease, 10)
    assert leases.holder("promoter") == "a"


def test_of_many_at_the_same_moment_one_gets_it(database: Database) -> None:
    leases = DatabaseLeases(database)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda n: leases.acquire("promoter", f"h{n}", 30), range(16)))
    [held] = [lease for lease in taken if lease]
    assert leases.holder("promoter") == held.holder


def test_late_writes_of_an_old_holder_are_refused(database: Database) -> None:
    leases, promotions = DatabaseLeases(database), DatabasePromotions(database)
    old = leases.acquire("promoter", "a", 0)
    new = leases.acquire("promoter", "b", 30)
    assert old is not None
    assert new is not None
    promotions.went_live(Promotion("1", "persons_v1_1", 5), new)
    for late in (
        lambda: promotions.went_live(Promotion("2", "persons_v2_1", 9), old),
        lambda: promotions.advance(Promotion("1", "persons_v1_1", 9), old),
        lambda: promotions.failed("1", "broken", 2, old),
        lambda: leases.check(old),
    ):
        with pytest.raises(LeaseLost, match="a no longer leads: b has taken over"):
            late()
    assert promotions.live() == Promotion("1", "persons_v1_1", 5)


HOLDER = """
import os, signal, sys, time
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.promotions import DatabasePromotions, Promotion
from personsearch.integrations.database.schema import open_database
address, name, clock_is_off, stops = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4] == "stops"
off = time.time
time.time = lambda: off() + clock_is_off  # the host's clock must not matter
database = open_database(address)
leases, promotions = DatabaseLeases(database), DatabasePromotions(database)
while (lease := leases.acquire("promoter", name, 1.5)) is None:
    time.sleep(0.05)
print("leads", lease.token, flush=True)
while leases.renew(lease, 1.5):
    if stops:  # here, where it holds no lock of the database
        os.kill(os.getpid(), signal.SIGSTOP)
    promotions.went_live(Promotion(str(lease.token), f"by {name}"), lease)
    time.sleep(0.05)
"""


def holder(address: str, name: str, *, clock_is_off: float = 0, stops: bool = False) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLDER, address, name, str(clock_is_off), "stops" if stops else ""]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_standby_takes_over_from_a_killed_holder_whatever_their_clocks_say(database_address: str) -> None:
    """The killed one's clock was ten minutes ahead, the standby's is ten minutes behind."""
    with holder(database_address, "a", clock_is_off=600) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == "leads 1\n"
        with holder(database_address, "b", clock_is_off=-600) as standby:
            assert standby.stdout is not None
            try:
                time.sleep(2.0)  # longer than the lease: the leader must have renewed it
                os.kill(leader.pid, signal.SIGKILL)
                assert standby.stdout.readline() == "leads 2\n"
                promotions = DatabasePromotions(open_database(database_address))
                with pytest.raises(LeaseLost):
                    promotions.went_live(Promotion("1", "late"), Lease("promoter", "a", 1))
            finally:
                standby.kill()
    live = promotions.live()
    assert live is None or live.collection != "late"


def test_a_stopped_holder_that_continues_writes_no_more(database_address: str, tmp_path: Path) -> None:
    """As after a suspended machine: it wakes up in the middle of its work and believes that it leads."""
    with holder(database_address, "a", stops=True) as leader:
        try:
            os.waitpid(leader.pid, os.WUNTRACED)
            leases = DatabaseLeases(open_database(database_address))
            while (mine := leases.acquire("promoter", "test", 60)) is None:
                time.sleep(0.05)
            promotions = DatabasePromotions(open_database(database_address))
            promotions.went_live(Promotion("9", "mine"), mine)
            os.kill(leader.pid, signal.SIGCONT)
            leader.wait(60)
        finally:
            leader.kill()
    assert promotions.live() == Promotion("9", "mine")
    assert leases.holder("promoter") == "test"
