"""A report holds what it says it holds, is recorded, and contains nobody whom no search has shown."""

import hashlib
import io
import json
import zipfile

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from personsearch.search.filters import CropFilter
from serving.report import marked
from serving.settings import ServingSettings
from tests.audit import audited, refused
from tests.serving.colours import figure


def search(client: TestClient, text: str = "red <b>") -> dict[str, object]:
    return client.post("/v1/search", json={"text": text, "without": ["a hat"], "k": 2}).json()


def report_of(found: dict[str, object], *crop_ids: str) -> dict[str, object]:
    chosen = [{"search_request_id": found["request_id"], "crop_id": crop_id} for crop_id in crop_ids]
    return {"purpose": "case <17>", "note": "for Anna", "candidates": chosen}


def test_a_report_has_pictures_queries_verdicts_and_hashes(client: TestClient, settings: ServingSettings) -> None:
    found = search(client)
    best = found["candidates"][0]["crop_id"]
    said = {"search_request_id": found["request_id"], "crop_id": best, "verdict": "confirmed", "note": "his scar"}
    client.post("/v1/verdicts", json=said)
    response = client.post("/v1/reports", json=report_of(found, best))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    content = json.loads(archive.read("report.json"))
    (candidate,) = content["candidates"]
    assert (content["purpose"], content["note"]) == ("case <17>", "for Anna")
    assert (candidate["search"]["query"], candidate["search"]["beside_text"]) == ("red <b>", {"without": ["a hat"]})
    assert (candidate["search"]["rank"], candidate["search"]["model_version"]) == (1, "1")
    assert [each["note"] for each in candidate["verdicts"]] == ["his scar"]
    assert candidate["gallery_picture_sha256"] == hashlib.sha256(figure("red")).hexdigest()
    page = archive.read("report.html").decode()
    assert "case &lt;17&gt;" in page
    assert "red &lt;b&gt;" in page
    assert "Nobody in this report has been identified." in page
    for line in archive.read("SHA256SUMS").decode().splitlines():
        sha256, name = line.split("  ")
        assert hashlib.sha256(archive.read(name)).hexdigest() == sha256
    record = audited(settings)[-1]
    assert (record["event"], record["results"], record["purpose"]) == ("report", [best], "case <17>")
    assert record["sha256"] == hashlib.sha256(response.content).hexdigest()


def test_the_mark_covers_nobody(client: TestClient) -> None:
    found = search(client)
    response = client.post("/v1/reports", json=report_of(found, found["candidates"][0]["crop_id"]))
    picture = Image.open(io.BytesIO(zipfile.ZipFile(io.BytesIO(response.content)).read("pictures/001.jpg")))
    assert picture.height > 512
    red, green, blue = picture.getpixel((picture.width // 2, 256))  # the coat
    assert red > 200
    assert max(green, blue) < 60
    strip = picture.crop((0, 516, picture.width, picture.height)).convert("L")
    darkest, lightest = strip.getextrema()
    assert darkest < 100 < lightest


@pytest.mark.parametrize("size", [(3000, 8), (8, 3000), (65_500, 1), (1, 65_500)])
def test_a_picture_of_any_shape_gives_one_of_a_bounded_size(size: tuple[int, int]) -> None:
    """A picture of few rows would else be enlarged to gigabytes."""
    narrow = io.BytesIO()
    Image.new("RGB", size, "red").save(narrow, "JPEG")
    sheet = Image.open(io.BytesIO(marked(narrow.getvalue(), "anna, today")))
    assert max(sheet.size) <= 1100
    assert sheet.convert("RGB").crop((0, 0, sheet.width, 512)).getcolors(10**6) != [
        (sheet.width * 512, (255, 255, 255))
    ]


def test_a_damaged_picture_is_named(client: TestClient) -> None:
    found = search(client)
    best = found["candidates"][0]["crop_id"]
    gallery = client.app.state.service.gallery
    (gallery.folder / gallery.crop(best).image_uri).write_bytes(b"\xff\xd8\xff damaged")
    response = client.post("/v1/reports", json=report_of(found, best))
    assert (response.status_code, response.json()["detail"]) == (404, f"The gallery holds no image of crop {best!r}.")


@pytest.mark.parametrize("wrong", ["crop", "search", "erased", "nobody", "purpose"])
def test_what_no_search_has_shown_is_in_no_report(client: TestClient, settings: ServingSettings, wrong: str) -> None:
    found = search(client)
    best = found["candidates"][0]["crop_id"]
    body = report_of(found, *([] if wrong == "nobody" else ["green-1-0" if wrong == "crop" else best]))
    if wrong == "search":
        body = report_of(found | {"request_id": "never-was"}, best)
    if wrong == "erased":
        client.app.state.service.gallery.erase(CropFilter(crop_ids=(best,)))
    if wrong == "purpose":
        body["purpose"] = "  "
    assert client.post("/v1/reports", json=body).status_code == (422 if wrong in ("nobody", "purpose") else 404)
    assert [record["event"] for record in audited(settings)] == ["search"]


def test_the_audit_log_is_asked_once_for_a_search_that_showed_them_all(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, audit = search(client), client.app.state.service.audit
    asked: list[str] = []
    find = audit.find
    monkeypatch.setattr(audit, "find", lambda event, name: asked.append(name) or find(event, name))
    both = [candidate["crop_id"] for candidate in found["candidates"]]
    assert client.post("/v1/reports", json=report_of(found, *both)).status_code == 200
    assert asked == [found["request_id"]]


TURNED = "case \u202e71\u202c"
OWN_OF_THE_LOG = ("sequence", "at", "event", "previous", "hash")


@pytest.mark.parametrize("field", ["purpose", "note"])
def test_a_report_takes_no_text_that_is_turned_around(client: TestClient, field: str) -> None:
    found = search(client)
    body = report_of(found, found["candidates"][0]["crop_id"]) | {field: TURNED}
    response = client.post("/v1/reports", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/search", {"text": TURNED}),
        ("/v1/search", {"text": "red", "without": [TURNED]}),
        ("/v1/search", {"text": "red", "purpose": TURNED}),
        ("/v1/embed", {"texts": ["red"], "purpose": TURNED}),
        ("/v1/crops/red-0-0/heat-maps", {"text": "red", "purpose": TURNED}),
        ("/v1/verdicts", {"search_request_id": "x", "crop_id": "y", "verdict": "confirmed", "note": TURNED}),
    ],
)
def test_nothing_that_people_read_later_is_turned_around(client: TestClient, path: str, body: object) -> None:
    response = client.post(path, json=body)
    assert response.status_code == 422
    assert "direction" in response.text


def test_what_was_recorded_before_is_shown_as_it_is(client: TestClient) -> None:
    found = search(client)
    service, best = client.app.state.service, found["candidates"][0]["crop_id"]
    record = {**service.audit.find("search", found["request_id"]), "query": TURNED, "request_id": "earlier"}
    service.audit.append("search", {name: record[name] for name in record if name not in OWN_OF_THE_LOG})
    response = client.post("/v1/reports", json=report_of({"request_id": "earlier"}, best))
    page = zipfile.ZipFile(io.BytesIO(response.content)).read("report.html").decode()
    assert "case \ufffd71\ufffd" in page
    assert "\u202e" not in page


def test_a_report_that_cannot_be_recorded_is_not_sent(client: TestClient, settings: ServingSettings) -> None:
    found = search(client)
    with refused(settings.database_address):
        response = client.post("/v1/reports", json=report_of(found, found["candidates"][0]["crop_id"]))
    assert response.status_code == 503
    assert b"PK" not in response.content
