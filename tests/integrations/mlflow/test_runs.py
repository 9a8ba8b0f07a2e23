"""Training figures in a real MLflow database, and training without one."""

import logging
from pathlib import Path

import pytest

from personsearch.integrations.mlflow.connection import connect, experiment_id
from personsearch.integrations.mlflow.runs import MlflowCallback, mlflow_callbacks

pytestmark = pytest.mark.usefixtures("empty_folder")
CONFIG = {"epochs": 2, "optimiser": {"lr": 0.1, "betas": [0.9, 0.98]}, "model": {"weights": "x" * 900}}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


def train(callback: MlflowCallback) -> None:
    callback.on_start(CONFIG)
    for step in (1, 2):
        callback.on_step(step, {"loss": 3.0 - step})
    callback.on_epoch(1, 2, {"val_r1": 40.0})
    callback.on_end({"val_r1": 40.0, "steps": 2.0})


def test_a_run_of_its_own_is_logged_and_ended(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    train(MlflowCallback(uri))
    client = connect(uri)
    (run,) = client.search_runs([experiment_id(client, uri)])
    assert run.info.status == "FINISHED"
    assert run.data.params["optimiser.lr"] == "0.1"
    assert len(run.data.params["model.weights"]) == 500
    assert run.data.metrics["final_val_r1"] == 40.0
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == [(1, 2.0), (2, 1.0)]


def test_a_run_that_is_given_is_logged_to_and_left_open(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(uri)
    run_id = client.create_run(experiment_id(client, uri)).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (callback,) = mlflow_callbacks()
    assert isinstance(callback, MlflowCallback)
    train(callback)
    assert client.get_run(run_id).info.status == "RUNNING"
    assert client.get_run(run_id).data.metrics["val_r1"] == 40.0


@pytest.mark.parametrize("away", ["http://127.0.0.1:9", "sqlite:////proc/nowhere/mlflow.db", "nonsense://x"])
def test_an_unreachable_server_is_reported_once(away: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "personsearch.integrations.mlflow.runs"):
        train(MlflowCallback(away))
    (record,) = [entry for entry in caplog.records if entry.name == "personsearch.integrations.mlflow.runs"]
    assert "no longer logged to MLflow" in record.message


def test_nothing_is_logged_where_no_address_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert mlflow_callbacks() == ()
