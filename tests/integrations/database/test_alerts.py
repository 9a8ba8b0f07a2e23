"""Watched searches and alerts, in every engine: raised once, released within limits, gone with the crop they show."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time

import pytest
import sqlalchemy as sa

from personsearch.errors import LeaseLost
from personsearch.gallery.alerts import Match, QuietHours, WatchedSearch
from personsearch.gallery.rows import GalleryRows
from personsearch.integrations.database.alerts import DatabaseAlerts
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.leases import DatabaseLeases, Lease
from personsearch.integrations.database.rows import DatabaseRows
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.database.watches import DatabaseWatches, TooManyWatched
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from tests.crops import START, make_crop

HOUR = 3_600_000
WATCHED = WatchedSearch(
    watch_id="w",
    owner="anna",
    name="red",
    text="a red coat",
    crop_filter=CropFilter(cameras=("gate",), after=START),
    threshold=0.5,
    created_at=START,
    changed_at=START,
    webhook="https://example.org/hook",
    quiet_hours=QuietHours(time(22), time(6, 30), "Europe/Vienna"),
    most_per_hour=2,
)


class Hours:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100 * HOUR

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
def rows(database: Database) -> GalleryRows:
    return DatabaseRows(database)


@pytest.fixture
def watches(database: Database, clock: Hours) -> DatabaseWatches:
    return DatabaseWatches(database, clock=clock)


@pytest.fixture
def alerts(database: Database, clock: Hours) -> DatabaseAlerts:
    return DatabaseAlerts(database, clock=clock)


@pytest.fixture
def lease(database: Database) -> Lease:
    taken = DatabaseLeases(database).acquire("alerts", "a", 3600)
    assert taken is not None
    return taken


def add(rows: GalleryRows, *crops: Crop) -> None:
    with rows.turn() as turn:
        turn.add(crops)


def crop(number: int, track: str) -> Crop:
    return make_crop(f"crop{number}", track_id=track, image_uri=f"images/{number}.jpg")


def match(crop: Crop, confidence: float, watch_id: str = "w") -> Match:
    return Match(watch_id, crop, confidence, 0.3)


def test_a_search_comes_back_as_it_was_stored(watches: DatabaseWatches, clock: Hours) -> None:
    stored = watches.put(WATCHED)
    now = datetime.fromtimestamp(clock.now / 1000, UTC)
    assert stored == replace(WATCHED, created_at=now, changed_at=now)
    assert watches.find("w") == stored
    assert (watches.of_owner("anna"), watches.of_owner("berta"), watches.enabled()) == ([stored], [], [stored])
    off = watches.put(replace(stored, enabled=False, quiet_hours=None))
    assert (watches.find("w"), watches.enabled()) == (off, [])
    assert watches.remove("w")
    assert not watches.remove("w")


def test_it_watches_what_is_added_once_it_is_on(watches: DatabaseWatches, rows: GalleryRows) -> None:
    add(rows, crop(1, "t"))
    first = watches.put(WATCHED)
    add(rows, crop(2, "t"))
    changed = watches.put(replace(first, text="a blue coat"))
    off = watches.put(replace(changed, enabled=False))
    add(rows, crop(3, "t"))
    on = watches.put(replace(off, enabled=True))
    assert [each.sequence for each in (first, changed, off, on)] == [1, 1, 1, 3]


def test_searches_of_an_owner_are_ended(watches: DatabaseWatches) -> None:
    watches.put(WATCHED)
    watches.put(replace(WATCHED, watch_id="v", owner="berta"))
    assert watches.end(["anna", "nobody"], "the key was revoked") == 1
    assert [(each.owner, each.ended) for each in watches.enabled()] == [("berta", "")]
    ended = watches.find("w")
    assert ended is not None
    assert (ended.enabled, ended.ended) == (False, "the key was revoked")


def test_a_change_is_made_of_what_is_stored_and_revives_nothing(watches: DatabaseWatches) -> None:
    watches.put(WATCHED)
    watches.change("w", {"enabled": False})
    changed = watches.change("w", {"name": "blue"})  # somebody who has not seen the one before
    assert changed is not None
    assert (changed.name, changed.enabled) == ("blue", False)
    assert watches.find("w") == changed
    watches.remove("w")
    assert watches.change("w", {"enabled": True}) is None
    assert watches.of_owner("anna") == []


def test_an_owner_has_only_so_many_searches(watches: DatabaseWatches) -> None:
    for name in ("a", "b"):
        watches.put(replace(WATCHED, watch_id=name), most=2)
    with pytest.raises(TooManyWatched):
        watches.put(replace(WATCHED, watch_id="c"), most=2)
    watches.put(replace(WATCHED, watch_id="d", owner="berta"), most=2)
    assert [each.watch_id for each in watches.of_owner("anna")] == ["a", "b"]


def test_nothing_is_found_under_what_no_database_can_hold(watches: DatabaseWatches, alerts: DatabaseAlerts) -> None:
    assert watches.find("w\0") is None
    assert alerts.latest("anna", 10, watch_id="w\0") == []


def test_a_webhook_that_is_taken_away_has_nothing_to_be_told(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease
) -> None:
    watched = raise_alerts(watches, alerts, rows, lease, 2)
    alerts.release([watched], lease)
    [due] = alerts.due(10)
    watches.change("w", {"webhook": ""})
    assert alerts.due(10) == []
    assert alerts.count_by_delivery() == {"none": 2}
    alerts.settle(due.alert.alert_id, "waiting", lease, failure="status 500")  # a try was under way
    assert alerts.due(10) == []


def test_a_track_raises_one_alert_and_shows_its_best_crop(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease
) -> None:
    crops = [crop(1, "t"), crop(2, "t"), crop(3, "t"), crop(4, "u"), crop(5, ""), crop(6, "")]
    watched = watches.put(WATCHED)
    add(rows, *crops)
    found = [match(crops[0], 0.6), match(crops[1], 0.8), match(crops[3], 0.7), match(crops[4], 0.5)]
    assert len(alerts.advance([watched], 4, found, lease)) == 3
    watched = replace(watched, sequence=4)
    assert watches.find("w") == watched
    assert len(alerts.advance([watched], 6, [match(crops[2], 0.7), match(crops[5], 0.9)], lease)) == 1
    shown = {alert.number: (alert.crop_id, alert.confidence) for alert in alerts.latest("anna", 10)}
    assert shown == {1: ("crop2", 0.8), 2: ("crop4", 0.7), 3: ("crop5", 0.5), 4: ("crop6", 0.9)}
    assert alerts.latest("berta", 10) == []
    assert [alert.number for alert in alerts.latest("anna", 2, before=4)] == [3, 2]
    assert [alert.number for alert in alerts.latest("anna", 9, watch_id="v")] == []


def test_what_was_compared_with_other_words_counts_for_nothing(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease, clock: Hours
) -> None:
    before = watches.put(WATCHED)
    add(rows, crop(1, "t"))
    clock.now += 1
    watches.put(replace(before, text="a blue coat"))
    assert alerts.advance([before], 1, [match(crop(1, "t"), 0.9)], lease) == []
    after = watches.find("w")
    assert after is not None
    assert (after.sequence, alerts.latest("anna", 10)) == (0, [])


def test_an_erased_crop_raises_nothing_and_takes_its_alert_with_it(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease
) -> None:
    crops = [crop(1, "t"), crop(2, "u"), crop(3, "v")]
    watched = watches.put(WATCHED)
    add(rows, *crops)
    with rows.turn(alone=True) as turn:
        turn.erase(CropFilter(crop_ids=("crop3",)))
    assert len(alerts.advance([watched], 3, [match(each, 0.9) for each in crops], lease)) == 2
    with rows.turn(alone=True) as turn:
        turn.erase(CropFilter(tracks=("t",)))
    assert [alert.crop_id for alert in alerts.latest("anna", 10)] == ["crop2"]


def test_who_lost_the_lease_stores_nothing(
    database: Database, watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease
) -> None:
    watched = watches.put(WATCHED)
    add(rows, crop(1, "t"))
    leases = DatabaseLeases(database)
    leases.release(lease)
    assert leases.acquire("alerts", "b", 3600) is not None
    with pytest.raises(LeaseLost):
        alerts.advance([watched], 1, [match(crop(1, "t"), 0.9)], lease)
    assert watches.find("w") == watched
    assert alerts.latest("anna", 10) == []


def raise_alerts(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease, count: int
) -> WatchedSearch:
    """One search with so many alerts, of a track each."""
    watched = watches.put(WATCHED)
    crops = [crop(number, f"t{number}") for number in range(count)]
    add(rows, *crops)
    assert len(alerts.advance([watched], count, [match(each, 0.9) for each in crops], lease)) == count
    return replace(watched, sequence=count)


def test_alerts_are_released_as_fast_as_the_limit_allows(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease, clock: Hours
) -> None:
    watched = raise_alerts(watches, alerts, rows, lease, 5)
    assert alerts.counts("anna") == {"w": (5, 5)}
    assert alerts.changed_since(0, "anna", 10) == []
    assert alerts.release([], lease) == 0  # it is quiet
    assert [alerts.release([watched], lease) for _ in range(2)] == [2, 0]
    assert [alert.number for alert in alerts.changed_since(0, "anna", 10)] == [1, 2]
    clock.now += HOUR - 1
    assert alerts.release([watched], lease) == 0
    clock.now += 1
    assert alerts.release([watched], lease) == 2
    assert [(alert.number, alert.change) for alert in alerts.changed_since(2, "anna", 10)] == [(3, 3), (4, 4)]
    assert alerts.latest_change() == 4
    assert alerts.count_by_delivery() == {"held": 1, "waiting": 4}


def test_a_better_crop_is_a_change_and_numbers_are_never_given_twice(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease
) -> None:
    watched = raise_alerts(watches, alerts, rows, lease, 2)
    alerts.release([watched], lease)
    add(rows, crop(7, "t0"))
    alerts.advance([watched], 3, [match(crop(7, "t0"), 0.95)], lease)
    [changed] = alerts.changed_since(2, "anna", 10)
    assert (changed.number, changed.change, changed.crop_id) == (1, 3, "crop7")
    with rows.turn(alone=True) as turn:
        turn.erase(CropFilter(cameras=("camera",)))
    assert alerts.latest("anna", 10) == []
    add(rows, crop(8, "new"))
    at = watches.find("w")
    assert at is not None
    alerts.advance([at], 7, [match(crop(8, "new"), 0.9)], lease)
    alerts.release([replace(watched, most_per_hour=9)], lease)
    [alert] = alerts.changed_since(3, "anna", 10)
    assert (alert.number, alert.change) == (3, 4)


def test_webhooks_are_due_one_after_the_other_until_they_are_settled(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease, clock: Hours
) -> None:
    watched = raise_alerts(watches, alerts, rows, lease, 2)
    alerts.release([watched], lease)
    [due] = alerts.due(10)
    assert (due.alert.number, due.watched) == (1, watched)
    alerts.settle(due.alert.alert_id, "waiting", lease, failure="status 500", wait_seconds=10)
    assert alerts.due(10) == []
    clock.now += 10_000
    [again] = alerts.due(10)
    assert (again.alert.attempts, again.alert.failure) == (1, "status 500")
    alerts.settle(due.alert.alert_id, "delivered", lease)
    [following] = alerts.due(10)
    assert following.alert.number == 2
    alerts.settle(following.alert.alert_id, "failed", lease, failure="gone")
    assert alerts.due(10) == []
    assert alerts.count_by_delivery() == {"delivered": 1, "failed": 1}


def test_a_search_that_is_gone_or_off_tells_nobody(
    watches: DatabaseWatches, alerts: DatabaseAlerts, rows: GalleryRows, lease: Lease
) -> None:
    watched = raise_alerts(watches, alerts, rows, lease, 1)
    alerts.release([watched], lease)
    watches.put(replace(watched, enabled=False))
    assert alerts.due(10) == []
    watches.remove("w")
    assert alerts.latest("anna", 10) == []
    assert alerts.count_by_delivery() == {}


@pytest.mark.parametrize(
    ("utc", "quiet"), [((20, 59), False), ((21, 0), True), ((2, 0), True), ((5, 29), True), ((5, 30), False)]
)
def test_quiet_hours_are_by_the_clock_of_their_zone(utc: tuple[int, int], *, quiet: bool) -> None:
    hours = QuietHours(time(22), time(6, 30), "Europe/Vienna")
    assert hours.hold(datetime(2026, 1, 15, *utc, tzinfo=UTC)) == quiet
    assert hours.hold(datetime(2026, 7, 15, utc[0] - 1, utc[1], tzinfo=UTC)) == quiet  # in summer an hour earlier
    assert QuietHours(time(9), time(17), "UTC").hold(datetime(2026, 1, 1, 9, tzinfo=UTC))
    assert not QuietHours(time(9), time(17), "UTC").hold(datetime(2026, 1, 1, 17, tzinfo=UTC))
