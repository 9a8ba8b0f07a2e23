"""Replicas of the service write one audit log, and a verdict may reach another replica than its search did."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.exact import ExactStore
from serving.app import create_app
from serving.settings import ServingSettings
from tests.audit import audited, is_intact
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection
from tests.serving.conftest import KEY


@pytest.fixture
def settings(tmp_path: Path, database_address: str) -> ServingSettings:
    return ServingSettings(home=tmp_path / "home", database=database_address, api_keys=KEY)


@pytest.fixture
def replicas(settings: ServingSettings, tmp_path: Path) -> list[TestClient]:
    figures = add_figures(tmp_path / "figures", COLOURS)
    shared = gallery_in(settings.gallery_folder, settings.database_address)
    shared.add((crop, figures.picture(crop)) for crop in figures.crops())
    store = ExactStore()
    build_collection(store, shared, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    apps = [create_app(settings, source=ColourSource(store, shared)) for _ in range(2)]
    for app in apps:
        app.state.service.live.look()
    return [TestClient(app, headers={"X-API-Key": KEY}) for app in apps]


def test_replicas_share_one_chain(replicas: list[TestClient], settings: ServingSettings) -> None:
    def search(number: int) -> dict[str, object]:
        return replicas[number % 2].post("/v1/search", json={"text": "a red coat", "k": 1}).json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(search, range(16)))
    for number, answer in enumerate(answers):
        said = {"search_request_id": answer["request_id"], "crop_id": answer["candidates"][0]["crop_id"]}
        response = replicas[(number + 1) % 2].post("/v1/verdicts", json=said | {"verdict": "confirmed"})
        assert response.status_code == 201, response.text
    records = audited(settings)
    assert [record["event"] for record in records] == ["search"] * 16 + ["verdict"] * 16
    assert {record["request_id"] for record in records[:16]} == {answer["request_id"] for answer in answers}
    assert is_intact(settings)
