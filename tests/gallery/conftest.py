"""A gallery of forty crops and the two kinds of store."""

from pathlib import Path

import pytest

from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.exact import ExactStore
from personsearch.search.index import CollectionStore
from tests.gallery.builds import add


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    filled = gallery_in(tmp_path / "gallery")
    add(filled, 0, 40)
    return filled


@pytest.fixture(params=["exact", "lite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CollectionStore:
    return ExactStore() if request.param == "exact" else MilvusStore(str(tmp_path / "milvus.db"))
