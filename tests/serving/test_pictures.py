"""Pictures come from whichever store the settings name; one that fails is not a picture that is missing."""

import base64
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.installation.api_keys import make_key, open_keys
from personsearch.installation.platforms import open_gallery
from serving.app import create_app
from serving.settings import ServingSettings
from tests.audit import audited
from tests.crops import make_crop
from tests.servers.s3 import S3Server
from tests.serving.colours import ColourSource, figure
from tests.serving.conftest import KEY


def fail(name: str) -> bytes:
    raise UserError("s3://site: http://127.0.0.1:9 cannot be reached")


@pytest.fixture
def in_s3(s3: S3Server, settings: ServingSettings, source: ColourSource) -> Iterator[TestClient]:
    elsewhere = settings.model_copy(update={"crops": s3.new_place()})
    open_gallery(elsewhere).add([(make_crop("one"), figure("red"))])
    app = create_app(elsewhere, source=source)
    with TestClient(app, headers={"X-API-Key": KEY}, raise_server_exceptions=False) as client:
        yield client


def gallery_of(client: TestClient) -> Gallery:
    gallery = client.app.state.service.gallery  # type: ignore[attr-defined]
    assert isinstance(gallery, Gallery)
    return gallery


def test_a_picture_comes_from_s3_with_a_record(in_s3: TestClient, settings: ServingSettings) -> None:
    answer = in_s3.get("/v1/crops/one/image")
    assert (answer.content, answer.headers["content-type"]) == (figure("red"), "image/jpeg")
    assert answer.headers["cache-control"] == "private, no-store"
    assert [(record["event"], record["results"]) for record in audited(settings)] == [("image", ["one"])]


def test_a_picture_that_is_gone_is_not_found(in_s3: TestClient, settings: ServingSettings) -> None:
    gallery = gallery_of(in_s3)
    crop = gallery.crop("one")
    assert crop is not None
    gallery.pictures.remove([crop.image_uri])
    assert in_s3.get("/v1/crops/one/image").status_code == 404
    assert audited(settings) == []


def test_a_store_that_fails_is_said_to_fail(
    client: TestClient, settings: ServingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(gallery_of(client).pictures, "read", fail)
        answer = client.get("/v1/crops/red-0-0/image")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "127.0.0.1" not in answer.text
    assert client.get("/v1/crops/red-0-0/image").status_code == 200
    assert len(audited(settings)) == 1


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_crop_that_cannot_be_stored_is_not_refused_for_good(
    settings: ServingSettings, source: ColourSource, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """The camera sends it again, and then it is taken."""
    key = make_key(open_keys(settings), "gate", scopes=["ingest"])
    sent = {"camera_id": "gate", "captured_at": "2026-03-01T10:00:00Z"}
    sent["image"] = base64.b64encode(figure("red")).decode()
    known = {"crop_id": "known", **sent}
    app = create_app(settings, source=source)
    with TestClient(app, headers={"X-API-Key": key}, raise_server_exceptions=False) as camera:
        assert camera.post("/v1/crops", json={"crops": [known]}).status_code == 201
        crops = {"crops": [known, {"crop_id": "new", **sent}]}
        with monkeypatch.context() as patched:
            patched.setattr(gallery_of(camera).pictures, operation, fail)
            assert camera.post("/v1/crops", json=crops).status_code == 503
        assert gallery_of(camera).crop("new") is None
        assert camera.post("/v1/crops", json=crops).json()["crops"][1]["detail"] == "stored"
