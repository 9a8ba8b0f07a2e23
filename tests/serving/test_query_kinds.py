"""`POST /v1/search` by pictures, by several descriptions, and with what the person does not have."""

import base64
import hashlib
import io

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from personsearch.search.calibration import CalibratedCurve, Curve
from personsearch.search.filters import EVERYTHING
from personsearch.search.query import Query
from personsearch.search.searcher import Answer, Searcher
from serving.app import create_app
from serving.index_search import IndexSearch
from serving.settings import ServingSettings
from tests.audit import audited
from tests.serving.colours import CALIBRATION, ColourEncoder, ColourSource, figure
from tests.serving.conftest import KEY


def sent(colour: str) -> str:
    return base64.b64encode(figure(colour)).decode()


def search(client: TestClient, **body: object) -> dict[str, object]:
    response = client.post("/v1/search", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def colours(answer: dict[str, object]) -> list[str]:
    return [candidate["crop_id"].split("-")[0] for candidate in answer["candidates"]]


def test_a_picture_finds_its_like_and_claims_no_confidence(client: TestClient) -> None:
    answer = search(client, image=sent("blue"))
    assert colours(answer)[0] == "blue"
    assert answer["candidates"][0]["score"] > 0.99
    assert (answer["no_reliable_match"], answer["match"], answer["fitting"]) == (None, None, None)
    assert {candidate["confidence"] for candidate in answer["candidates"]} == {None}


@pytest.mark.parametrize(("kind", "status"), [("PNG", 200), ("WEBP", 200), ("GIF", 422), ("TIFF", 422), ("BMP", 422)])
def test_a_picture_is_a_jpeg_png_or_webp(client: TestClient, kind: str, status: int) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(figure("blue"))).save(buffer, kind)
    picture = base64.b64encode(buffer.getvalue()).decode()
    for path, body in (("/v1/search", {"image": picture}), ("/v1/embed", {"images": [picture]})):
        response = client.post(path, json=body)
        assert response.status_code == status
        assert status == 200 or "not an image in one of the formats JPEG, PNG, WEBP" in response.text


def test_more_like_this_leaves_out_the_crop_s_own_track(client: TestClient) -> None:
    answer = search(client, like="green-1-0", k=10)
    assert len(answer["candidates"]) == 5
    assert "green" not in colours(answer)


def test_the_weight_decides_between_words_and_picture(client: TestClient) -> None:
    assert [colours(search(client, text="red", image=sent("blue"), image_weight=w))[0] for w in (0.0, 1.0)] == [
        "red",
        "blue",
    ]
    assert set(colours(search(client, text="red", image=sent("blue"), image_weight=0.5))[:2]) == {"red", "blue"}


def test_several_descriptions_are_averaged(client: TestClient) -> None:
    answer = search(client, text="red", also=["green"])
    assert set(colours(answer)[:2]) == {"red", "green"}
    assert answer["match"] is None


def test_what_is_excluded_falls(client: TestClient) -> None:
    assert set(colours(search(client, text="red green"))[:2]) == {"red", "green"}
    answer = search(client, text="red green", without=["green"])
    assert colours(answer)[0] == "red"
    assert colours(search(client, text="red", without=["green"]))[-1] == "green"


def test_one_description_is_answered_as_before(client: TestClient) -> None:
    answer = search(client, text="a red coat")
    assert answer["match"] == "some"
    assert answer["candidates"][0]["confidence"] > 0.6


