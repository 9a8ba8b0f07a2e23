"""The engines that every index test runs on: in memory, Milvus Lite, its server mode, a real Milvus server."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.exact import ExactStore
from personsearch.search.index import CollectionProperties, CollectionStore
from tests.servers.milvus_lite_server import start_server
from tests.servers.mlflow_tables import mlflow_tables  # noqa: F401 (a fixture)

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))
from real_milvus import real_milvus

ENGINES = ("exact", "lite", "lite-server", "server")
MILVUS = ENGINES[1:]
_numbers = count()


@pytest.fixture(scope="session")
def lite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = start_server(tmp_path_factory.mktemp("lite-server") / "milvus.db")
    yield server.uri
    server.stop()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            address = stack.enter_context(real_milvus(tmp_path_factory.mktemp("milvus")))
            wait_until_answering(address)
        except RuntimeError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"real Milvus: {error}")
            pytest.skip(f"real Milvus: {error}")
        yield address


def wait_until_answering(address: str) -> None:
    """A standalone Milvus accepts connections some seconds before it answers on them."""
    deadline = time.monotonic() + 300
    while True:
        try:
            MilvusStore(address).close()
            return
        except UserError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(str(error)) from error


def milvus_address(engine: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if engine == "lite":
        return str(folder / "milvus.db")
    return str(request.getfixturevalue("lite_server" if engine == "lite-server" else "milvus_server"))


@pytest.fixture(params=MILVUS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a Milvus of each kind is found."""
    return milvus_address(request.param, request, tmp_path)


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CollectionStore]:
    """A store of each engine; the servers are shared, so tests give collections names of their own."""
    if request.param == "exact":
        yield ExactStore()
        return
    opened = MilvusStore(milvus_address(request.param, request, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def name() -> str:
    """A collection's name that no other test uses."""
    return f"persons_v1_{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def properties() -> CollectionProperties:
    return CollectionProperties("personsearch", "1", "0123456789abcdef", "data", embedding_dim=8)


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in a folder that stays empty: MLflow makes `mlflow.db` there as soon as it lacks an address."""
    folder = tmp_path / "stands-here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == []
