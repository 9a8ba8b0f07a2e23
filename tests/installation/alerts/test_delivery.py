"""A webhook is told each alert at least once, again after a failure, under an id that stays."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from personsearch.errors import LeaseLost
from personsearch.gallery.alerts import Match
from personsearch.gallery.store import DATABASE
from personsearch.installation.alerts import delivery
from personsearch.installation.alerts.delivery import Delivered, Deliverer, wait_after
from personsearch.installation.audit.log import AuditLog
from personsearch.integrations.database.alerts import DatabaseAlerts
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.database.watches import DatabaseWatches
from personsearch.search.filters import CropFilter
from tests.installation.alerts.receiver import Receiver
from tests.installation.alerts.small import figures, watched

SECRET = "a-secret-for-the-tests"


class World:
    """An installation with one watched search, and alerts that are released."""

    def __init__(self, folder: Path) -> None:
        self.gallery, self.database = gallery_in(folder), open_database(f"sqlite:///{folder / DATABASE}")
        self.watches, self.alerts = DatabaseWatches(self.database), DatabaseAlerts(self.database)
        self.audit = AuditLog(DatabaseAudit(self.database))
        self.leases = DatabaseLeases(self.database)
        lease = self.leases.acquire("alerts", "a", 3600)
        assert lease is not None
        self.lease = lease
        self.deliverer = Deliverer(self.alerts, self.audit, SECRET, private=True)

    def raise_alerts(self, address: str, count: int = 1) -> list[str]:
        search = self.watches.put(watched("w", "a red coat", name="the thief", webhook=address))
        crops = [crop for number in range(count) for crop in figures("red", number, crops=1)]
        self.gallery.add(crops)
        found = [Match("w", crop, 0.9, 0.4) for crop, _ in crops]
        raised = self.alerts.advance([search], count, found, self.lease)
        self.alerts.release(self.watches.enabled(), self.lease)
        return raised

    def turn(self) -> Delivered:
        return self.deliverer.turn(self.lease)

    def states(self) -> list[tuple[str, int]]:
        return [(alert.delivery, alert.attempts) for alert in self.alerts.latest("anna", 100)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_a_receiver_is_told_what_was_seen_and_can_check_who_says_so(world: World) -> None:
    with Receiver() as receiver:
        [alert_id] = world.raise_alerts(receiver.address)
        assert world.turn() == Delivered(taken=1)
        assert world.turn() == Delivered()
    [(headers, body)] = receiver.taken
    told = json.loads(body)
    assert {name: told[name] for name in ("type", "alert_id", "name", "camera_id", "crop_id", "confidence")} == {
        "type": "alert",
        "alert_id": alert_id,
        "name": "the thief",
        "camera_id": "gate",
        "crop_id": "red-0-0",
        "confidence": 0.9,
    }
    assert "a red coat" not in body.decode()
    assert headers["webhook-id"] == alert_id
    signed = f"{alert_id}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert world.states() == [("delivered", 0)]
    [record] = world.audit.records("alert_sent")
    assert (record["who"], record["results"], record["webhook"]) == ("anna", ["red-0-0"], receiver.address)


def test_one_that_fails_is_told_again_under_the_same_id(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_SECONDS", 0.0)
    with Receiver(500, 204) as receiver:
        world.raise_alerts(receiver.address)
        assert world.turn() == Delivered(failed=1)
        [alert] = world.alerts.latest("anna", 1)
        assert (alert.delivery, alert.attempts, alert.failure) == ("waiting", 1, "answered 500; 2xx expected")
        assert world.turn() == Delivered(taken=1)
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 1
    assert len(receiver.taken) == 2
    assert world.states() == [("delivered", 1)]


def test_it_is_given_up_after_many_tries(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(delivery, "MOST_ATTEMPTS", 2)
    with Receiver(500) as receiver:
        world.raise_alerts(receiver.address)
        assert [world.turn() for _ in range(3)] == [Delivered(failed=1), Delivered(failed=1), Delivered()]
    assert world.states() == [("failed", 2)]


def test_one_whose_telling_breaks_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def broken_for_one(address: str, *_: object, **__: object) -> None:
        if "broken" in address:
            raise ValueError("an address that nobody thought of")
        told.append(address)

    monkeypatch.setattr(delivery, "send", broken_for_one)
    world.raise_alerts("https://broken.example.org/")
    world.watches.put(watched("x", "a red coat", webhook="https://example.org/"))
    search = world.watches.find("x")
    assert search is not None
    crops = [crop for crop, _ in figures("red", 0, crops=1)]
    world.alerts.advance([search], search.sequence + 1, [Match("x", crop, 0.9, 0.4) for crop in crops], world.lease)
    world.alerts.release(world.watches.enabled(), world.lease)
    assert world.turn() == Delivered(taken=1, failed=1)
    assert told == ["https://example.org/"]
    assert {alert.delivery: alert.failure for alert in world.alerts.latest("anna", 9)} == {
        "delivered": "",
        "waiting": "an address that nobody thought of",
    }


def test_waits_grow_to_an_hour_and_all_of_them_take_about_a_day() -> None:
    waits = [wait_after(attempts) for attempts in range(delivery.MOST_ATTEMPTS)]
    assert 3.75 <= waits[0] <= 5.0
    assert all(2700 <= wait <= 3600 for wait in waits[10:])
    assert 12 * 3600 < sum(waits) < 30 * 3600


def test_what_cannot_be_recorded_is_not_told(world: World) -> None:
    with Receiver() as receiver:
        world.raise_alerts(receiver.address)
        with world.database.writing() as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER full BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        assert world.turn() == Delivered(failed=1)
        assert receiver.taken == []
    assert world.states() == [("waiting", 1)]


def test_an_alert_of_an_erased_crop_is_not_told(world: World) -> None:
    with Receiver() as receiver:
        world.raise_alerts(receiver.address)
        world.gallery.erase(CropFilter(crop_ids=("red-0-0",)))
        assert world.turn() == Delivered()
        assert receiver.taken == []


def test_who_lost_the_lease_leaves_the_alert_to_the_next(world: World) -> None:
    """The receiver may be told twice then, under the same id."""
    with Receiver() as receiver:
        world.raise_alerts(receiver.address)
        world.leases.release(world.lease)
        following = world.leases.acquire("alerts", "b", 3600)
        assert following is not None
        with pytest.raises(LeaseLost):
            world.turn()
        assert world.deliverer.turn(following) == Delivered(taken=1)
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 1
