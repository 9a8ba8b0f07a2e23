"""The client against a running service: both clients through the same cases."""

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel

from personsearch.client import ApiError, AsyncClient, Client, Retries, Unreachable, models
from personsearch.gallery.cameras import CameraDetails
from personsearch.installation.platforms import open_cameras
from personsearch.search.exact import ExactStore
from serving.document import DOCUMENT
from serving.settings import ServingSettings
from tests.audit import audited
from tests.client.conftest import KEY
from tests.servers.search_service import search_service
from tests.servers.starting import free_port
from tests.serving.colours import ColourEncoder, ColourSource, build_collection, figure
from tests.serving.walks import CROPS, WALK, add_walk

OURS = {
    "SearchResponse": models.Found,
    "CandidateView": models.Candidate,
    "CropView": models.Crop,
    "Box": models.Box,
    "ModelView": models.Model,
    "EmbedResponse": models.Embedded,
    "HeatMap": models.HeatMap,
    "HeatMaps": models.HeatMaps,
    "CameraView": models.Camera,
    "Cameras": models.Cameras,
    "Track": models.Track,
    "VerdictResponse": models.RecordedVerdict,
    "ReportedCandidate": models.ReportedCandidate,
    "BuildView": models.Build,
    "PromotionView": models.Promotion,
    "PromoterView": models.Promoter,
    "DriftView": models.Drift,
    "Status": models.Status,
    "Readiness": models.Readiness,
    "WatchView": models.WatchedSearch,
    "Watches": models.WatchedSearches,
    "QuietHoursView": models.QuietHours,
    "AlertView": models.Alert,
    "Alerts": models.Alerts,
    "AlertFigures": models.AlertFigures,
    "Figures": models.Figures,
    "Stream": models.Stream,
    "Point": models.Point,
    "ProblemDetails": models.ProblemDetails,
    "WrongField": models.WrongField,
}


class Awaited:
    """An AsyncClient that is called like a Client."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = ThreadPoolExecutor(1)  # a browser's tests leave an event loop in the tests' own
        self._client = AsyncClient(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            given = method(*arguments, **options)
            awaited = _collected(given) if hasattr(given, "__aiter__") else given
            return self._thread.submit(self._loop.run_until_complete, awaited).result()

        return call


async def _collected(given: Any) -> list[Any]:
    return [each async for each in given]


@pytest.fixture(params=[Client, Awaited])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def client(kind: Any, address: str) -> Any:
    return kind(address, key=KEY)


def test_a_search_is_filtered_and_typed(client: Any) -> None:
    after = datetime(2026, 3, 1, 9, 1, tzinfo=UTC)
    found = client.search("a red coat", cameras=["junction"], after=after, k=2)
    assert found.collection == "persons_v1_1"
    assert {candidate.camera_id for candidate in found.candidates} == {"junction"}
    assert all(candidate.captured_at >= after for candidate in found.candidates)
    assert found.candidates[0].bbox.width == 64
    assert found.match == "none"


def test_a_search_is_narrowed_to_a_group_and_a_time_of_day_in_the_order_of_time(
    client: Any, settings: ServingSettings
) -> None:
    open_cameras(settings).put([CameraDetails("junction", "Kreuzung", "outside", "Europe/Vienna")])
    asked = {"camera_groups": ["outside"], "daily_after": time(10), "daily_before": time(10, 3), "sort": "oldest"}
    found = list(client.candidates("a red coat", most=10, k=1, **asked))
    assert [candidate.camera_id for candidate in found] == ["junction", "junction"]
    assert [candidate.captured_at.minute for candidate in found] == [0, 2]
    assert [(camera.name, camera.group) for camera in client.cameras()] == [("Kreuzung", "outside"), ("north-door", "")]


def test_a_picture_or_a_crop_is_searched_for(client: Any) -> None:
    found = client.search(image=figure("blue"), k=1)
    assert found.candidates[0].crop_id.startswith("blue-")
    assert found.candidates[0].confidence is None
    assert found.match is None
    alike = client.search(like="blue-2-0", k=10)
    assert len(alike.candidates) == 5
    assert client.search("red green", without=["green"], k=1).candidates[0].crop_id.startswith("red-")


def test_pages_go_on_to_the_end(client: Any) -> None:
    pages = list(client.pages("red green", k=4))
    assert [len(page.candidates) for page in pages] == [4, 2]
    assert [one.rank for one in client.candidates("red green", most=5, k=2)] == [1, 2, 3, 4, 5]


def test_no_page_is_asked_for_in_vain(client: Any, settings: ServingSettings) -> None:
    before = len(audited(settings))
    assert len(list(client.candidates("red green", most=4, k=2))) == 4
    assert len(audited(settings)) - before == 2


def test_vectors_come_from_texts_and_pictures(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "red.jpg"
    path.write_bytes(figure("red"))
    embedded = client.embed(["a red coat"], images=[path, figure("red")], purpose="case 17")
    np.testing.assert_allclose(embedded.text_vectors, ColourEncoder().encode_texts(["a red coat"]), atol=1e-6)
    assert embedded.image_vectors[0] == embedded.image_vectors[1]


def test_maps_show_where_a_description_is_seen(client: Any) -> None:
    found = client.heat_maps("red-0-0", "someone in a red coat", purpose="case 17")
    assert [each.text for each in found.maps] == ["someone", "a red coat"]
    assert np.array(found.maps[1].heat).shape == (found.rows, found.columns)


def test_a_candidate_is_looked_at_and_judged(client: Any, settings: ServingSettings) -> None:
    found = client.search("a red coat", k=1)
    [best] = found.candidates
    assert client.image(best.crop_id).startswith(b"\xff\xd8\xff")
    assert len(client.track(best.camera_id, best.track_id).crops) == 3
    recorded = client.judge(found.request_id, best.crop_id, "confirmed", note="hat")
    assert audited(settings)[-1]["hash"] == recorded.record_hash
    assert audited(settings)[-1]["note"] == "hat"


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service whose gallery holds footage."""
    own = ServingSettings(home=tmp_path_factory.mktemp("walk"), api_keys=KEY)
    gallery, store = add_walk(own.gallery_folder, own.home / "videos"), ExactStore()
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    with search_service(own, ColourSource(store, gallery)) as running:
        yield running


