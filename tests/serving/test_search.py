"""`POST /v1/search` answers from the live collection, says when nothing fits, and is audited first."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from personsearch.installation.api_keys import make_key, open_keys
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.filters import CropFilter
from serving.app import create_app
from serving.settings import ServingSettings
from tests.audit import audited, is_intact, refused
from tests.serving.colours import WORDS_READ, ColourSource
from tests.serving.conftest import KEY


def ask(client: TestClient, text: str = "a red coat", **more: object) -> dict[str, object]:
    response = client.post("/v1/search", json={"text": text, **more})
    assert response.status_code == 200, response.text
    return response.json()


def test_the_described_person_comes_first(client: TestClient) -> None:
    answer = ask(client, "a person in a red coat", k=3)
    first = answer["candidates"][0]
    assert first["crop_id"].startswith("red-")
    assert first["rank"] == 1
    assert first["camera_id"] == "junction"
    assert first["captured_at"].startswith("2026-03-01T09:00:0")
    assert first["bbox"].keys() == {"x", "y", "width", "height"}
    assert first["confidence"] > 0.6
    assert answer["no_reliable_match"] is False
    assert (answer["match"], answer["fitting"]) == ("some", 1)
    assert answer["collection"] == "persons_v1_1"
    assert answer["model"] == {"name": "colours", "version": "1", "fingerprint": "fingerprint-1"}
    assert len(answer["candidates"]) == 3
    scores = [candidate["score"] for candidate in answer["candidates"]]
    assert scores == sorted(scores, reverse=True)


def test_a_track_is_shown_once_unless_all_crops_are_asked_for(client: TestClient) -> None:
    grouped = ask(client, k=6)["candidates"]
    assert len({candidate["track_id"] for candidate in grouped}) == len(grouped) == 6
    single = ask(client, k=3, group_by_track=False)["candidates"]
    assert {candidate["crop_id"].split("-")[0] for candidate in single} == {"red"}


def test_no_reliable_match_is_said(client: TestClient) -> None:
    answer = ask(client, "a purple kangaroo")
    assert answer["no_reliable_match"] is True
    assert (answer["match"], answer["fitting"]) == ("none", 0)
    assert answer["candidates"]


def test_those_who_fit_are_counted(client: TestClient) -> None:
    """Words for several of the six colours: each of these figures is as similar, the more the less."""
    answer = ask(client, "red green blue", k=1)
    assert (answer["match"], answer["fitting"], answer["no_reliable_match"]) == ("none", 0, True)
    answer = ask(client, "red green")
    assert (answer["match"], answer["fitting"]) == ("some", 2)


def test_without_calibration_reliability_is_not_known(settings: ServingSettings, source: ColourSource) -> None:
    source.calibration = None
    app = create_app(settings, source=source)
    app.state.service.live.look()
    answer = ask(TestClient(app, headers={"X-API-Key": KEY}))
    assert (answer["no_reliable_match"], answer["match"], answer["fitting"]) == (None, None, None)
    assert answer["candidates"][0]["confidence"] is None


def test_filters_narrow_by_camera_and_time(client: TestClient) -> None:
    by_camera = ask(client, cameras=["north-door"])["candidates"]
    assert {candidate["camera_id"] for candidate in by_camera} == {"north-door"}
    window = {"after": "2026-03-01T10:02:00+01:00", "before": "2026-03-01T09:04:00Z"}
    by_time = ask(client, **window)["candidates"]
    assert {candidate["crop_id"].split("-")[0] for candidate in by_time} == {"blue", "yellow"}
    nowhere = ask(client, cameras=["no such camera"])
    assert nowhere["candidates"] == []
    assert (nowhere["no_reliable_match"], nowhere["match"], nowhere["fitting"]) == (True, "none", 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"text": "   "}, "text"),
        ({"text": "\x1c"}, "text"),  # space to Python, but not to pydantic
        ({"text": "red", "also": ["\x1f"]}, "also.0"),
        ({"text": "red", "without": ["\x85"]}, "without.0"),
        ({"text": "x" * 1001}, "text"),
        ({"text": 7}, "text"),
        ({"text": "red", "k": 0}, "k"),
        ({"text": "red", "k": 100_000}, "k"),
        ({"text": "red", "cameras": []}, "cameras"),
        ({"text": "red", "after": "2026-03-01T09:00:00"}, "after"),
        ({"text": "red", "after": "yesterday"}, "after"),
        ({"text": "red", "after": "0001-01-01T00:00:00+14:00"}, "after"),
        ({"text": "red", "after": -1}, "after"),
        ({"text": "red", "before": "1700000000"}, "before"),
        ({"text": "red", "before": "9999-12-31T23:59:59-14:00"}, "before"),
        ({"text": "red", "after": "2026-03-02T00:00:00Z", "before": "2026-03-01T00:00:00Z"}, "body"),
        ({"text": "red", "camera": "junction"}, "camera"),
        ([], "body"),
    ],
)
def test_a_wrong_request_names_the_field(client: TestClient, body: object, field: str) -> None:
    response = client.post("/v1/search", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert field in {wrong["field"] for wrong in problem["errors"]}
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"text": "\\ud800"}',
        b'{"text": NaN}',
        b'{"text": "red", "k": 1e400}',
        b"null",
        b"[" * 60_000,
    ],
)
def test_broken_bodies_are_refused_readably(client: TestClient, content: bytes) -> None:
    response = client.post("/v1/search", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422), response.text
    assert response.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/verdicts"])
@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"Content-Type": "text/plain; charset=utf-8"}, "must be application/json, not text/plain; charset=utf-8."),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "must be application/json, not application/x-www-form"),
        ({"Content-Type": "nonsense"}, "must be application/json, not nonsense."),
        ({}, "must be application/json, but there is no Content-Type."),
    ],
)
def test_another_media_type_is_named(client: TestClient, path: str, headers: dict[str, str], detail: str) -> None:
    response = client.post(path, content=b'{"text": "red"}', headers=headers)
    assert response.status_code == 415
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in response.json()["detail"]


def test_json_under_a_name_of_its_own_is_read(client: TestClient) -> None:
    for name in ("application/json; charset=utf-8", "application/vnd.ours+json"):
        response = client.post("/v1/search", content=b'{"text": "red"}', headers={"Content-Type": name})
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_of_any_length_names_its_field(client: TestClient, sign: str) -> None:
    content = f'{{"text": "red", "k": {sign}{"9" * 5000}}}'
    response = client.post("/v1/search", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    [wrong] = response.json()["errors"]
    assert (wrong["field"], wrong["message"].partition(" than")[0]) == (
        "k",
        f"Input should be {'greater' if sign else 'less'}",
    )


@pytest.mark.parametrize("text", ["穿红色外套的女人", "🧥🧥🧥", "red\x00coat", "'; DROP TABLE crops; --", "{{7*7}}"])
def test_any_text_is_a_query(client: TestClient, text: str) -> None:
    assert ask(client, text)["candidates"]


@pytest.mark.parametrize(
    "body",
    [
        {f"unknown {number}": 1 for number in range(3000)},
        {"text": "red", "cameras": [1] * 5000},
        {"x" * 60_000: 1},
        {"text": "red", "after": "9" * 60_000},
    ],
    ids=["unknown fields", "wrong items", "a long name", "a long value"],
)
def test_the_answer_to_a_wrong_request_is_short(client: TestClient, body: object) -> None:
    response = client.post("/v1/search", json=body)
    assert response.status_code == 422
    assert len(response.content) < 10_000
    assert 1 <= len(response.json()["errors"]) <= 20


def test_errors_left_out_are_counted(client: TestClient) -> None:
    problem = client.post("/v1/search", json={"text": "red"} | {f"unknown {n}": 1 for n in range(25)}).json()
    assert problem["detail"].endswith("; and 5 more")


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b'{"text": "red",}', "body: no JSON: "),
        (b'{"text": "red", "after": "2026-03-02T00:00:00Z", "before": "2026-03-01T00:00:00Z"}', "body: after must be"),
    ],
)
def test_a_problem_is_told_in_our_words(client: TestClient, content: bytes, detail: str) -> None:
    response = client.post("/v1/search", content=content, headers={"Content-Type": "application/json"})
    assert response.json()["detail"].startswith(detail)


@given(moment=st.datetimes(), minutes=st.integers(-1439, 1439), field=st.sampled_from(["after", "before"]))
@example(moment=datetime.min, minutes=14 * 60, field="after")
@example(moment=datetime.max, minutes=-14 * 60, field="before")
@settings_of_hypothesis(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_any_time_is_answered_or_refused(client: TestClient, moment: datetime, minutes: int, field: str) -> None:
    time = moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat()
    client.app.state.service.search_limit._buckets.clear()
    assert client.post("/v1/search", json={"text": "red", field: time}).status_code in (200, 422)


def test_a_description_that_is_not_read_to_its_end_is_told(client: TestClient, settings: ServingSettings) -> None:
    assert ask(client, "a red coat")["text_cut_after"] is None
    words = ["red"] * WORDS_READ + ["but", "green"]
    answer = ask(client, f"  {' '.join(words)} ")
    assert answer["text_cut_after"] == len(" ".join(words[:WORDS_READ]))
    records = audited(settings)
    assert [record["text_cut_after"] for record in records] == [None, answer["text_cut_after"]]


def test_a_large_body_is_refused(client: TestClient) -> None:
    assert client.post("/v1/search", content=b"x" * 9_000_000).status_code == 413
    unannounced = client.post("/v1/search", content=(b"x" * 10_000 for _ in range(10)))
    assert unannounced.status_code == 413
    assert unannounced.json()["status"] == 413


def test_every_search_is_audited_before_it_is_answered(client: TestClient, settings: ServingSettings) -> None:
    answer = ask(client, "a red coat", k=2, purpose="case 17", cameras=["junction"])
    record = audited(settings)[-1]
    assert record["query"] == "a red coat"
    assert record["purpose"] == "case 17"
    assert record["who"].startswith("key-")
    assert record["filters"]["cameras"] == ["junction"]
    assert record["request_id"] == answer["request_id"]
    assert record["collection"] == "persons_v1_1"
    assert record["results"] == [candidate["crop_id"] for candidate in answer["candidates"]]
    assert is_intact(settings)
    assert KEY not in json.dumps(audited(settings))


def test_without_an_audit_record_there_is_no_answer(client: TestClient, settings: ServingSettings) -> None:
    with refused(settings.database_address):
        response = client.post("/v1/search", json={"text": "a red coat"})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert "audit log cannot be written" in response.json()["detail"]
    assert "crop_id" not in response.text
    assert "personsearch_audit_failures_total 1.0" in client.get("/metrics").text


def test_an_erased_crop_is_not_shown_though_the_index_still_holds_it(
    client: TestClient, settings: ServingSettings
) -> None:
    gallery_in(settings.gallery_folder).erase(CropFilter(cameras=("junction",)))
    answer = ask(client, "a red coat")
    assert {candidate["camera_id"] for candidate in answer["candidates"]} == {"north-door"}


def test_a_verdict_is_recorded(client: TestClient, settings: ServingSettings) -> None:
    answer = ask(client)
    verdict = {
        "search_request_id": answer["request_id"],
        "crop_id": answer["candidates"][0]["crop_id"],
        "verdict": "confirmed",
    }
    response = client.post("/v1/verdicts", json=verdict)
    assert response.status_code == 201
    record = audited(settings)[-1]
    assert record["event"] == "verdict"
    assert record | verdict == record
    assert record["hash"] == response.json()["record_hash"]
    assert client.post("/v1/verdicts", json=verdict | {"verdict": "guilty"}).status_code == 422


def test_verdicts_come_back_with_the_query_that_they_answer(client: TestClient, settings: ServingSettings) -> None:
    anna = {"X-API-Key": make_key(open_keys(settings), "anna")}
    found = ask(client, "red", without=["a hat"])
    best, second = (candidate["crop_id"] for candidate in found["candidates"][:2])

    def judge(crop_id: str, verdict: str, note: str = "", headers: dict[str, str] = {}) -> None:  # noqa: B006
        body = {"search_request_id": found["request_id"], "crop_id": crop_id, "verdict": verdict, "note": note}
        assert client.post("/v1/verdicts", json=body, headers=headers).status_code == 201

    def given() -> list[tuple[str, str, str, bool]]:
        said = client.get("/v1/verdicts", params={"crop_id": [best, second, "nobody"]}).json()["verdicts"]
        assert all((each["text"], each["beside_text"]) == ("red", {"without": ["a hat"]}) for each in said)
        return [(each["crop_id"], each["verdict"], each["note"], each["mine"]) for each in said]

    judge(best, "rejected")
    judge(best, "confirmed", "his scar")
    judge(best, "rejected", "too tall", anna)
    judge(second, "rejected")
    assert given() == [
        (best, "confirmed", "his scar", True),
        (best, "rejected", "too tall", False),
        (second, "rejected", "", True),
    ]
    judge(second, "withdrawn")
    client.app.state.service.gallery.erase(CropFilter(crop_ids=(best,)))
    assert given() == []


@pytest.mark.parametrize("wrong", ["crop", "search", "candidate", "verdict"])
def test_a_verdict_without_its_search_is_refused(client: TestClient, settings: ServingSettings, wrong: str) -> None:
    answer = ask(client, k=1, cameras=["junction"])
    crop_id = answer["candidates"][0]["crop_id"]
    body = {"search_request_id": answer["request_id"], "crop_id": crop_id, "verdict": "confirmed"}
    verdict = client.post("/v1/verdicts", json=body).json()
    other = {
        "crop": {"crop_id": "nobody"},
        "search": {"search_request_id": "never-was"},
        "candidate": {"crop_id": "green-1-0"},
        "verdict": {"search_request_id": verdict["request_id"]},
    }
    records = len(audited(settings))
    assert client.post("/v1/verdicts", json=body | other[wrong]).status_code == 404
    assert len(audited(settings)) == records


def test_two_searches_under_one_request_id_are_told_apart(client: TestClient) -> None:
    headers = {"X-Request-ID": "mine"}
    answers = [client.post("/v1/search", json={"text": text}, headers=headers).json() for text in ("red", "blue")]
    assert len({answer["request_id"] for answer in answers}) == 2
    for answer in answers:
        best = answer["candidates"][0]["crop_id"]
        body = {"search_request_id": answer["request_id"], "crop_id": best, "verdict": "confirmed"}
        assert client.post("/v1/verdicts", json=body).status_code == 201


def test_metrics_count_and_never_hold_a_query(client: TestClient) -> None:
    ask(client, "a very secret description in red")
    metrics = client.get("/metrics").text
    assert 'personsearch_searches_total{outcome="match"} 1.0' in metrics
    assert 'personsearch_http_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in metrics
    assert "personsearch_search_seconds_count 1.0" in metrics
    assert "secret" not in metrics


def test_logs_never_hold_a_query_or_a_key(client: TestClient, caplog: pytest.LogCaptureFixture, home: Path) -> None:
    caplog.set_level("DEBUG")
    ask(client, "a very secret description")
    client.post("/v1/search", json={"text": ["a very secret description"]})
    assert "secret" not in caplog.text
    assert KEY not in caplog.text
