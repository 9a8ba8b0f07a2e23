"""Cameras with names and groups, and searches by group and by the time of day of each camera."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from personsearch.gallery.cameras import CameraDetails
from serving.app import create_app
from serving.settings import ServingSettings
from tests.audit import audited
from tests.serving.colours import ColourSource
from tests.serving.conftest import KEY
from tests.serving.test_search import ask


def know(client: TestClient, *cameras: CameraDetails) -> None:
    client.app.state.service.cameras.put(cameras)


def found(client: TestClient, **body: object) -> set[str]:
    return {candidate["camera_id"] for candidate in ask(client, "a red coat", k=50, **body)["candidates"]}


def test_cameras_have_names_groups_and_zones(client: TestClient) -> None:
    know(client, CameraDetails("junction", "Kreuzung Süd", "outside", "Europe/Vienna"), CameraDetails("later", "Later"))
    keys = ("camera_id", "name", "group", "zone", "crops")
    for path in ("/v1/cameras", "/v1/status"):
        cameras = client.get(path).json()["cameras"]
        assert [tuple(camera[key] for key in keys) for camera in cameras] == [
            ("junction", "Kreuzung Süd", "outside", "Europe/Vienna", 9),
            ("north-door", "north-door", "", "UTC", 9),
        ]


def test_a_group_is_resolved_here(client: TestClient, settings: ServingSettings) -> None:
    know(client, CameraDetails("junction", group="outside"), CameraDetails("north-door", group="doors"))
    assert found(client, camera_groups=["outside"]) == {"junction"}
    assert found(client, camera_groups=["doors"], cameras=["junction"]) == {"junction", "north-door"}
    assert audited(settings)[-1]["filters"]["camera_groups"] == ["doors"]


def test_a_group_that_is_none_is_named(client: TestClient) -> None:
    know(client, CameraDetails("junction", group="outside"))
    response = client.post("/v1/search", json={"text": "red", "camera_groups": ["inside"]})
    assert response.status_code == 422
    assert response.json()["detail"] == "camera_groups: no group 'inside'; outside"
    assert response.json()["errors"][0]["field"] == "camera_groups"


def test_the_time_of_day_is_that_of_the_camera(client: TestClient, settings: ServingSettings) -> None:
    """All crops are of 09:00 to 09:06 UTC, which is 10:00 in Vienna and 18:00 in Tokyo."""
    know(client, CameraDetails("junction", zone="Europe/Vienna"), CameraDetails("north-door", zone="Asia/Tokyo"))
    assert found(client, daily_after="10:00", daily_before="11:00") == {"junction"}
    assert found(client, daily_after="17:00", daily_before="10:30") == {"junction", "north-door"}
    assert found(client, daily_after="22:00", daily_before="06:00") == set()
    assert found(client, daily_before="10:01") == {"junction"}
    assert audited(settings)[-1]["filters"]["daily_before"] == "10:01"
    moments = [each["captured_at"] for each in ask(client, k=50, daily_before="10:03")["candidates"]]
    assert {datetime.fromisoformat(each).astimezone(ZoneInfo("Europe/Vienna")).minute for each in moments} == {0, 2}


def test_a_camera_without_a_zone_has_that_of_the_installation(settings: ServingSettings, source: ColourSource) -> None:
    app = create_app(settings.model_copy(update={"time_zone": "America/New_York"}), source=source)
    app.state.service.live.look()
    with TestClient(app, headers={"X-API-Key": KEY}) as client:
        assert found(client, daily_after="04:00", daily_before="05:00") == {"junction", "north-door"}
        assert client.get("/v1/cameras").json()["cameras"][0]["zone"] == "America/New_York"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"daily_after": "22:00", "daily_before": "22:00"}, "body"),
        ({"daily_after": "00:00"}, "body"),
        ({"daily_after": "24:00"}, "daily_after"),
        ({"daily_before": "6:00"}, "daily_before"),
        ({"daily_before": 360}, "daily_before"),
        ({"daily_before": "06:00Z"}, "daily_before"),
        ({"camera_groups": []}, "camera_groups"),
        ({"sort": "random"}, "sort"),
    ],
)
def test_a_wrong_place_or_time_names_the_field(client: TestClient, body: dict[str, object], field: str) -> None:
    response = client.post("/v1/search", json={"text": "red", **body})
    assert response.status_code == 422
    assert {wrong["field"] for wrong in response.json()["errors"]} == {field}