def test_the_footage_around_a_crop_is_looked_at(kind: Any, walk: str, client: Any) -> None:
    viewer = kind(walk, key=KEY, timeout=300.0, retries=Retries(most=20))
    assert Image.open(io.BytesIO(viewer.frame(CROPS[1]))).size == WALK.size
    with av.open(io.BytesIO(viewer.clip(CROPS[1], seconds=0.5))) as container:
        assert len(list(container.decode(video=0))) == 11
    with pytest.raises(ApiError, match="404: There is no footage"):
        client.frame("red-0-0")
    with pytest.raises(ApiError, match="404: There is no footage"):
        client.clip("red-0-0")


def test_how_right_alerts_are_is_typed(client: Any) -> None:
    told = client.alert_figures()
    assert (told.enabled, told.webhooks) == (True, False)
    assert {stream.name for stream in told.measured.streams} == {"synthetic", "footage"}
    assert told.measured.streams[0].points[0].recall > 0


def test_cameras_and_readiness(client: Any) -> None:
    assert [camera.camera_id for camera in client.cameras()] == ["junction", "north-door"]
    assert client.ready().ready


def test_the_state_of_the_installation_is_typed(client: Any) -> None:
    status = client.status()
    assert (status.problem, status.collection, status.model.version) == ("", "persons_v1_1", "1")
    assert (status.crops, status.waiting) == (18, 0)
    assert [(camera.camera_id, camera.crops) for camera in status.cameras] == [("junction", 9), ("north-door", 9)]
    assert (status.builds, status.promotions, status.promoters) == ([], [], [])


def test_chosen_candidates_become_a_report(client: Any, settings: ServingSettings) -> None:
    found = client.search("a red coat", k=2)
    chosen = [
        models.ReportedCandidate(search_request_id=found.request_id, crop_id=each.crop_id) for each in found.candidates
    ]
    archive = zipfile.ZipFile(io.BytesIO(client.report("case 17", chosen, note="for Anna")))
    content = json.loads(archive.read("report.json"))
    assert (content["purpose"], content["note"]) == ("case 17", "for Anna")
    assert [each["crop_id"] for each in content["candidates"]] == [each.crop_id for each in chosen]
    assert audited(settings)[-1]["event"] == "report"
    with pytest.raises(ApiError, match="404"):
        client.report("case 17", [models.ReportedCandidate(search_request_id="none", crop_id="red-0-0")])


def test_a_refusal_says_what_the_service_says(kind: Any, address: str) -> None:
    with pytest.raises(ApiError, match=r"401: The API key is not accepted\. \(request [0-9a-f]{32}\)"):
        kind(address, key="wrong").search("red")
    with pytest.raises(ApiError) as refused:
        kind(address, key=KEY).search("red", k=0)
    assert refused.value.status == 422
    assert [wrong.field for wrong in refused.value.errors] == ["k"]


def test_a_time_needs_a_zone(client: Any) -> None:
    with pytest.raises(ValueError, match=r"after=2026-03-01T09:00:00: a time with a zone expected"):
        client.search("red", after=datetime(2026, 3, 1, 9))


