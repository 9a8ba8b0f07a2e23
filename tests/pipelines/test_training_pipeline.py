"""Both pipelines with every real step, on a data set of twelve people, into SQLite and Milvus Lite."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from personsearch.integrations.dvc_repository import DatasetVersion
from personsearch.integrations.kubeflow_runs import PipelineRun, code_version, run_locally
from pipelines.compile import COMPILED
from tests.pipelines.conftest import RECIPE

pytestmark = pytest.mark.timeout(600)


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
    given = {**data, "code_version": code_version(), "train_config": RECIPE, **arguments}
    return run_locally(COMPILED / "training.yaml", given, root=home / "pipelines")


@pytest.fixture(scope="module")
def trained(installation: Path, dataset_version: DatasetVersion) -> PipelineRun:
    return train(installation, dataset_version)


def states(run: PipelineRun) -> dict[str, str]:
    return {step.name: step.state for step in run.steps}


def test_every_step_ran_and_a_challenger_is_registered(trained: PipelineRun, installation: Path) -> None:
    assert set(states(trained).values()) == {"succeeded"}
    assert len(trained.steps) == 9
