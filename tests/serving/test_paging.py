"""Pages of one search continue each other, also while crops arrive."""

import base64
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fastapi.testclient import TestClient

from personsearch.gallery.cameras import CameraDetails
from serving.settings import ServingSettings
from tests.audit import audited
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection
from tests.serving.test_search import ask

LATER = datetime(2026, 4, 1, tzinfo=UTC)


def ids(answer: dict[str, object]) -> list[str]:
    return [candidate["crop_id"] for candidate in answer["candidates"]]


@pytest.mark.parametrize("grouped", [True, False])
def test_pages_are_the_ranking_in_parts(client: TestClient, grouped: bool) -> None:
    whole = ask(client, "red green", k=50, group_by_track=grouped)
    assert whole["next"] is None
    found, cursor = [], ""
    while cursor is not None:
        page = ask(client, "red green", k=4, group_by_track=grouped, cursor=cursor)
        assert (page["match"], page["fitting"]) == (whole["match"], whole["fitting"])
        found += page["candidates"]
        cursor = page["next"]
    assert found == whole["candidates"]


def test_the_last_page_may_be_empty_but_is_the_last(client: TestClient) -> None:
    page = ask(client, k=6)
    assert len(page["candidates"]) == 6
    last = ask(client, k=6, cursor=page["next"])
    assert (last["candidates"], last["next"]) == ([], None)


def test_nobody_comes_twice_while_crops_arrive(client: TestClient, source: ColourSource) -> None:
    first = ask(client, "a red coat", k=3)
    gallery = add_figures(source.gallery.folder, ["red", "red"], first=len(COLOURS))
    added = list(gallery.crops_since(source.gallery.last_sequence() - 6))
    live = client.app.state.service.live.current
    stored = source.store.open(live.collection)
    _, vectors_1D = stored.fetch(["red-0-0"])
    for crop in added:
        stored.upsert([crop], vectors_1D)
    live.refresh()
    assert ids(ask(client, "a red coat", k=3))[:3] != ids(first)
    second = ask(client, "a red coat", k=3, cursor=first["next"])
    assert not set(ids(second)) & set(ids(first))
    assert {crop_id.rpartition("-")[0] for crop_id in ids(second)} < {f"{name}-{n}" for n, name in enumerate(COLOURS)}


def times(answer: dict[str, object]) -> list[str]:
    return [candidate["captured_at"] for candidate in answer["candidates"]]


@pytest.mark.parametrize("sort", ["newest", "oldest"])
@pytest.mark.parametrize("grouped", [True, False])
def test_pages_in_the_order_of_time_are_the_best_in_parts(client: TestClient, sort: str, grouped: bool) -> None:
    by_score = ask(client, "red green", k=50, group_by_track=grouped)
    whole = ask(client, "red green", k=50, group_by_track=grouped, sort=sort)
    assert sorted(ids(whole)) == sorted(ids(by_score))
    assert times(whole) == sorted(times(whole), reverse=sort == "newest")
    assert (whole["match"], whole["fitting"], whole["next"]) == (by_score["match"], by_score["fitting"], None)
    found, cursor = [], ""
    while cursor is not None:
        page = ask(client, "red green", k=4, group_by_track=grouped, sort=sort, cursor=cursor)
        found += page["candidates"]
        cursor = page["next"]
    assert found == whole["candidates"]


