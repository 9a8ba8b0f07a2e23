"""The contract with Kubeflow's API, spoken by the real client to a small server that keeps what it was sent."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from personsearch.errors import UserError
from personsearch.integrations.kubeflow import cluster as kubeflow_cluster
from pipelines.compile import compile_pipeline

ARGUMENTS = {"model_version": "3", "index_config": {"batch_size": 64}}
STATES = ["PENDING", "RUNNING", "SUCCEEDED"]


class Kubeflow(ThreadingHTTPServer):
    """Experiments and runs in memory; each look at a run moves it to its next state."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.experiments: list[dict[str, str]] = []
        self.runs: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        self.states = list(STATES)
        self.refusal = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Kubeflow

    def do_GET(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization"))
        path = self.path.partition("?")[0].removeprefix("/apis/v2beta1/")
        if path == "healthz":
            self._answer({"multi_user": False})
        elif path == "experiments":
            self._answer({"experiments": self.server.experiments})
        elif path.startswith("runs/"):
            state = self.server.states.pop(0) if len(self.server.states) > 1 else self.server.states[0]
            task = {"display_name": "index-gallery", "state": state}
            self._answer({"run_id": path[5:], "state": state, "run_details": {"task_details": [task]}})
        else:
            self._answer({"message": "not found"}, status=404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/experiments"):
            self.server.experiments.append({**body, "experiment_id": "e1"})
            self._answer(self.server.experiments[-1])
        elif self.server.refusal:
            self._answer({"message": self.server.refusal}, status=400)
        else:
            self.server.runs.append(body)
            self._answer({"run_id": f"run-{len(self.server.runs)}"})

    def _answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    with Kubeflow() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv(kubeflow_cluster.ENDPOINT_VARIABLE, server.address)
        monkeypatch.delenv(kubeflow_cluster.TOKEN_VARIABLE, raising=False)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return compile_pipeline("indexing", tmp_path)


def test_submitted_run_carries_the_whole_pipeline_and_its_arguments(kubeflow: Kubeflow, spec: Path) -> None:
    client = kubeflow_cluster.connect()
    assert kubeflow_cluster.submit(client, spec, ARGUMENTS, experiment="nightly", namespace="ana") == "run-1"
    (run,) = kubeflow.runs
    sent, platform = yaml.safe_load_all(spec.read_text())
    assert run["pipeline_spec"]["pipeline_spec"] == sent
    assert run["pipeline_spec"]["platform_spec"] == platform
    assert run["runtime_config"]["parameters"] == ARGUMENTS
    assert run["experiment_id"] == "e1"
    assert [(e["display_name"], e["namespace"]) for e in kubeflow.experiments] == [("nightly", "ana")]


def test_an_experiment_is_made_once(kubeflow: Kubeflow, spec: Path) -> None:
    client = kubeflow_cluster.connect()
    for _ in range(2):
        kubeflow_cluster.submit(client, spec, ARGUMENTS)
    assert len(kubeflow.experiments) == 1
    assert len(kubeflow.runs) == 2


def test_token_is_sent_as_bearer(kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kubeflow_cluster.TOKEN_VARIABLE, "secret")
    kubeflow_cluster.connect()
    assert kubeflow.tokens == {"Bearer secret"}


def test_waiting_prints_each_state_once(kubeflow: Kubeflow) -> None:
    heard: list[tuple[str, str]] = []
    kubeflow.states = ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    client = kubeflow_cluster.connect()
    kubeflow_cluster.wait(
        client, "run-1", announce=lambda step, state: heard.append((step, state)), interval_seconds=0.01
    )
    assert heard == [("index-gallery", state) for state in STATES]


def test_a_failed_run_is_a_readable_error(kubeflow: Kubeflow) -> None:
    kubeflow.states = ["FAILED"]
    client = kubeflow_cluster.connect()
    with pytest.raises(UserError, match="run run-1 ended as FAILED"):
        kubeflow_cluster.wait(client, "run-1", announce=lambda step, state: None, interval_seconds=0.01)


def test_a_refused_run_says_why(kubeflow: Kubeflow, spec: Path) -> None:
    client = kubeflow_cluster.connect()
    kubeflow.refusal = "quota exceeded"
    with pytest.raises(UserError, match=r"Kubeflow answered 400 Bad Request: .*quota exceeded"):
        kubeflow_cluster.submit(client, spec, ARGUMENTS)


def test_wrong_arguments_do_not_reach_the_cluster(kubeflow: Kubeflow, spec: Path) -> None:
    with pytest.raises(UserError, match="parameter 'colour': unknown"):
        kubeflow_cluster.submit(kubeflow_cluster.connect(), spec, {"colour": "red"})
    assert kubeflow.runs == []


def test_no_address_and_no_answer_are_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kubeflow_cluster.ENDPOINT_VARIABLE, raising=False)
    with pytest.raises(UserError, match="give --endpoint or set KF_PIPELINES_ENDPOINT"):
        kubeflow_cluster.connect()
    with pytest.raises(UserError, match="Kubeflow cannot be reached"):
        kubeflow_cluster.connect("http://127.0.0.1:9")


def test_images_come_from_the_registry_that_is_named(spec: Path, tmp_path: Path) -> None:
    path = kubeflow_cluster.with_registry(spec, "registry.example.com/team/", tmp_path / "out.yaml")
    before, after = (list(yaml.safe_load_all(p.read_text())) for p in (spec, path))
    image = after[0]["deploymentSpec"]["executors"]["exec-index-gallery"]["container"]["image"]
    assert image == "registry.example.com/team/personsearch-platform:0.1.0"
    assert after[1] == before[1], "addresses and volumes stay"
