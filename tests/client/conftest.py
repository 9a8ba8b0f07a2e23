"""A running service for the clients."""

from collections.abc import Iterator

import pytest

from personsearch.search.exact import ExactStore
from serving.settings import ServingSettings
from tests.servers.search_service import search_service
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection

KEY = "a-key-for-the-client-01"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ServingSettings:
    return ServingSettings(home=tmp_path_factory.mktemp("home"), api_keys=KEY, watch_seconds=0.2, alerts=True)


@pytest.fixture(scope="module")
def address(settings: ServingSettings) -> Iterator[str]:
    store, gallery = ExactStore(), add_figures(settings.gallery_folder, COLOURS)
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    with search_service(settings, ColourSource(store, gallery)) as running:
        yield running
