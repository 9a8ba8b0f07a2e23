"""A small real service: a gallery of coloured figures, an exact index, an encoder that understands colours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from personsearch.search.exact import ExactStore
from serving.app import create_app
from serving.settings import ServingSettings
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection

KEY = "a-key-for-the-tests-0001"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path) -> ServingSettings:
    return ServingSettings(home=home, api_keys=KEY, watch_seconds=0.05)


@pytest.fixture
def source(settings: ServingSettings) -> ColourSource:
    gallery = add_figures(settings.gallery_folder, COLOURS)
    store = ExactStore()
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    return ColourSource(store, gallery)


@pytest.fixture
def client(settings: ServingSettings, source: ColourSource) -> Iterator[TestClient]:
    """A client with a key, of a service that is ready."""
    app = create_app(settings, source=source)
    app.state.service.live.look()
    with TestClient(app, headers={"X-API-Key": KEY}, raise_server_exceptions=False) as client:
        yield client
