"""Every crop that becomes searchable is compared once, whoever is killed; each track raises one alert."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from personsearch.gallery.store import DATABASE
from personsearch.installation.alerts.matching import (
    NOT_CALIBRATED,
    NOT_FOLLOWED,
    NOTHING_LIVE,
    Matcher,
    Turn,
)
from personsearch.integrations.database.alerts import DatabaseAlerts
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.promotions import DatabasePromotions, Promotion
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.database.watches import DatabaseWatches
from personsearch.search.exact import ExactStore
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.query import Query
from tests.installation.alerts.receiver import Receiver
from tests.installation.alerts.small import COLLECTION, figures, follow, live_search, watched

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 120.0
KILLS = 4


class World:
    """An installation with a live collection that knows colours."""

    def __init__(self, folder: Path) -> None:
        self.gallery, self.store = gallery_in(folder), ExactStore()
        self.database = open_database(f"sqlite:///{folder / DATABASE}")
        self.watches, self.alerts = DatabaseWatches(self.database), DatabaseAlerts(self.database)
        self.promotions = DatabasePromotions(self.database)
        self.matcher = Matcher(self.gallery, self.watches, self.alerts, self.promotions)
        self.live = live_search(self.store, self.gallery)
        lease = DatabaseLeases(self.database).acquire("alerts", "a", 3600)
        assert lease is not None
        self.lease = lease
        self.followed = 0

    def index(self, until: int | None = None) -> None:
        """Bring the collection to a change of the gallery."""
        self.followed = follow(self.store, self.gallery, self.followed, until)
        self.promotions.went_live(Promotion("1", COLLECTION, self.followed))

    def turn(self) -> Turn:
        return self.matcher.turn(self.live, self.lease)

    def shown(self) -> set[tuple[str, str]]:
        return {(alert.watch_id, alert.track_id) for alert in self.alerts.latest("anna", 1000)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_only_searchable_crops_are_compared_and_only_those_that_fit_raise_alerts(world: World) -> None:
    world.gallery.add(figures("red", 0))
    world.watches.put(watched("r", "red"))
    world.watches.put(watched("b", "blue", crop_filter=CropFilter(cameras=("elsewhere",))))
    world.gallery.add(figures("red", 1) + figures("blue", 2) + figures("green", 3))
    assert world.turn().problem == NOT_FOLLOWED
    world.index(until=6)
    turn = world.turn()  # its mirror has not caught up: what the store holds counts
    assert (turn.crops, len(turn.raised), turn.behind, turn.problem) == (3, 1, 0, "")
    assert world.shown() == {("r", "track/1")}
    assert world.turn() == Turn()
    world.index()
    assert world.turn().crops == 6
    assert world.shown() == {("r", "track/1")}


def test_it_says_why_nothing_can_be_compared(world: World) -> None:
    assert world.matcher.turn(None, world.lease) == Turn()  # nobody watches
    world.watches.put(watched("r", "red"))
    assert world.matcher.turn(None, world.lease).problem == NOTHING_LIVE
    world.promotions.went_live(Promotion("1", "another", 9))
    assert world.turn().problem == NOT_FOLLOWED
    world.promotions.went_live(Promotion("1", COLLECTION, 9))
    uncalibrated = live_search(ExactStore(), world.gallery, calibrated=False)
    assert world.matcher.turn(uncalibrated, world.lease).problem == NOT_CALIBRATED
    kept = world.watches.find("r")
    assert kept is not None
    assert kept.sequence == 0  # a calibrated model compares them later


def test_searches_that_are_behind_catch_up_with_the_others(world: World) -> None:
    world.watches.put(watched("early", "red"))
    world.gallery.add(figures("red", 0))
    world.watches.put(watched("late", "red"))
    world.gallery.add(figures("red", 1))
    world.index()
    assert [world.turn().crops for _ in range(3)] == [3, 3, 0]
    assert world.shown() == {("early", "track/0"), ("early", "track/1"), ("late", "track/1")}


def test_a_crop_that_the_store_does_not_hold_holds_nobody_up(world: World) -> None:
    world.watches.put(watched("r", "red"))
    world.gallery.add(figures("red", 0) + figures("red", 1))
    world.followed = 3  # the first three could not be read
    world.index()
    assert world.turn().crops == 6
    assert world.shown() == {("r", "track/1")}


def test_the_confidence_is_the_one_that_a_search_shows(world: World) -> None:
    world.gallery.add(
        [crop for number, colour in enumerate(("red", "blue", "white")) for crop in figures(colour, number)]
    )
    world.index()
    world.live.refresh()
    crops, vectors_ND = world.live.stored([crop.crop_id for crop in world.gallery.crops()])
    judged = world.live.confidences("red", crops, vectors_ND, EVERYTHING)
    told = {crop.crop_id: values for crop, values in zip(crops, judged, strict=True)}
    answer = world.live.search_for(Query(("red",)), k=9, crop_filter=EVERYTHING, group_by_track=False)
    assert len(answer.candidates) == 9
    for candidate in answer.candidates:
        assert told[candidate.crop.crop_id] == pytest.approx((candidate.score, candidate.confidence), abs=1e-6)


class Comparer:
    """A process that compares, until it is killed."""

    def __init__(self, home: Path, log: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        self._path, self._log = log, log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killed_matching.py")), str(home)],
            stdout=self._log,
            stderr=self._log,
            env=environment,
        )

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.process.poll() is None, self._path.read_text()
            assert time.monotonic() < deadline, self._path.read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()


def test_over_kills_no_alert_is_lost_and_none_doubled(world: World, tmp_path: Path) -> None:
    """People in red and in blue pass; whoever compares and tells is killed again and again, in the middle of it."""
    log, rng = tmp_path / "log.txt", random.Random(0)
    DatabaseLeases(world.database).release(world.lease)
    expected: set[tuple[str, str]] = set()
    with Receiver() as receiver:
        for watch_id, colour in (("r", "red"), ("b", "blue")):
            world.watches.put(watched(watch_id, colour, webhook=receiver.address, most_per_hour=1000))
        for life in range(KILLS):
            before = len(expected)
            for number in range(8 * life, 8 * life + 8):
                colour = ("red", "blue", "green", "white")[number % 4]
                world.gallery.add(figures(colour, number))
                expected |= {(colour[0], f"track/{number}")} if colour in ("red", "blue") else set()
            comparer = Comparer(world.gallery.folder, log)
            try:
                if life < KILLS - 1:
                    comparer.wait_until(partial(has_raised, world, rng.randint(before + 1, len(expected) - 1)))
                else:
                    comparer.wait_until(partial(has_told, world, len(expected)))
            finally:
                comparer.kill()
    found = {alert.alert_id: (alert.watch_id, alert.track_id) for alert in world.alerts.latest("anna", 1000)}
    assert len(found) == len(expected)
    assert set(found.values()) == expected
    told = {headers["webhook-id"]: body for headers, body in receiver.taken}
    assert told.keys() == found.keys()
    assert all(told[headers["webhook-id"]] == body for headers, body in receiver.taken)  # a repeat says the same


def has_raised(world: World, enough: int) -> bool:
    return len(world.alerts.latest("anna", 1000)) >= enough


def has_told(world: World, enough: int) -> bool:
    return world.alerts.count_by_delivery() == {"delivered": enough}
