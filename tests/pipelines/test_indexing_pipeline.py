"""The indexing pipeline on this machine: planned, filled shard by shard in processes of its own, live."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from personsearch.bundle import Bundle
from personsearch.gallery.add_dataset import add_dataset
from personsearch.installation.platforms import open_gallery, open_registry, open_store
from personsearch.installation.settings import Settings
from personsearch.integrations.kubeflow.runs import run_locally
from pipelines.compile import COMPILED
from tests.onnx_bundle import make_onnx_bundle


@pytest.mark.slow
def test_it_makes_the_champion_live(tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "var"))
    settings = Settings()
    add_dataset(tiny_dataset, open_gallery(settings), split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC))
    registry = open_registry(settings)
    registry.register(Bundle.open(make_onnx_bundle(tmp_path / "bundle", seed=1)), metrics={}, tags={})
    registry.promote("1")
    arguments = {"index_config": {"shard_crops": 10, "batch_size": 4}}
    run = run_locally(
        COMPILED / "indexing.yaml", arguments, root=tmp_path / "runs", mlflow_address=settings.mlflow_address
    )
    assert run.returned["index-gallery"] == "persons_v1_1"
    assert set(run.steps and {step.name: step.state for step in run.steps}) == {
        "plan-index",
        "index-shard",
        "index-gallery",
    }
    store = open_store(settings)
    assert store.open("persons").count() == 24
    store.close()
    tags = registry.version("1").tags
    assert tags["index_status"] == "live: persons_v1_1"
    assert tags["index_progress"].startswith("24 of 24 crops")
