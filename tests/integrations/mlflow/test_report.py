"""A stage's figures and files in a real MLflow database, and a stage without one."""

import logging
from pathlib import Path

import pytest

from personsearch.integrations.mlflow.connection import connect, experiment_id
from personsearch.integrations.mlflow.report import Report, log_report

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


def report(tmp_path: Path) -> None:
    picture = tmp_path / "pareto.png"
    picture.write_bytes(b"picture")
    log_report(
        "compress", Report({"chosen_r1": 60.0}, {"chosen": "onnx-int8"}, files=[picture], texts={"why.md": "smallest"})
    )


def test_a_run_of_its_own_has_figures_tags_and_files(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    report(tmp_path)
    client = connect(uri)
    (run,) = client.search_runs([experiment_id(client, uri)], filter_string="attributes.run_name = 'compress'")
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"compress_chosen_r1": 60.0}
    assert run.data.tags["chosen"] == "onnx-int8"
    paths = {file.path for file in client.list_artifacts(run.info.run_id, "compress")}
    assert paths == {"compress/pareto.png", "compress/why.md"}


def test_a_given_run_is_left_open(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(uri)
    run_id = client.create_run(experiment_id(client, uri)).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    report(tmp_path)
    run = client.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("RUNNING", {"compress_chosen_r1": 60.0})


def test_a_run_that_could_not_be_filled_does_not_seem_to_be_running(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    log_report("broken", Report({"r1": 60.0}, files=[tmp_path / "is not there"]))
    client = connect(uri)
    (run,) = client.search_runs([experiment_id(client, uri)], filter_string="attributes.run_name = 'broken'")
    assert run.info.status == "FAILED"


@pytest.mark.parametrize("away", ["http://127.0.0.1:9", "sqlite:////proc/nowhere/mlflow.db", "nonsense://x"])
def test_an_unreachable_server_is_reported_and_stops_nothing(
    away: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away)
    with caplog.at_level(logging.WARNING, "personsearch.integrations.mlflow.report"):
        report(tmp_path)
    messages = [entry.message for entry in caplog.records if entry.name == "personsearch.integrations.mlflow.report"]
    assert len(messages) == 1
    assert "compress is not in MLflow" in messages[0]


def test_nothing_happens_where_no_address_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = set(tmp_path.rglob("*"))
    report(tmp_path)
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "pareto.png"}
    assert caplog.records == []
