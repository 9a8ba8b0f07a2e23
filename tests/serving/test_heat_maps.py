"""`POST /v1/crops/{crop_id}/heat-maps` shows where the model looks, and records who asked."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from personsearch.images import open_image, resize
from personsearch.search.filters import CropFilter
from personsearch.search.heat_map import COVERED, heat_maps
from serving import routes
from serving.settings import ServingSettings
from tests.audit import audited, refused
from tests.serving.colours import ColourEncoder, figure

CROP = "/v1/crops/red-0-1/heat-maps"


def test_each_phrase_has_its_map(client: TestClient) -> None:
    description = " someone in a black and red coat with green shoes "
    answer = client.post(CROP, json={"text": description}).json()
    assert [each["text"] for each in answer["maps"]] == ["someone", "a black and red coat", "green shoes"]
    assert [description.strip()[each["start"] : each["end"]] for each in answer["maps"]] == [
        each["text"] for each in answer["maps"]
    ]
    sentences = ["someone", "a person in a black and red coat", "a person with green shoes"]
    pixels_HW3 = resize(open_image(figure("red")), 32, 16)
    [whole_D] = ColourEncoder().encode_images(pixels_HW3[None])
    expected_PRC = heat_maps(ColourEncoder(), pixels_HW3, whole_D, sentences)
    np.testing.assert_allclose([each["heat"] for each in answer["maps"]], expected_PRC, atol=1e-4)
    assert (answer["rows"], answer["columns"]) == expected_PRC.shape[1:]
    assert (answer["crop_id"], answer["collection"]) == ("red-0-1", "persons_v1_1")
    assert answer["model"]["fingerprint"] == "fingerprint-1"


def test_no_picture_is_encoded_twice(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[bytes] = []
    encode = ColourEncoder.encode_images

    def count(self: ColourEncoder, pixels_NHW3: np.ndarray) -> np.ndarray:
        encoded.extend(pixels_HW3.tobytes() for pixels_HW3 in pixels_NHW3)
        return encode(self, pixels_NHW3)

    monkeypatch.setattr(ColourEncoder, "encode_images", count)
    assert client.post(CROP, json={"text": "a red coat"}).status_code == 200
    whole = resize(open_image(figure("red")), 32, 16).tobytes()
    assert len(encoded) == COVERED + 1
    assert encoded.count(whole) == 1


def test_words_that_name_nothing_are_asked_for_as_they_are(client: TestClient) -> None:
    [only] = client.post(CROP, json={"text": "he is"}).json()["maps"]
    assert (only["text"], only["start"], only["end"]) == ("he is", 0, 5)


def test_a_look_is_audited_before_it_is_answered(client: TestClient, settings: ServingSettings) -> None:
    answer = client.post(CROP, json={"text": "a red coat", "purpose": "case 17"}).json()
    record = audited(settings)[-1]
    assert (record["event"], record["query"], record["purpose"]) == ("heat_map", "a red coat", "case 17")
    assert (record["results"], record["request_id"]) == (["red-0-1"], answer["request_id"])
    assert record["who"].startswith("key-")
    with refused(settings.database_address):
        unrecorded = client.post(CROP, json={"text": "a red coat"})
    assert unrecorded.status_code == 503
    assert "maps" not in unrecorded.json()


def test_a_crop_that_is_not_there_has_none(client: TestClient) -> None:
    response = client.post("/v1/crops/nobody/heat-maps", json={"text": "a red coat"})
    assert (response.status_code, response.json()["detail"]) == (404, "The gallery holds no image of crop 'nobody'.")
    service = client.app.state.service
    service.gallery.erase(CropFilter(crop_ids=("red-0-1",)))
    assert client.post(CROP, json={"text": "a red coat"}).status_code == 404


@pytest.mark.parametrize("body", [{}, {"text": " "}, {"text": "red", "k": 3}, {"text": ["red"]}])
def test_a_wrong_request_is_refused(client: TestClient, body: object) -> None:
    assert client.post(CROP, json=body).status_code == 422


def test_a_model_that_is_too_slow_says_how_slow(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes.heat_maps, "LONGEST_SECONDS", 0.0)
    response = client.post(CROP, json={"text": "a red coat"})
    assert response.status_code == 501
    assert "would take about" in response.json()["detail"]


def test_a_map_counts_as_a_search_for_the_limit(client: TestClient) -> None:
    client.app.state.service.search_limit.per_minute = 1
    client.app.state.service.search_limit._buckets.clear()
    assert client.post(CROP, json={"text": "red"}).status_code == 200
    assert client.post(CROP, json={"text": "red"}).status_code == 429


def test_without_a_live_collection_there_is_no_model(client: TestClient) -> None:
    live = client.app.state.service.live
    with live._looking:  # or the watcher finds the collection again
        live.current = None
        assert client.post(CROP, json={"text": "red"}).status_code == 503
