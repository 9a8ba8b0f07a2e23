"""Nothing about people is served without a key, keys are limited, and responses carry security headers."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from personsearch.errors import UserError
from personsearch.installation.api_keys import local_key, make_key, open_keys
from serving.app import application, create_app
from serving.middleware import without_query
from serving.security import RateLimit
from serving.settings import ServingSettings
from tests.serving.colours import ColourSource
from tests.serving.conftest import KEY

PROTECTED = [
    ("POST", "/v1/search"),
    ("POST", "/v1/embed"),
    ("POST", "/v1/verdicts"),
    ("POST", "/v1/reports"),
    ("GET", "/v1/verdicts?crop_id=red-0-0"),
    ("GET", "/v1/cameras"),
    ("GET", "/v1/status"),
    ("GET", "/v1/crops?camera_id=junction&track_id=track/0"),
    ("GET", "/v1/crops/red-0-0/image"),
    ("GET", "/v1/crops/red-0-0/frame"),
    ("GET", "/v1/crops/red-0-0/clip"),
    ("POST", "/v1/crops/red-0-0/heat-maps"),
    ("POST", "/v1/watched-searches"),
    ("GET", "/v1/watched-searches"),
    ("GET", "/v1/alerts"),
    ("GET", "/v1/alerts/events"),
    ("GET", "/v1/alerts/figures"),
]
VERDICT = {"search_request_id": "1", "crop_id": "red-0-0", "verdict": "confirmed"}
REPORTED = {"search_request_id": "1", "crop_id": "red-0-0"}
BODIES = {
    "/v1/search": {"text": "red"},
    "/v1/embed": {"texts": ["red"]},
    "/v1/verdicts": VERDICT,
    "/v1/reports": {"purpose": "case 17", "candidates": [REPORTED]},
    "/v1/crops/red-0-0/heat-maps": {"text": "red"},
    "/v1/watched-searches": {"name": "red", "text": "red", "threshold": 0.5},
}
OPEN = ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/web/app.js", "/web/style.css"]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x", KEY[:-1], "ä"])
def test_a_key_is_required(client: TestClient, method: str, path: str, key: str | None) -> None:
    del client.headers["X-API-Key"]
    headers = {} if key is None else {"X-API-Key": key.encode()}
    response = client.request(method, path, headers=headers, json={"text": "red"} if method == "POST" else None)
    assert response.status_code == 401
    assert response.headers["www-authenticate"]
    assert "red-" not in response.text


def test_every_route_that_is_not_open_is_protected(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {path.split("?")[0] for _, path in PROTECTED if "/crops/" not in path} <= set(paths)
    assert set(paths["/v1/crops"]) == {"get", "post"}
    for path, operations in paths.items():
        for operation in operations.values():
            assert ("security" in operation) == path.startswith("/v1/")


@pytest.mark.parametrize("path", OPEN)
def test_the_page_and_health_are_open_and_guarded(client: TestClient, path: str) -> None:
    del client.headers["X-API-Key"]
    response = client.get(path)
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"]


def test_serving_does_not_start_without_a_key(home: Path, source: ColourSource) -> None:
    with pytest.raises(UserError, match="no API key"):
        create_app(ServingSettings(home=home), source=source)


def test_anonymous_access_must_be_asked_for(home: Path, source: ColourSource) -> None:
    client = TestClient(create_app(ServingSettings(home=home, allow_anonymous=True), source=source))
    assert client.get("/v1/cameras").status_code == 200
    assert client.get("/v1/cameras", headers={"X-API-Key": "wrong"}).status_code == 401


def test_the_local_key_of_an_installation_is_accepted(home: Path, source: ColourSource) -> None:
    key = local_key(ServingSettings(home=home))
    client = TestClient(create_app(ServingSettings(home=home), source=source))
    assert client.get("/v1/cameras", headers={"X-API-Key": key}).status_code == 200


def test_keys_come_and_go_while_the_service_runs(settings: ServingSettings, source: ColourSource) -> None:
    client, keys = TestClient(create_app(settings, source=source)), open_keys(settings)

    def accepted(key: str) -> bool:
        return client.get("/v1/cameras", headers={"X-API-Key": key}).status_code == 200

    first, second = make_key(keys, "first"), make_key(keys, "second", days=1)
    assert (accepted(first), accepted(second), accepted(KEY)) == (True, True, True)
    keys.revoke("first", datetime.now(UTC))
    assert (accepted(first), accepted(second), accepted(KEY)) == (False, True, True)


def test_a_camera_s_key_sees_nobody(settings: ServingSettings, source: ColourSource) -> None:
    key = make_key(open_keys(settings), "gate 3", scopes=["ingest"])
    client = TestClient(create_app(settings, source=source), headers={"X-API-Key": key})
    for method, path in PROTECTED:
        body = BODIES[path] if method == "POST" else None
        response = client.request(method, path, json=body)
        assert response.status_code == 403, path
        assert response.json()["detail"].startswith("The key 'gate 3' may not search; `personsearch keys create")


def test_an_installation_that_lost_its_last_key_lets_nobody_in(home: Path, source: ColourSource) -> None:
    settings = ServingSettings(home=home)
    key = local_key(settings)
    client = TestClient(create_app(settings, source=source))
    [held] = open_keys(settings).all()
    open_keys(settings).revoke(held.name, datetime.now(UTC))
    for headers in ({"X-API-Key": key}, {}):
        assert client.get("/v1/cameras", headers=headers).status_code == 401
    with pytest.raises(UserError, match="no API key"):
        create_app(settings, source=source)


def test_a_database_that_cannot_be_asked_lets_nobody_in(
    settings: ServingSettings, source: ColourSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(create_app(settings, source=source))

    def fail(_: str) -> None:
        raise UserError("the server has gone")

    monkeypatch.setattr(client.app.state.service.keys._stored, "find", fail)
    assert client.get("/v1/cameras", headers={"X-API-Key": KEY + "x"}).status_code == 503
    assert client.get("/v1/cameras", headers={"X-API-Key": KEY}).status_code == 200


def test_too_many_searches_are_refused_with_a_time_to_wait(settings: ServingSettings, source: ColourSource) -> None:
    app = create_app(settings.model_copy(update={"searches_per_minute": 2}), source=source)
    app.state.service.live.look()
    client = TestClient(app, headers={"X-API-Key": KEY})
    answers = [client.post("/v1/search", json={"text": "red"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 31
    assert client.get("/v1/crops/red-0-0/image").status_code == 200


def test_the_rate_limit_fills_evenly_and_for_each_key() -> None:
    now = 0.0
    limit = RateLimit(60, clock=lambda: now)
    assert [limit.take("a") for _ in range(60)] == [0.0] * 60
    assert limit.take("a") == pytest.approx(1.0)
    assert limit.take("b") == 0.0
    now = 1.5
    assert limit.take("a") == 0.0
    assert limit.take("a") == pytest.approx(0.5)


def test_a_request_id_is_unique_and_begins_with_a_well_formed_one_of_the_client(client: TestClient) -> None:
    given = [client.get("/healthz", headers={"X-Request-ID": "trace-7"}).headers["x-request-id"] for _ in range(2)]
    assert all(request_id.startswith("trace-7.") for request_id in given)
    assert given[0] != given[1]
    odd = client.get("/healthz", headers={"X-Request-ID": "<script>"}).headers["x-request-id"]
    assert odd.isalnum()


@pytest.mark.parametrize("path", [*OPEN, "/v1/cameras", "/v1/crops/red-0-0/image", "/nowhere", "/v1/search"])
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # which have just counted a request
        assert head.headers["content-length"] == get.headers["content-length"]


def test_an_address_in_the_access_log_has_no_query(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("uvicorn.access")
    arguments = ("127.0.0.1:9", "GET", f"/?key={KEY}", "1.1", 200)  # as uvicorn gives them
    log.addFilter(without_query)
    try:
        with caplog.at_level("INFO", logger="uvicorn.access"):
            log.info('%s - "%s %s HTTP/%s" %d', *arguments)
    finally:
        log.removeFilter(without_query)
    assert caplog.messages == ['127.0.0.1:9 - "GET / HTTP/1.1" 200']


def test_the_service_cuts_queries_off_the_access_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(home))
    monkeypatch.setenv("PERSONSEARCH_ALLOW_ANONYMOUS", "true")
    log = logging.getLogger("uvicorn.access")
    monkeypatch.setattr(log, "filters", [])
    application()
    assert without_query in log.filters


@pytest.mark.parametrize(
    "path", ["/nowhere", "/web/../app.py", "/web/%2e%2e/app.py", "/v1/crops/..%2f..%2fgallery.db/image"]
)
def test_unknown_addresses_are_problems(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code in (404, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_pictures_tracks_and_cameras(client: TestClient, source: ColourSource) -> None:
    image = client.get("/v1/crops/red-0-0/image")
    assert image.headers["content-type"] == "image/jpeg"
    assert image.content.startswith(b"\xff\xd8\xff")
    assert image.headers["cache-control"].startswith("private")
    assert client.get("/v1/crops/nobody/image").status_code == 404
    track = client.get("/v1/crops", params={"camera_id": "junction", "track_id": "track/0"}).json()
    assert [crop["crop_id"] for crop in track["crops"]] == ["red-0-0", "red-0-1", "red-0-2"]
    elsewhere = client.get("/v1/crops", params={"camera_id": "north-door", "track_id": "track/0"}).json()
    assert elsewhere["crops"] == []
    cameras = client.get("/v1/cameras").json()["cameras"]
    assert [(camera["camera_id"], camera["crops"]) for camera in cameras] == [("junction", 9), ("north-door", 9)]


def test_our_own_mistake_is_a_problem_without_its_traceback(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = client.app.state.service.gallery
    monkeypatch.setattr(gallery, "cameras", lambda: 1 / 0)
    response = client.get("/v1/cameras")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "division" not in response.text
    assert response.json()["request_id"] == response.headers["x-request-id"]
