"""Pages of one search continue each other, also while crops arrive."""

import base64

import pytest
from fastapi.testclient import TestClient

from serving.settings import ServingSettings
from tests.audit import audited
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection
from tests.serving.test_search import ask


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
