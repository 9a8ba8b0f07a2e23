"""Watched searches and their alerts over HTTP: off unless switched on, each caller's own, recorded, as they come."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from personsearch.gallery.cameras import CameraDetails
from personsearch.installation.api_keys import make_key, open_keys
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.promotions import Promotion
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from serving.alert_streams import Streams
from serving.app import create_app
from serving.connections import Connection
from serving.routes import watches as watched_routes
from serving.service import Service
from serving.settings import ServingSettings
from tests.audit import audited
from tests.installation.alerts.receiver import Receiver
from tests.servers.search_service import search_service
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection
from tests.serving.conftest import KEY

RED = {"name": "red coats", "text": "red", "threshold": 0.9}
PATH = "/v1/watched-searches"


@pytest.fixture
def settings(home: Path) -> ServingSettings:
    return ServingSettings(
        home=home,
        api_keys=KEY,
        watch_seconds=0.05,
        alerts=True,
        alert_secret="a-secret-for-the-tests",
        alert_private_webhooks=True,
        alert_searches=3,
    )


class Installation:
    """A service with alerts whose threads do not run: a test lets it compare and deliver."""

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.gallery = add_figures(settings.gallery_folder, COLOURS)
        self.store = ExactStore()
        build_collection(self.store, self.gallery, "persons_v1_1")
        self.store.switch_alias("persons", "persons_v1_1")
        self.source = ColourSource(self.store, self.gallery)
        self.app = create_app(settings, source=self.source)
        self.service = self.app.state.service
        self.service.live.look()
        self.promote()

    def client(self, key: str = KEY) -> TestClient:
        return TestClient(self.app, headers={"X-API-Key": key}, raise_server_exceptions=False)

    def promote(self) -> None:
        """Let the collection hold the whole gallery, as the promoter says it does."""
        build_collection(self.store, self.gallery, "next")
        index = self.store.open("persons_v1_1")
        for crops, vectors_ND in self.store.open("next").iterate():
            index.upsert(crops, vectors_ND)
        self.store.drop("next")
        self.service.promotions.went_live(Promotion("1", "persons_v1_1", self.gallery.last_sequence()))
        self.service.live.follow()

    def pass_by(self, *colours: str, first: int = 10) -> None:
        """Let people pass, and compare them."""
        add_figures(self.settings.gallery_folder, colours, first=first)
        self.promote()
        self.service.alerts.compare()


@pytest.fixture
def installation(settings: ServingSettings) -> Iterator[Installation]:
    made = Installation(settings)
    yield made
    made.service.alerts.stop()


@pytest.fixture
def anna(installation: Installation) -> TestClient:
    return installation.client()


@pytest.fixture
def berta(installation: Installation) -> TestClient:
    return installation.client(make_key(open_keys(installation.settings), "berta"))


def test_they_are_off_unless_switched_on(home: Path) -> None:
    app = create_app(
        ServingSettings(home=home, api_keys=KEY), source=ColourSource(ExactStore(), gallery_in(home / "g"))
    )
    with TestClient(app, headers={"X-API-Key": KEY}) as client:
        for method, path in (
            ("GET", PATH),
            ("GET", "/v1/alerts"),
            ("GET", "/v1/alerts/events"),
            ("DELETE", f"{PATH}/1"),
        ):
            refused = client.request(method, path)
            assert (refused.status_code, "switched off" in refused.json()["detail"]) == (404, True)
        assert client.post(PATH, json=RED).status_code == client.delete(f"{PATH}/1").status_code == 404
        assert client.get("/v1/alerts/figures").json()["enabled"] is False
        assert [thread for thread in threading.enumerate() if thread.name == "alerts"] == []


def test_a_watched_search_is_made_changed_and_deleted_and_each_is_recorded(
    anna: TestClient, installation: Installation
) -> None:
    made = anna.post(PATH, json={**RED, "cameras": ["junction"], "purpose": "case 7"})
    assert made.status_code == 201, made.text
    watched = made.json()
    assert (watched["enabled"], watched["cameras"], watched["alerts"], watched["quiet"]) == (
        True,
        ["junction"],
        0,
        False,
    )
    path = f"{PATH}/{watched['watch_id']}"
    hours = {"start": "22:00", "end": "06:00", "time_zone": "Europe/Vienna"}
    changed = anna.patch(path, json={"threshold": 0.8, "quiet_hours": hours, "enabled": False}).json()
    assert (changed["threshold"], changed["enabled"], changed["name"]) == (0.8, False, "red coats")
    assert changed["quiet_hours"]["time_zone"] == "Europe/Vienna"
    assert anna.patch(path, json={"quiet_hours": None}).json()["quiet_hours"] is None
    assert [each["watch_id"] for each in anna.get(PATH).json()["watched_searches"]] == [watched["watch_id"]]
    assert anna.delete(path).status_code == 204
    assert anna.delete(path).status_code == 404
    assert anna.get(PATH).json() == {"watched_searches": []}
    records = [each for each in audited(installation.settings) if each["event"] == "watch"]
    assert [each["action"] for each in records] == ["created", "changed", "changed", "deleted"]
    assert (records[0]["query"], records[0]["purpose"], records[0]["filters"]) == (
        "red",
        "case 7",
        {"cameras": ["junction"]},
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": 1}, "threshold"),
        ({"text": None}, "body"),
        ({"text": " "}, "text"),
        ({"search_request_id": "1"}, "body"),
        ({"text": "red\0"}, "text"),
        ({"name": ""}, "name"),
        ({"name": "red\0coats"}, "name"),
        ({"name": "red\ncoats"}, "name"),
        ({"without": ["a hat"]}, "without"),
        ({"webhook": "ftp://example.org"}, "webhook"),
        ({"most_per_hour": 0}, "most_per_hour"),
        ({"quiet_hours": {"start": "22:00", "end": "22:00", "time_zone": "UTC"}}, "quiet_hours"),
        ({"quiet_hours": {"start": "22:00:30", "end": "23:00", "time_zone": "UTC"}}, "quiet_hours.start"),
        ({"quiet_hours": {"start": "22:00", "end": "06:00", "time_zone": "Mars"}}, "quiet_hours.time_zone"),
        ({"quiet_hours": {"start": "22:00", "end": "06:00", "time_zone": "../etc"}}, "quiet_hours.time_zone"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_its_field(
    anna: TestClient, change: dict[str, object], field: str
) -> None:
    refused = anna.post(PATH, json={**RED, **change})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


def test_no_more_searches_are_watched_than_allowed(anna: TestClient, berta: TestClient) -> None:
    assert [anna.post(PATH, json=RED).status_code for _ in range(4)] == [201, 201, 201, 409]
    assert berta.post(PATH, json=RED).status_code == 201


def test_a_search_that_is_deleted_while_it_is_changed_stays_deleted(
    anna: TestClient, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{PATH}/{anna.post(PATH, json=RED).json()['watch_id']}"
    watches, is_calibrated = installation.service.alerts.stored.watches, watched_routes._check_calibrated

    def deleted_meanwhile(service: Service) -> None:
        is_calibrated(service)
        assert watches.remove(path.rpartition("/")[2])

    monkeypatch.setattr(watched_routes, "_check_calibrated", deleted_meanwhile)
    assert anna.patch(path, json={"enabled": True}).status_code == 404
    assert anna.get(PATH).json() == {"watched_searches": []}


def test_a_model_without_calibration_watches_nothing(settings: ServingSettings) -> None:
    installation = Installation(settings)
    installation.source.calibration = None
    installation.app.state.service.live.current = installation.source.load()
    client = installation.client()
    refused = client.post(PATH, json=RED)
    assert (refused.status_code, "never calibrated" in refused.json()["detail"]) == (409, True)
    made = client.post(PATH, json={**RED, "enabled": False}).json()
    assert client.patch(f"{PATH}/{made['watch_id']}", json={"enabled": True}).status_code == 409
    assert "never calibrated" in client.get("/v1/alerts/figures").json()["problem"]


def test_a_search_in_a_group_is_watched_at_its_cameras_and_none_by_the_time_of_day(
    anna: TestClient, installation: Installation
) -> None:
    installation.app.state.service.cameras.put([CameraDetails("junction", group="outside")])
    by_group = anna.post("/v1/search", json={"text": "red", "camera_groups": ["outside"]}).json()["request_id"]
    at_night = anna.post("/v1/search", json={"text": "red", "daily_after": "22:00"}).json()["request_id"]
    named = {"name": "red", "threshold": 0.9}
    assert anna.post(PATH, json={**named, "search_request_id": by_group}).json()["cameras"] == ["junction"]
    assert anna.post(PATH, json={**RED, "camera_groups": ["outside"]}).json()["cameras"] == ["junction"]
    no_group = anna.post(PATH, json={**RED, "camera_groups": ["inside"]})
    assert (no_group.status_code, no_group.json()["errors"][0]["field"]) == (422, "camera_groups")
    refused = anna.post(PATH, json={**named, "search_request_id": at_night})
    assert (refused.status_code, "time of day" in refused.json()["detail"]) == (422, True)


def test_a_search_that_was_made_is_watched(anna: TestClient, berta: TestClient) -> None:
    asked = anna.post("/v1/search", json={"text": "red", "cameras": ["junction"]}).json()["request_id"]
    other = anna.post("/v1/search", json={"text": "red", "without": ["blue"]}).json()["request_id"]
    named = {"name": "red", "threshold": 0.9}
    watched = anna.post(PATH, json={**named, "search_request_id": asked}).json()
    assert (watched["text"], watched["cameras"]) == ("red", ["junction"])
    refused = anna.post(PATH, json={**named, "search_request_id": other})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "search_request_id")
    assert berta.post(PATH, json={**named, "search_request_id": asked}).status_code == 404


def test_alerts_are_their_owners_and_each_that_is_shown_is_recorded(
    anna: TestClient, berta: TestClient, installation: Installation
) -> None:
    watched = anna.post(PATH, json=RED).json()
    installation.pass_by("red", "blue", "red", "red")
    first = anna.get("/v1/alerts?limit=2").json()
    second = anna.get(f"/v1/alerts?limit=2&cursor={first['next']}").json()
    tracks = [alert["track_id"] for alert in first["alerts"] + second["alerts"]]
    assert (tracks, second["next"]) == (["track/13", "track/12", "track/10"], None)
    alert = first["alerts"][0]
    assert (alert["name"], alert["threshold"], alert["delivery"]) == ("red coats", 0.9, "none")
    assert alert["confidence"] >= 0.9
    assert alert["released_at"] is not None
    assert anna.get(alert["image_url"]).status_code == 200
    assert berta.get("/v1/alerts").json()["alerts"] == []
    assert berta.patch(f"{PATH}/{watched['watch_id']}", json={"enabled": False}).status_code == 404
    assert anna.get(PATH).json()["watched_searches"][0]["alerts"] == 3
    shown = [each for each in audited(installation.settings) if each["event"] in {"alerts", "image"}]
    assert [(each["event"], len(each["results"])) for each in shown] == [("alerts", 2), ("alerts", 1)]
    assert anna.get("/v1/alerts?cursor=x").status_code == 422


def test_an_erased_person_leaves_no_alert(anna: TestClient, installation: Installation) -> None:
    anna.post(PATH, json=RED)
    installation.pass_by("red", "red")
    installation.gallery.erase(CropFilter(tracks=("track/10",)))
    assert [alert["track_id"] for alert in anna.get("/v1/alerts").json()["alerts"]] == ["track/11"]


def test_in_quiet_hours_and_over_the_limit_alerts_wait_and_the_list_says_so(
    anna: TestClient, installation: Installation
) -> None:
    always = {"start": "00:00", "end": "23:59", "time_zone": "UTC"}
    quiet = anna.post(PATH, json={**RED, "quiet_hours": always}).json()
    few = anna.post(PATH, json={**RED, "most_per_hour": 1}).json()
    installation.service.alerts.stored.alerts._clock = lambda _: 12 * 3_600_000  # noon
    installation.pass_by("red", "red")
    listed = {each["watch_id"]: each for each in anna.get(PATH).json()["watched_searches"]}
    assert [(listed[each["watch_id"]]["alerts"], listed[each["watch_id"]]["waiting"]) for each in (quiet, few)] == [
        (2, 2),
        (2, 1),
    ]
    assert listed[quiet["watch_id"]]["quiet"]
    waiting = [alert["released_at"] is None for alert in anna.get("/v1/alerts").json()["alerts"]]
    assert sorted(waiting) == [False, True, True, True]
    anna.patch(f"{PATH}/{quiet['watch_id']}", json={"quiet_hours": None})
    installation.service.alerts.compare()
    assert anna.get(PATH).json()["watched_searches"][0]["waiting"] == 0


def test_searches_of_a_key_that_was_revoked_are_switched_off(berta: TestClient, installation: Installation) -> None:
    berta.post(PATH, json=RED)
    assert open_keys(installation.settings).revoke("berta", installation.service.alerts.stored.alerts.now()) == 1
    installation.pass_by("red")
    [ended] = installation.service.alerts.stored.watches.of_owner("berta")
    assert (ended.enabled, "no longer accepted" in ended.ended) == (False, True)
    assert installation.service.alerts.stored.alerts.latest("berta", 9) == []
    assert audited(installation.settings)[-1]["action"] == "ended"


def test_webhooks_need_a_secret(home: Path) -> None:
    installation = Installation(ServingSettings(home=home, api_keys=KEY, alerts=True))
    refused = installation.client().post(PATH, json={**RED, "webhook": "https://example.org/hook"})
    assert (refused.status_code, "PERSONSEARCH_ALERT_SECRET" in refused.json()["detail"]) == (422, True)


def test_a_webhook_is_told_by_the_replica_that_leads(anna: TestClient, installation: Installation) -> None:
    with Receiver() as receiver:
        anna.post(PATH, json={**RED, "webhook": receiver.address})
        installation.pass_by("red")
        assert installation.service.alerts.deliver() == 0.0
    [(_, body)] = receiver.taken
    [alert] = anna.get("/v1/alerts").json()["alerts"]
    assert (json.loads(body)["alert_id"], alert["delivery"]) == (alert["alert_id"], "delivered")
    metrics = anna.get("/metrics").text
    assert 'personsearch_alert_webhooks_total{outcome="delivered"} 1.0' in metrics
    assert "personsearch_alerts_raised_total 1.0" in metrics


def test_a_server_ends_although_a_stream_is_open(settings: ServingSettings) -> None:
    installation = Installation(settings)
    config = uvicorn.Config(installation.app, host="127.0.0.1", port=0, log_level="warning", http=Connection)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with httpx.stream("GET", f"{address}/v1/alerts/events", headers={"X-API-Key": KEY}, timeout=120) as stream:
        assert next(stream.iter_lines()) == "retry: 2000"
        server.should_exit = True
        thread.join(120)
        assert not thread.is_alive()


def test_a_stream_says_where_it_begins_so_that_none_is_lost_before_the_first(settings: ServingSettings) -> None:
    installation = Installation(settings)
    with (
        search_service(settings, installation.source) as address,
        httpx.Client(base_url=address, headers={"X-API-Key": KEY}, timeout=120, trust_env=False) as client,
    ):
        client.post(PATH, json=RED).raise_for_status()
        with client.stream("GET", "/v1/alerts/events") as stream:
            lines = stream.iter_lines()
            assert [next(lines) for _ in range(3)] == ["retry: 2000", "id: 0", ""]
        installation.pass_by("red")
        with client.stream("GET", "/v1/alerts/events", headers={"Last-Event-ID": "0"}) as stream:
            assert Events(stream.iter_lines()).next()[1]["track_id"] == "track/10"
    installation.service.alerts.stop()


def test_a_stream_ends_with_its_key(settings: ServingSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.routes.alerts.QUIET_SECONDS", 0.5)
    installation, keys = Installation(settings), open_keys(settings)
    named = {"X-API-Key": make_key(keys, "berta")}
    make_key(keys, "carla")
    with (
        search_service(settings, installation.source) as address,
        httpx.Client(base_url=address, headers=named, timeout=120, trust_env=False) as client,
        client.stream("GET", "/v1/alerts/events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        assert keys.revoke("berta", installation.service.alerts.stored.alerts.now()) == 1
        until = time.monotonic() + 300
        for _ in lines:
            assert time.monotonic() < until, "the stream outlives its key"
        assert client.get("/v1/alerts/events").status_code == 401
    installation.service.alerts.stop()


def test_nothing_is_told_once_the_key_has_ended(settings: ServingSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before anybody looks whether it has."""
    monkeypatch.setattr("serving.routes.alerts.KEY_SECONDS", 1000.0)
    installation, keys = Installation(settings), open_keys(settings)
    named = {"X-API-Key": make_key(keys, "berta")}
    with (
        search_service(settings, installation.source) as address,
        httpx.Client(base_url=address, headers=named, timeout=120, trust_env=False) as client,
    ):
        client.post(PATH, json=RED).raise_for_status()
        with client.stream("GET", "/v1/alerts/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            monkeypatch.setattr("serving.alert_watch.AlertWatch._end_revoked", lambda _: None)
            keys.revoke("berta", installation.service.alerts.stored.alerts.now())
            installation.pass_by("red")
            assert not [line for line in lines if line.startswith("event:")]
    installation.service.alerts.stop()


def test_only_so_many_streams_are_open() -> None:
    streams = Streams(of_one=2, of_all=3)
    with streams.opened("a"), streams.opened("a"):
        assert (streams.has_room("a"), streams.has_room("b")) == (False, True)
        with streams.opened("b"):
            assert not streams.has_room("c")
    assert streams.has_room("a")


class Events:
    """What a stream of events says."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def next(self) -> tuple[int, dict[str, object]]:
        """The next alert with its id; comments are passed over."""
        given: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            given |= {name: value} if name in {"id", "event", "data"} else {}
            if not line and "event" in given:
                assert given["event"] == "alert"
                return int(given["id"]), json.loads(given["data"])
        raise AssertionError("the stream has ended")


def test_events_come_as_they_are_raised_and_a_client_that_was_away_misses_none(settings: ServingSettings) -> None:
    """Over a real server, with the threads that compare; it ends while a stream is open."""
    gallery, store = add_figures(settings.gallery_folder, COLOURS), ExactStore()
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    installation = Installation(settings)
    with (
        search_service(settings, installation.source) as address,
        httpx.Client(base_url=address, headers={"X-API-Key": KEY}, timeout=120, trust_env=False) as client,
    ):
        client.post(PATH, json=RED).raise_for_status()
        with client.stream("GET", "/v1/alerts/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            events = Events(stream.iter_lines())
            installation.pass_by("red")
            first, alert = events.next()
            assert (alert["track_id"], alert["name"]) == ("track/10", "red coats")
        installation.pass_by("red", first=11)
        with client.stream("GET", "/v1/alerts/events", headers={"Last-Event-ID": str(first)}) as stream:
            second, alert = Events(stream.iter_lines()).next()
            assert (second > first, alert["track_id"]) == (True, "track/11")
        with client.stream("GET", "/v1/alerts/events", headers={"Last-Event-ID": "999999"}) as stream:
            installation.pass_by("red", first=12)
            assert Events(stream.iter_lines()).next()[1]["track_id"] == "track/12"
    installation.service.alerts.stop()
