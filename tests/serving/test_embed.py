"""`POST /v1/embed` gives the vectors that the live collection holds, and records who asked for them."""

import base64
import hashlib
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient

from personsearch.images import open_image, resize
from serving.settings import ServingSettings
from tests.audit import audited, refused
from tests.serving.colours import COLOURS, WORDS_READ, ColourEncoder, figure


def embed(client: TestClient, **body: object) -> dict[str, object]:
    response = client.post("/v1/embed", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def sent(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def test_a_text_becomes_the_vector_that_finds_its_crops(client: TestClient) -> None:
    answer = embed(client, texts=["a red coat", " green "])
    expected_ND = ColourEncoder().encode_texts(["a red coat", "green"])
    np.testing.assert_allclose(answer["text_vectors"], expected_ND, atol=1e-6)
    assert answer["image_vectors"] == []
    assert answer["dimensions"] == len(COLOURS)
    assert answer["collection"] == "persons_v1_1"
    assert answer["model"] == {"name": "colours", "version": "1", "fingerprint": "fingerprint-1"}


def test_a_picture_becomes_the_vector_that_indexing_gives_it(client: TestClient) -> None:
    answer = embed(client, images=[sent(figure("blue")), sent(figure("yellow"))])
    pixels_NHW3 = np.stack([resize(open_image(figure(colour)), 32, 16) for colour in ("blue", "yellow")])
    np.testing.assert_allclose(answer["image_vectors"], ColourEncoder().encode_images(pixels_NHW3), atol=1e-6)


def test_a_text_that_is_not_read_to_its_end_is_told(client: TestClient) -> None:
    words = ["red"] * (WORDS_READ + 2)
    answer = embed(client, texts=["red", " ".join(words)])
    assert answer["text_cut_after"] == [None, len(" ".join(words[:WORDS_READ]))]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"texts": []}, "body"),
        ({"texts": ["  "]}, "texts.0"),
        ({"texts": ["red", "\x1c"]}, "texts.1"),
        ({"texts": ["red"] * 65}, "texts"),
        ({"texts": "red"}, "texts"),
        ({"text": "red"}, "text"),
        ({"images": ["no base64!"]}, "images.0"),
        ({"images": [sent(figure("red")), sent(b"no picture")]}, "images.1"),
        ({"images": [sent(b"x" * (2**20 + 1))]}, "images.0"),
        ({"images": [sent(figure("red"))] * 17}, "images"),
    ],
)
def test_a_wrong_request_names_the_field(client: TestClient, body: object, field: str) -> None:
    response = client.post("/v1/embed", json=body)
    assert response.status_code == 422, response.text
    assert field in {wrong["field"] for wrong in response.json()["errors"]}


def test_pictures_may_be_larger_than_other_bodies(client: TestClient, settings: ServingSettings) -> None:
    body = json.dumps({"texts": ["red"]}) + " " * settings.max_body_bytes
    headers = {"Content-Type": "application/json"}
    assert client.post("/v1/embed", content=body, headers=headers).status_code == 200
    assert client.post("/v1/verdicts", content=body, headers=headers).status_code == 413
    too_large = body + " " * settings.max_ingest_bytes
    assert client.post("/v1/embed", content=too_large, headers=headers).status_code == 413


def test_every_request_is_audited_before_it_is_answered(client: TestClient, settings: ServingSettings) -> None:
    answer = embed(client, texts=["a red coat"], images=[sent(figure("red"))], purpose="case 17")
    record = audited(settings)[-1]
    assert (record["event"], record["purpose"], record["request_id"]) == ("embed", "case 17", answer["request_id"])
    assert record["who"].startswith("key-")
    assert record["texts"] == ["a red coat"]
    assert record["images"] == [hashlib.sha256(figure("red")).hexdigest()]
    assert (record["collection"], record["fingerprint"]) == ("persons_v1_1", "fingerprint-1")


def test_without_an_audit_record_there_is_no_vector(client: TestClient, settings: ServingSettings) -> None:
    with refused(settings.database_address):
        response = client.post("/v1/embed", json={"texts": ["a red coat"]})
    assert response.status_code == 503
    assert "vectors" not in response.text


def test_vectors_count_as_searches_for_the_limit(client: TestClient) -> None:
    client.app.state.service.search_limit.per_minute = 1
    client.app.state.service.search_limit._buckets.clear()
    embed(client, texts=["red"])
    response = client.post("/v1/embed", json={"texts": ["red"]})
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) > 0


def test_metrics_count_and_never_hold_a_text(client: TestClient) -> None:
    embed(client, texts=["a very secret description", "red"])
    metrics = client.get("/metrics").text
    assert 'personsearch_embedded_total{kind="text"} 2.0' in metrics
    assert "secret" not in metrics


def test_without_a_live_collection_there_is_no_model(client: TestClient) -> None:
    live = client.app.state.service.live
    with live._looking:  # or the watcher finds the collection again
        live.current = None
        response = client.post("/v1/embed", json={"texts": ["red"]})
    assert response.status_code == 503
    assert response.json()["detail"].startswith("Not ready")