def test_only_the_best_are_put_in_the_order_of_time(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.routes.search.SORTED_AMONG", 3)
    best = ask(client, "a red coat", k=3)
    assert sorted(ids(ask(client, "a red coat", sort="oldest"))) == sorted(ids(best))


@pytest.mark.parametrize("sort", ["newest", "oldest"])
@pytest.mark.parametrize("grouped", [True, False])
def test_in_the_order_of_time_nobody_comes_twice_or_not_at_all_while_crops_arrive(
    client: TestClient, source: ColourSource, sort: str, grouped: bool
) -> None:
    """New crops of a track that was shown, and of one that was not, are better than those before, and later."""
    asked = {"text": "red green", "k": 2, "group_by_track": grouped, "sort": sort}
    expected = ids(ask(client, **asked | {"k": 50}))
    first = ask(client, **asked)
    live = client.app.state.service.live.current
    stored = source.store.open(live.collection)
    crops, vectors_ND = stored.fetch(["red-0-0", "green-1-0", "blue-2-0", "white-5-0"])
    late = [
        replace(crop, crop_id=f"late-{n}", captured_at=crop.captured_at + shift, ingested_at=LATER, image_uri=f"{n}")
        for n, (crop, shift) in enumerate(itertools.product(crops, (timedelta(days=1), -timedelta(days=1))))
    ]
    live._searcher.index.upsert(late, np.repeat(vectors_ND[:1], len(late), axis=0))
    found, cursor = ids(first), first["next"]
    while cursor is not None:
        page = ask(client, **asked, cursor=cursor)
        found += ids(page)
        cursor = page["next"]
    assert found == expected


@pytest.mark.parametrize("change", [{"sort": "oldest"}, {"sort": "score"}, {"camera_groups": ["outside"]}])
def test_a_cursor_belongs_to_its_order(client: TestClient, change: dict[str, object]) -> None:
    client.app.state.service.cameras.put([CameraDetails("junction", group="outside")])
    cursor = ask(client, "a red coat", k=2, sort="newest")["next"]
    body = {"text": "a red coat", "k": 2, "sort": "newest", "cursor": cursor} | change
    assert client.post("/v1/search", json=body).status_code == 422


@pytest.mark.parametrize("change", [{"text": "a blue coat"}, {"cameras": ["junction"]}, {"group_by_track": False}])
def test_a_cursor_belongs_to_its_request(client: TestClient, change: dict[str, object]) -> None:
    cursor = ask(client, "a red coat", k=2)["next"]
    body = {"text": "a red coat", "k": 2, "cursor": cursor} | change
    response = client.post("/v1/search", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize("cursor", ["x", "äöü", "e30=", base64.urlsafe_b64encode(b"[1]").decode()])
def test_nonsense_is_no_cursor(client: TestClient, cursor: str) -> None:
    response = client.post("/v1/search", json={"text": "red", "cursor": cursor})
    assert response.status_code == 422
    assert response.json()["detail"].startswith("cursor: ")


def test_a_cursor_ends_with_its_collection(client: TestClient, source: ColourSource) -> None:
    cursor = ask(client, k=2)["next"]
    build_collection(source.store, source.gallery, "persons_v2_2", version="2")
    source.store.switch_alias("persons", "persons_v2_2")
    client.app.state.service.live.look()
    response = client.post("/v1/search", json={"text": "a red coat", "k": 2, "cursor": cursor})
    assert "another collection has gone live" in response.json()["detail"]


def test_each_page_is_recorded_with_its_ranks(client: TestClient, settings: ServingSettings) -> None:
    first = ask(client, k=2)
    second = ask(client, k=2, cursor=first["next"])
    assert [candidate["rank"] for candidate in second["candidates"]] == [3, 4]
    records = audited(settings)[-2:]
    assert [record["filters"]["first_rank"] for record in records] == [1, 3]
    assert [record["results"] for record in records] == [ids(first), ids(second)]


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "1e400", "null"])
def test_a_cursor_without_a_place_is_refused(client: TestClient, score: str) -> None:
    cursor = base64.urlsafe_b64decode(ask(client, "a red coat", k=2)["next"]).decode()
    head, _, rest = cursor.partition('"score":')
    changed = f'{head}"score":{score},{rest.partition(",")[2]}'
    body = {"text": "a red coat", "k": 2, "cursor": base64.urlsafe_b64encode(changed.encode()).decode()}
    response = client.post("/v1/search", json=body)
    assert (response.status_code, response.json()["detail"]) == (422, "cursor: not a `next` of an answer")