def test_pages_and_filters_hold_for_pictures(client: TestClient) -> None:
    first = search(client, image=sent("red"), k=2, cameras=["junction"])
    second = search(client, image=sent("red"), k=2, cameras=["junction"], cursor=first["next"])
    assert [len(page["candidates"]) for page in (first, second)] == [2, 1]
    assert not set(colours(first)) & set(colours(second))
    other = {"image": sent("blue"), "k": 2, "cameras": ["junction"], "cursor": first["next"]}
    assert client.post("/v1/search", json=other).status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"without": ["a hat"]}, "body"),
        ({"also": ["red"]}, "body"),
        ({"image": sent("red"), "also": ["red"]}, "body"),
        ({"image": sent("red"), "like": "red-0-0"}, "body"),
        ({"image": "no base64!"}, "image"),
        ({"image": base64.b64encode(b"no picture").decode()}, "image"),
        ({"text": "red", "image_weight": 1.5}, "image_weight"),
        ({"text": "red", "image_weight": 0.9}, "body"),
        ({"image": sent("red"), "image_weight": 0.9}, "body"),
        ({"text": "red", "without": ["x"] * 9}, "without"),
        ({"text": "red", "without": [""]}, "without.0"),
    ],
)
def test_a_wrong_query_names_the_field(client: TestClient, body: dict[str, object], field: str) -> None:
    response = client.post("/v1/search", json=body)
    assert response.status_code == 422
    assert field in {wrong["field"] for wrong in response.json()["errors"]}


def test_a_crop_that_is_not_there_cannot_be_searched_for(client: TestClient) -> None:
    response = client.post("/v1/search", json={"like": "nobody"})
    assert response.status_code == 404
    assert response.json()["detail"] == "The live collection holds no crop 'nobody'."


def test_everything_that_was_searched_for_is_recorded(client: TestClient, settings: ServingSettings) -> None:
    search(client, text="red", also=["green"], without=["a hat"], image=sent("red"), image_weight=0.3)
    record = audited(settings)[-1]
    assert record["query"] == "red"
    assert record["beside_text"] == {
        "also": ["green"],
        "without": ["a hat"],
        "image": hashlib.sha256(figure("red")).hexdigest(),
        "image_weight": 0.3,
    }
    assert "image" not in record["filters"]
    search(client, like="red-0-0")
    assert audited(settings)[-1]["beside_text"] == {"like": "red-0-0", "image_weight": 0.5}
    search(client, text="red")
    assert "beside_text" not in audited(settings)[-1]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"text": "red"}, None),
        ({"image": sent("red")}, "No confidence: it is calibrated for one description alone, not for pictures."),
        ({"text": "red", "also": ["a red coat"]}, "several descriptions"),
        ({"text": "red", "without": ["green"], "like": "red-0-0"}, "not for pictures and what is excluded."),
    ],
)
def test_an_answer_says_why_it_has_no_confidence(client: TestClient, asked: dict[str, object], why: str | None) -> None:
    answer = search(client, **asked)
    has_confidence = answer["candidates"][0]["confidence"] is not None
    assert has_confidence is (why is None)
    assert answer["uncalibrated"] is None if why is None else why in str(answer["uncalibrated"])


def test_the_site_judges_descriptions_and_the_model_all_other_queries(source: ColourSource) -> None:
    sure, name = Curve(intercept=2.0, score=0.0, lead=0.0, log_tracks=0.0), "persons_v1_1"
    own = CALIBRATION.model_copy(update={"curves": {"picture": sure}})
    site = CalibratedCurve(curve=sure.model_copy(update={"intercept": -2.0}), threshold=0.5)
    searcher = Searcher(ColourEncoder(), source.store.open(name), own)
    live = IndexSearch(name, source.store.properties(name), searcher, source.gallery, site=lambda: site)
    live.refresh()
    picture_D = ColourEncoder().encode_texts(["blue"])[0]

    def answer(query: Query) -> Answer:
        return live.search_for(query, k=3, crop_filter=EVERYTHING, group_by_track=True)

    picture = answer(Query(picture_D=picture_D))
    assert picture.candidates[0].confidence == pytest.approx(0.88, abs=0.01)
    assert (picture.match, picture.uncalibrated) == ("many", "")
    assert answer(Query(("red",))).match == "none"
    assert "one search" in answer(Query(without=("red",), picture_D=picture_D)).uncalibrated


def test_a_model_that_was_never_calibrated_says_so(settings: ServingSettings, source: ColourSource) -> None:
    app = create_app(settings, source=ColourSource(source.store, source.gallery, calibrated=False))
    app.state.service.live.look()
    with TestClient(app, headers={"X-API-Key": KEY}) as client:
        for asked in ({"text": "red"}, {"image": sent("red")}):
            assert search(client, **asked)["uncalibrated"] == "No confidence: the model was never calibrated."
