"""Both pipelines with every real step, on a data set of twelve people, into SQLite and Milvus Lite."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from personsearch.bundle import CALIBRATION, METRICS
from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize
from personsearch.gallery.add_dataset import add_dataset
from personsearch.installation.settings import Settings
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.dvc.repository import DatasetVersion, commit_dataset, create_data_repository
from personsearch.integrations.kubeflow.runs import PipelineRun, run_locally
from personsearch.integrations.kubeflow.steps import code_version
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.integrations.mlflow.registry import ModelRegistry
from personsearch.search.index import LIVE_ALIAS
from pipelines.compile import COMPILED

ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": [64, 32], "patch_size": 16, "layers": 2, "width": 32, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 512, "width": 32, "heads": 2, "layers": 2},
}
RECIPE: dict[str, Any] = {
    "model": {
        "weights": "random",
        "architecture": ARCHITECTURE,
        "image_size": [64, 32],
        "context_length": 16,
        "vocabulary": 512,
        "frozen": [],
    },
    "epochs": 1,
    "batch_size": 8,
    "device": "cpu",
    "threads": 1,
}

CODE_VERSION = code_version()  # once: the sources may change while a developer tests
pytestmark = pytest.mark.timeout(1500)  # seconds on a quiet machine; minutes beside other work


@pytest.fixture(scope="module")
def dataset_version(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    """Twelve identities under version control."""
    folder = tmp_path_factory.mktemp("data")
    config = SynthesizeConfig(identities_train=6, identities_val=2, identities_test=4, images_per_identity=2, cameras=2)
    synthesize(config, folder / "pedestrians")
    create_data_repository(folder / "repository")
    return commit_dataset(folder / "repository", folder / "pedestrians", "Add pedestrians")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Addresses of an empty installation, in the environment as on a cluster."""
    home = tmp_path_factory.mktemp("installation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONSEARCH_HOME", str(home))
        for name in ("PERSONSEARCH_MLFLOW_URI", "PERSONSEARCH_MILVUS_URI", "PERSONSEARCH_GALLERY", "MLFLOW_RUN_ID"):
            patch.delenv(name, raising=False)
        yield home


def train(home: Path, version: DatasetVersion, **arguments: Any) -> PipelineRun:
    data = {f"dataset_{name}": getattr(version, name) for name in ("repository", "revision", "path")}
    data["dataset_hash"] = version.dataset_hash
    lenient = {"gate_config": {"max_compression_loss": 100.0}}  # of a model that has hardly been trained
    given = {**data, "code_version": CODE_VERSION, "train_config": RECIPE, **lenient, **arguments}
    return run_locally(
        COMPILED / "training.yaml", given, root=home / "pipelines", mlflow_address=Settings().mlflow_address
    )


@pytest.fixture(scope="module")
def trained(installation: Path, dataset_version: DatasetVersion) -> PipelineRun:
    return train(installation, dataset_version)


def states(run: PipelineRun) -> dict[str, str]:
    return {step.name: step.state for step in run.steps}


def test_every_step_ran(trained: PipelineRun) -> None:
    assert set(states(trained).values()) == {"succeeded"}
    assert len(trained.steps) == 9


def test_metrics_of_the_run_are_those_of_the_chosen_bundle(trained: PipelineRun) -> None:
    metrics = json.loads(Path(trained.outputs["metrics"]).read_text())
    assert 0 <= metrics["t2i_r1"] <= metrics["t2i_r5"] <= metrics["t2i_r10"] <= 100
    assert Path(trained.outputs["report"]).read_text().startswith("<!")
    decision = json.loads(Path(trained.outputs["decision"]).read_text())
    assert decision["passed"] is True
    assert decision["reasons"]


def test_registered_bundle_is_whole_and_knows_where_it_came_from(
    trained: PipelineRun, installation: Path, dataset_version: DatasetVersion
) -> None:
    registry = ModelRegistry(Settings().mlflow_address, "personsearch", cache=installation / "models")
    version = registry.alias_version("challenger")
    assert version == trained.returned["register"]
    tags = registry.version(version).tags
    assert tags["raw_hash"] == dataset_version.dataset_hash
    assert tags["dataset_hash"] == trained.returned["augment"]
    assert tags["validation_status"] == "passed"
    assert tags["fingerprint"] == trained.returned["compress"]
    bundle = registry.fetch(version, tags["fingerprint"])
    assert bundle.path(CALIBRATION).is_file()
    measured = json.loads(Path(trained.outputs["metrics"]).read_text())
    assert json.loads(bundle.path(METRICS).read_text())["t2i_r1"] == measured["t2i_r1"]
    assert float(tags["metric.t2i_r1"]) == pytest.approx(measured["t2i_r1"], rel=1e-4)


def test_same_run_again_trains_nothing_and_registers_nothing(
    trained: PipelineRun, installation: Path, dataset_version: DatasetVersion
) -> None:
    again = train(installation, dataset_version)
    ran = {name for name, state in states(again).items() if state != "cached"}
    assert ran == {"gate", "register"}
    assert again.returned["register"] == trained.returned["register"]


def test_refused_model_is_not_registered(
    trained: PipelineRun, installation: Path, dataset_version: DatasetVersion
) -> None:
    refused = train(installation, dataset_version, gate_config={"max_calibration_error": 0.0})
    assert states(refused)["register"] == "skipped"
    assert refused.outputs["passed"] is False
    reasons = json.loads(Path(refused.outputs["decision"]).read_text())["reasons"]
    assert any("above the ceiling 0.000" in reason for reason in reasons)


def test_promoted_model_indexes_the_gallery(trained: PipelineRun, installation: Path) -> None:
    registry = ModelRegistry(Settings().mlflow_address, "personsearch", cache=installation / "models")
    registry.promote(trained.returned["register"])
    dataset = Path(trained.outputs["dataset"])
    gallery = gallery_in(installation / "gallery")
    add_dataset(dataset, gallery, split="test", start=datetime(2026, 3, 1, tzinfo=UTC))
    config = {
        "verify": {"probe_texts": ["a man in a red jacket", "a woman with a bag"], "recall_at": 3, "num_samples": 4}
    }
    root, address = installation / "pipelines", Settings().mlflow_address
    indexed = run_locally(COMPILED / "indexing.yaml", {"index_config": config}, root=root, mlflow_address=address)
    assert indexed.returned["index-gallery"] == f"persons_v{trained.returned['register']}_1"
    assert registry.version(trained.returned["register"]).tags["index_status"].startswith("live: ")
    store = MilvusStore(Settings().milvus_address)
    assert store.open(LIVE_ALIAS).count() == gallery.count() == 8
    assert store.properties(LIVE_ALIAS).fingerprint == trained.returned["compress"]