def test_nobody_there_is_said_without_the_key(kind: Any) -> None:
    absent = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable) as failed:
        kind(f"http://proxy:{KEY}@{absent}", key=KEY, retries=Retries(most=1, first_wait=0.01)).cameras()
    assert str(failed.value).startswith(f"http://***@{absent}: ")
    assert KEY not in str(failed.value)


@pytest.mark.parametrize("crop_id", ["a?b", "../../healthz", "a#b", "a%2e", "a\x00b", "ü b"])
def test_the_name_of_a_crop_is_one_part_of_the_path(crop_id: str) -> None:
    client, asked = answering(httpx.Response(200, content=b"picture"))
    assert client.image(crop_id) == b"picture"
    assert asked == [f"/v1/crops/{crop_id}/image"]


def answering(*responses: httpx.Response | Exception) -> tuple[Client, list[str]]:
    """A client whose service gives these responses, one after the other, and what it was asked."""
    left, asked = list(responses), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        response = left.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    retries = Retries(most=3, first_wait=0.001, longest_wait=2.0)
    return Client("http://service.example", key=KEY, retries=retries, transport=httpx.MockTransport(answer)), asked


CAMERAS = httpx.Response(200, json={"cameras": [], "of a later version": 1})


@pytest.mark.parametrize(
    "before",
    [
        [httpx.ConnectError("refused")],
        [httpx.ReadTimeout("slow"), httpx.Response(502)],
        [httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(503), httpx.Response(408)],
    ],
)
def test_what_passes_is_tried_again(before: list[httpx.Response | Exception]) -> None:
    client, asked = answering(*before, CAMERAS)
    assert client.cameras() == []
    assert len(asked) == len(before) + 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_what_stays_is_not_tried_again(status: int) -> None:
    client, asked = answering(httpx.Response(status, text="<html>"))
    with pytest.raises(ApiError) as refused:
        client.cameras()
    assert (refused.value.status, len(asked)) == (status, 1)


def test_tries_end() -> None:
    client, asked = answering(*[httpx.Response(503)] * 4)
    with pytest.raises(ApiError, match="503"):
        client.cameras()
    assert len(asked) == 4
    client, asked = answering(httpx.Response(429, headers={"Retry-After": "3"}))
    with pytest.raises(ApiError, match="429"):
        client.cameras()
    assert len(asked) == 1


def test_a_service_that_is_not_ready_is_an_answer() -> None:
    told = {"ready": False, "problem": "no collection", "collection": None, "model_version": None, "sequence": 0}
    client, asked = answering(httpx.Response(503, json=told))
    assert (client.ready().problem, len(asked)) == ("no collection", 1)


def test_an_answer_of_something_else_is_refused() -> None:
    client, _ = answering(httpx.Response(200, json={"hello": "world"}))
    with pytest.raises(ApiError, match="not an answer of this service"):
        client.cameras()


def test_waits_double_and_are_spread() -> None:
    waits = [Retries(first_wait=1.0).wait(again, httpx.Response(503)) for again in range(4)]
    assert all(0.5 * 2**again <= wait <= 2**again for again, wait in enumerate(waits) if wait is not None)
    assert Retries().wait(4, httpx.Response(503)) is None


@pytest.mark.parametrize("key", ["schlüssel", "first line\nsecond"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_that_no_header_can_carry_is_refused(kind: Any, key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as refused:
        kind("http://127.0.0.1:1", key=key)
    assert key not in str(refused.value)


@pytest.mark.parametrize("name", OURS)
def test_every_answer_is_read_whole(name: str) -> None:
    """The fields of each model are those of the OpenAPI document, but for the notice that every answer repeats."""
    schema = json.loads(DOCUMENT.read_text(encoding="utf-8"))["components"]["schemas"][name]
    model: type[BaseModel] = OURS[name]
    assert set(model.model_fields) == set(schema["properties"]) - {"notice"}


def test_every_route_has_its_method() -> None:
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    unasked = {"/healthz", "post /v1/crops"}
    routes = {f"{method} {path}" if path == "/v1/crops" else path for path, ops in paths.items() for method in ops}
    asked = {"/v1/search", "/v1/embed", "/v1/verdicts", "/v1/cameras", "/v1/status", "/v1/reports", "get /v1/crops"}
    asked |= {"/v1/alerts", "/v1/watched-searches", "/v1/watched-searches/{watch_id}"}
    asked |= {"/v1/alerts/events", "/v1/alerts/figures"}
    asked |= {"/v1/crops/{crop_id}/frame", "/v1/crops/{crop_id}/clip"}
    assert routes - unasked == asked | {"/readyz", "/v1/crops/{crop_id}/image", "/v1/crops/{crop_id}/heat-maps"}
