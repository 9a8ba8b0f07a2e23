"""The promoter starts the indexing pipeline on a cluster by the real client, waits, and finds a run that it left."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from personsearch import progress
from personsearch.bundle import Bundle
from personsearch.errors import LeaseLost
from personsearch.gallery.add_dataset import add_dataset
from personsearch.gallery.indexing import IndexConfig
from personsearch.installation import cluster_build
from personsearch.installation.cluster_build import EXPERIMENT, ClusterBuild
from personsearch.installation.index_worker import Request, Resident
from personsearch.installation.platforms import Platforms, open_gallery, open_registry, open_store
from personsearch.installation.promotion import fill_shard, finish_version, plan_version
from personsearch.installation.settings import Settings
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.kubeflow.cluster import ENDPOINT_VARIABLE
from tests.onnx_bundle import make_onnx_bundle
from tests.servers.kubeflow import Kubeflow, kubeflow_server

SPEC = Path(__file__).parents[2] / "pipelines" / "compiled" / "indexing.yaml"


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    with kubeflow_server() as server:
        monkeypatch.setenv(ENDPOINT_VARIABLE, server.address)
        monkeypatch.setattr(cluster_build, "ASK_SECONDS", 0.05)
        yield server


@pytest.fixture
def settings(tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with a champion and 24 crops."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "var"))
    settings = Settings()
    add_dataset(tiny_dataset, open_gallery(settings), split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC))
    registry = open_registry(settings)
    registry.register(Bundle.open(make_onnx_bundle(tmp_path / "bundle", seed=1)), metrics={}, tags={})
    registry.promote("1")
    return settings


def pods(settings: Settings, arguments: dict[str, Any]) -> None:
    """What the pipeline's steps do on a cluster."""
    registry, store, gallery = open_registry(settings), open_store(settings), open_gallery(settings)
    config = IndexConfig.model_validate(arguments["index_config"])
    version, while_champion = arguments["model_version"], arguments["while_champion"]
    shards = plan_version(config, registry, store, gallery, version, while_champion=while_champion)
    for shard in shards:
        fill_shard(config, registry, store, gallery, shard)
    finish_version(config, registry, store, gallery, shards)
    store.close()


def test_a_new_champion_is_indexed_by_the_pipeline(
    kubeflow: Kubeflow, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[None] = []
    monkeypatch.setattr(progress, "listener", lambda: beats.append(None))
    kubeflow.states = ["PENDING", *["RUNNING"] * 100_000, "SUCCEEDED"]
    database = open_database(settings.database_address)
    lease = DatabaseLeases(database).acquire("promoter", "test", 3600)
    assert lease is not None

    def cluster() -> None:
        while not kubeflow.runs:
            time.sleep(0.05)
        pods(settings, kubeflow.runs[0]["runtime_config"]["parameters"])
        kubeflow.runs[0]["left"] = ["SUCCEEDED"]

    resident = Resident(Platforms(settings), Path("params.yaml"), database, ClusterBuild(SPEC, "ana"))
    resident._platforms.store = lambda: _Elsewhere(settings)  # type: ignore[method-assign, assignment]
    works = threading.Thread(target=cluster)
    works.start()
    outcome = resident.work(Request(lease, "1"))
    works.join()
    assert (outcome.failure, outcome.collection, outcome.sequence) == ("", "persons_v1_1", 24)
    assert beats
    [run] = kubeflow.runs
    assert run["display_name"] == "index with personsearch version 1"
    assert run["pipeline_spec"]["pipeline_spec"] == next(yaml.safe_load_all(SPEC.read_text()))
    assert run["runtime_config"]["parameters"]["model_version"] == "1"
    assert [(each["display_name"], each["namespace"]) for each in kubeflow.experiments] == [(EXPERIMENT, "ana")]
    registry = open_registry(settings)
    tags = registry.version("1").tags
    assert tags["index_status"] == "live: persons_v1_1"
    assert tags["index_progress"].startswith("24 of 24 crops")


class _Elsewhere:
    """The store of this installation, whose file only one may open: opened for each call, as the steps need it too."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            store = open_store(self._settings)
            try:
                return getattr(store, name)(*given, **named)
            finally:
                store.close()

        return call


def test_a_run_that_was_left_is_found_and_not_started_again(kubeflow: Kubeflow) -> None:
    kubeflow.states = ["RUNNING"] * 3
    build = ClusterBuild(SPEC)

    def lost() -> None:
        raise LeaseLost("another leads")

    with pytest.raises(LeaseLost):
        build.run(IndexConfig(), "personsearch", "3", between=lost)
    kubeflow.runs[0]["left"] = ["SUCCEEDED"]
    kubeflow.add_run({**kubeflow.runs[0], "display_name": "index with personsearch version 4"})
    kubeflow.runs[0]["left"] = ["RUNNING", "RUNNING", "SUCCEEDED"]
    build.run(IndexConfig(), "personsearch", "3", between=lambda: None)
    assert len(kubeflow.runs) == 2
    build.run(IndexConfig(), "personsearch", "3", between=lambda: kubeflow.runs[-1].update(left=["SUCCEEDED"]))
    assert len(kubeflow.runs) == 3  # that run had ended
