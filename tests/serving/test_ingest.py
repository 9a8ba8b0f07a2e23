"""`POST /v1/crops`: what a camera sends is stored once, judged crop by crop, recorded, and bounded."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from personsearch.gallery.store import Gallery
from personsearch.installation.api_keys import make_key, open_keys
from personsearch.search.crop import BoundingBox
from personsearch.search.filters import CropFilter
from serving.app import create_app
from serving.backlog import Backlog
from serving.settings import ServingSettings
from tests.audit import audited, refused
from tests.serving.colours import ColourSource, figure

PATH = "/v1/crops"
RED, BLUE = (base64.b64encode(figure(colour)).decode() for colour in ("red", "blue"))


def sent(crop_id: str = "gate3-1", **fields: Any) -> dict[str, Any]:
    return {"crop_id": crop_id, "camera_id": "gate 3", "captured_at": "2026-03-01T10:00:00.5Z", "image": RED} | fields


def picture(width: int, height: int, kind: str = "JPEG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def camera(settings: ServingSettings, source: ColourSource) -> Iterator[TestClient]:
    """A client with a key that allows sending crops and nothing else."""
    key = make_key(open_keys(settings), "gate 3", scopes=["ingest"])
    app = create_app(settings, source=source)
    with TestClient(app, headers={"X-API-Key": key}, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def gallery(source: ColourSource) -> Gallery:
    return source.gallery


def post(client: TestClient, *crops: dict[str, Any]) -> Any:
    return client.post(PATH, json={"crops": list(crops)})


def test_a_crop_is_stored_with_all_that_was_said_of_it(camera: TestClient, gallery: Gallery) -> None:
    box = {"x": -3, "y": 20, "width": 64, "height": 128}
    answer = post(camera, sent(track_id="7", bbox=box, score=0.75, frame_uri="frame 9"), sent("gate3-2"))
    assert answer.status_code == 201
    assert answer.json()["crops"][0] == {"crop_id": "gate3-1", "status": 201, "detail": "stored"}
    crop, other = gallery.crop("gate3-1"), gallery.crop("gate3-2")
    assert crop is not None
    assert other is not None
    assert (crop.camera_id, crop.track_id, crop.frame_uri, crop.quality) == ("gate 3", "7", "frame 9", 0.75)
    assert crop.captured_at == datetime(2026, 3, 1, 10, 0, 0, 500_000, UTC)
    assert crop.bbox == BoundingBox(-3, 20, 64, 128)
    assert gallery.picture(crop) == figure("red")
    assert (other.track_id, other.bbox, other.quality) == ("gate3-2", BoundingBox(0, 0, 64, 128), 1.0)


def test_a_token_in_the_address_of_a_frame_is_not_stored(camera: TestClient, gallery: Gallery) -> None:
    crop = sent(frame_uri="rtsp://10.0.0.7/a?token=hunter2")
    assert [post(camera, crop).status_code for _ in range(2)] == [201, 200]
    stored = gallery.crop("gate3-1")
    assert stored is not None
    assert stored.frame_uri == "rtsp://10.0.0.7/a?token=***"


def test_what_is_sent_again_changes_nothing(camera: TestClient, gallery: Gallery) -> None:
    assert post(camera, sent()).status_code == 201
    before = gallery.last_sequence()
    again = post(camera, sent(captured_at="2026-03-01T11:00:00.500400+01:00"))
    assert again.status_code == 200
    assert again.json()["crops"] == [{"crop_id": "gate3-1", "status": 200, "detail": "there already"}]
    assert post(camera, sent(), sent("gate3-2")).status_code == 201
    assert gallery.last_sequence() == before + 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("camera_id", "gate 4"),
        ("captured_at", "2026-03-01T10:00:01Z"),
        ("image", BLUE),
        ("track_id", "8"),
        ("score", 0.5),
        ("bbox", {"x": 1, "y": 1, "width": 64, "height": 128}),
    ],
)
def test_the_same_id_with_other_content_is_a_conflict(
    camera: TestClient, gallery: Gallery, field: str, value: Any
) -> None:
    post(camera, sent())
    answer = post(camera, sent(**{field: value}))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] == [
        {
            "field": "crops.0",
            "message": "gate3-1: the gallery holds another crop of this id "
            f"({'quality' if field == 'score' else field} differ)",
        }
    ]
    crop = gallery.crop("gate3-1")
    assert crop is not None
    assert gallery.picture(crop) == figure("red")


def test_each_crop_of_a_batch_has_its_own_answer(camera: TestClient, gallery: Gallery) -> None:
    post(camera, sent("old"), sent("gone"))
    gallery.erase(CropFilter(crop_ids=("gone",)))
    answer = post(
        camera, sent("new"), sent("old"), sent("gone"), sent("new"), sent("new", image=BLUE), sent("bad", image="/9j/")
    )
    assert answer.status_code == 207
    assert [crop["status"] for crop in answer.json()["crops"]] == [201, 200, 410, 200, 409, 422]
    assert gallery.crop("gone") is None
    assert gallery.crop("new") is not None
    assert post(camera, sent("gone")).status_code == 410


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"image": "no base64!"}, "image: not base64"),
        ({"image": ""}, "image: not a JPEG picture"),
        ({"image": picture(8, 8, "PNG")}, "image: not a JPEG picture"),
        ({"image": RED[: len(RED) // 8 * 4]}, "image: cannot be decoded"),
        ({"image": picture(4000, 1001)}, "image: 4000×1001 pixels; at most 4,000,000 are read"),
        ({"image": base64.b64encode(b"\xff\xd8\xff" + bytes(1_048_574)).decode()}, "image: 1,048,577 bytes"),
        ({"camera_id": " gate"}, "printable characters expected"),
        ({"captured_at": (datetime.now(UTC) + timedelta(days=3)).isoformat()}, "is the camera's clock right?"),
    ],
)
def test_an_unsound_crop_is_refused_with_the_reason(
    camera: TestClient, gallery: Gallery, fields: dict[str, Any], reason: str
) -> None:
    answer = post(camera, sent(**fields))
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]
    assert gallery.crop("gate3-1") is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"captured_at": "2026-03-01T10:00:00"}, "captured_at"),
        ({"captured_at": 1772366400}, "captured_at"),
        ({"crop_id": "../../etc/passwd"}, "crop_id"),
        ({"crop_id": "a\n"}, "crop_id"),
        ({"track_id": "a\n"}, "track_id"),
        ({"score": 1.5}, "score"),
        ({"bbox": {"x": 1, "y": 1, "width": 0, "height": 5}}, "bbox.width"),
        ({"embedding": [1]}, "embedding"),
    ],
)
def test_a_malformed_request_names_the_field_and_stores_nothing(
    camera: TestClient, gallery: Gallery, fields: dict[str, Any], field: str
) -> None:
    answer = post(camera, sent("sound"), sent(**fields))
    assert answer.status_code == 422
    assert [wrong["field"] for wrong in answer.json()["errors"]] == [f"crops.1.{field}"]
    assert gallery.crop("sound") is None


def test_a_batch_has_a_length_and_a_size(settings: ServingSettings, source: ColourSource) -> None:
    small = settings.model_copy(update={"max_ingest_bytes": 200_000})
    key = make_key(open_keys(small), "gate 3", scopes=["ingest"])
    camera = TestClient(create_app(small, source=source), headers={"X-API-Key": key})
    assert post(camera).status_code == 422
    assert post(camera, *[sent(str(number), image="") for number in range(101)]).status_code == 422
    assert post(camera, sent(image="A" * 200_000)).status_code == 413
    assert post(camera, sent(image="A" * 190_000)).status_code == 422
    assert camera.post("/v1/verdicts", content=b" " * 100_000).status_code == 413


def test_a_key_that_searches_cannot_send(client: TestClient, camera: TestClient, settings: ServingSettings) -> None:
    answer = post(client, sent())
    assert answer.status_code == 403
    assert "may not send crops; `personsearch keys create NAME --scope ingest`" in answer.json()["detail"]
    for headers in ({"X-API-Key": "wrong"}, {"X-API-Key": ""}):
        assert client.post(PATH, json={"crops": [sent()]}, headers=headers).status_code == 401
    both = make_key(open_keys(settings), "both", scopes=["search", "ingest"])
    client.headers["X-API-Key"] = both
    assert post(client, sent()).status_code == 201
    assert client.get("/v1/crops/gate3-1/image").content == figure("red")


def test_anonymous_callers_cannot_send(settings: ServingSettings, source: ColourSource) -> None:
    open_to_all = settings.model_copy(update={"allow_anonymous": True})
    assert post(TestClient(create_app(open_to_all, source=source)), sent()).status_code == 403


def test_every_request_is_recorded_before_anything_is_stored(
    camera: TestClient, settings: ServingSettings, gallery: Gallery
) -> None:
    post(camera, sent("a"), sent("b", image="no"))
    post(camera, sent("a"))
    first, second = audited(settings)
    assert (first["event"], first["who"], first["stored"], first["refused"]) == ("crops", "gate 3", ["a"], ["b"])
    assert first["request_id"]
    assert second["there_already"] == ["a"]
    with refused(settings.database_address):
        answer = post(camera, sent("c"))
    assert answer.status_code == 503
    assert "audit" in answer.json()["detail"]
    assert gallery.crop("c") is None


def test_a_backlog_is_told_with_a_time_to_wait(settings: ServingSettings, source: ColourSource) -> None:
    app = create_app(settings.model_copy(update={"ingest_backlog": 1}), source=source)
    key = make_key(open_keys(settings), "gate 3", scopes=["ingest"])
    camera = TestClient(app, headers={"X-API-Key": key})
    assert post(camera, sent("a"), sent("b")).status_code == 201  # nothing is live yet: the gallery is being filled
    app.state.service.live.look()
    refused = post(camera, sent("c"))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert "2 crops wait to be indexed, at most 1 expected" in refused.json()["detail"]
    source.gallery.erase(CropFilter(crop_ids=("a",)))
    app.state.service.backlog._counted = None
    assert post(camera, sent("c")).status_code == 201


def test_the_backlog_is_counted_now_and_then(gallery: Gallery, client: TestClient) -> None:
    now = 0.0
    backlog = Backlog(gallery, client.app.state.service.live, clock=lambda: now)  # type: ignore[attr-defined]
    assert backlog.crops() == 0
    gallery.erase(CropFilter(crop_ids=("red-0-0",)))
    assert backlog.crops() == 0
    now = 2.0
    assert backlog.crops() == 0  # the collection still holds more than the gallery


def test_no_more_requests_are_read_than_agreed(
    settings: ServingSettings, source: ColourSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings.model_copy(update={"ingest_at_once": 1}), source=source)
    key = make_key(open_keys(settings), "gate 3", scopes=["ingest"])
    entered, leave = Event(), Event()

    def slow(*_: object) -> int:
        entered.set()
        assert leave.wait(30)
        return 0

    monkeypatch.setattr(app.state.service.backlog, "crops", slow)
    with TestClient(app, headers={"X-API-Key": key}) as camera, ThreadPoolExecutor() as pool:
        first = pool.submit(post, camera, sent("a"))
        assert entered.wait(30)
        second = post(camera, sent("b"))
        leave.set()
        assert first.result().status_code == 201
        assert (second.status_code, second.headers["retry-after"]) == (429, "1")
        assert post(camera, sent("b")).status_code == 201


def test_the_same_crop_sent_by_many_at_once_is_stored_once(camera: TestClient, gallery: Gallery) -> None:
    before = gallery.last_sequence()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(camera, sent("a"), sent("b")), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert gallery.last_sequence() == before + 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@examples(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(fields=st.dictionaries(st.sampled_from(sorted(sent() | {"track_id": 0, "bbox": 0, "score": 0})), json_values))
def test_whatever_is_sent_has_a_documented_answer(camera: TestClient, fields: dict[str, Any]) -> None:
    body = json.dumps({"crops": [sent() | fields]})  # also lone surrogates, escaped
    answer = camera.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {200, 201, 409, 422}
    assert answer.json()["request_id"]
