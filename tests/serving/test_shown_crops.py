"""Every picture that is delivered is named by a record of the last hour, for the person who got it."""

import pytest
from fastapi.testclient import TestClient

from serving.settings import ServingSettings
from serving.shown_crops import VALID_SECONDS, ShownCrops
from tests.audit import audited, is_intact, refused


def look(client: TestClient, crop_id: str) -> None:
    assert client.get(f"/v1/crops/{crop_id}/image").status_code == 200


def test_a_picture_that_nobody_searched_for_is_recorded_once(client: TestClient, settings: ServingSettings) -> None:
    look(client, "red-0-0")
    look(client, "red-0-0")
    (record,) = audited(settings)
    assert (record["event"], record["results"]) == ("image", ["red-0-0"])
    assert str(record["who"]).startswith("key-")
    assert record["request_id"]


def test_the_pictures_of_a_search_are_in_its_record(client: TestClient, settings: ServingSettings) -> None:
    answer = client.post("/v1/search", json={"text": "a red coat"}).json()
    for candidate in answer["candidates"]:
        look(client, candidate["crop_id"])
    assert [record["event"] for record in audited(settings)] == ["search"]


def test_a_track_is_recorded_with_its_crops(client: TestClient, settings: ServingSettings) -> None:
    where = {"camera_id": "junction", "track_id": "track/0", "limit": 2}
    for crop in client.get("/v1/crops", params=where).json()["crops"]:
        look(client, crop["crop_id"])
    look(client, "red-0-2")  # the limit left it out
    track, image = audited(settings)
    assert (track["event"], track["camera_id"], track["track_id"]) == ("track", "junction", "track/0")
    assert track["results"] == ["red-0-0", "red-0-1"]
    assert image["results"] == ["red-0-2"]
    assert is_intact(settings)


@pytest.mark.parametrize("path", ["/v1/crops/red-0-0/image", "/v1/crops?camera_id=junction&track_id=track/0"])
def test_without_a_record_nothing_is_shown(client: TestClient, settings: ServingSettings, path: str) -> None:
    with refused(settings.database_address):
        response = client.get(path)
    assert response.status_code == 503
    assert "audit" in response.json()["detail"]
    assert client.get(path).status_code == 200
    assert len(audited(settings)) == 1


def test_what_is_not_there_is_not_recorded(client: TestClient, settings: ServingSettings) -> None:
    assert client.get("/v1/crops/nobody/image").status_code == 404
    assert audited(settings) == []


def test_what_one_caller_was_shown_another_was_not() -> None:
    now = 0.0
    shown = ShownCrops(kept=3, clock=lambda: now)
    shown.add("a", ["1", "2"])
    assert [shown.holds("a", "1"), shown.holds("b", "1"), shown.holds("a", "3")] == [True, False, False]
    now = VALID_SECONDS - 1
    shown.add("a", ["2"])
    assert shown.holds("a", "1")
    now = VALID_SECONDS
    assert [shown.holds("a", "1"), shown.holds("a", "2")] == [False, True]
    shown.add("b", ["3", "4"])
    assert [shown.holds("a", "1"), shown.holds("a", "2"), shown.holds("b", "4")] == [False, True, True]
