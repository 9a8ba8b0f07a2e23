"""The contract with Kubeflow's API, spoken by the real client to a small server that keeps what it was sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from personsearch.errors import UserError
from personsearch.integrations.kubeflow import cluster as kubeflow_cluster
from personsearch.integrations.kubeflow import recurring
from pipelines.compile import compile_pipeline
from tests.servers.kubeflow import STATES, Kubeflow, kubeflow_server

ARGUMENTS = {"model_version": "3", "index_config": {"batch_size": 64}}


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    with kubeflow_server() as server:
        monkeypatch.setenv(kubeflow_cluster.ENDPOINT_VARIABLE, server.address)
        monkeypatch.delenv(kubeflow_cluster.TOKEN_VARIABLE, raising=False)
        yield server


@contextmanager
def answering(page: str) -> Iterator[str]:
    """The address of a server that answers everything with the same page, as a gateway does before somebody logs in."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
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


def wait(heard: list[tuple[str, str]], **options: float) -> None:
    kubeflow_cluster.wait(
        kubeflow_cluster.connect(), "run-1", announce=lambda *step: heard.append(step), interval_seconds=0.01, **options
    )


def test_waiting_tells_each_state_once_and_of_the_pipelines_own_steps_only(kubeflow: Kubeflow) -> None:
    heard: list[tuple[str, str]] = []
    kubeflow.states = ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    kubeflow.add_run({})
    wait(heard)
    assert heard == [("index-gallery", state) for state in STATES]


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ("FAILED", "no GPU is left", "^run run-1 ended as FAILED: no GPU is left; failed: index-gallery$"),
        ("FAILED", "", "^run run-1 ended as FAILED: see its page; failed: index-gallery$"),
        ("CANCELED", "", "^run run-1 ended as CANCELED: see its page$"),
    ],
)
def test_a_run_that_fails_is_a_readable_error(kubeflow: Kubeflow, state: str, error: str, message: str) -> None:
    kubeflow.states, kubeflow.error = [state], error
    kubeflow.add_run({})
    with pytest.raises(kubeflow_cluster.RunFailedError, match=message):
        wait([])


def test_waiting_outlasts_an_outage_of_the_api(kubeflow: Kubeflow) -> None:
    heard: list[tuple[str, str]] = []
    kubeflow.states = ["SUCCEEDED"]
    kubeflow.add_run({})
    client = kubeflow_cluster.connect()
    kubeflow.outages = 3
    kubeflow_cluster.wait(client, "run-1", announce=lambda *step: heard.append(step), interval_seconds=0.01)
    assert (kubeflow.outages, heard) == (0, [("index-gallery", "SUCCEEDED")])


def test_waiting_ends_where_the_api_stays_away(kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeflow_cluster, "OUTAGE_SECONDS", 0.05)
    kubeflow.add_run({})
    client = kubeflow_cluster.connect()
    kubeflow.outages = 1_000_000
    with pytest.raises(UserError, match="Kubeflow answered 503"):
        kubeflow_cluster.wait(client, "run-1", announce=lambda *step: None, interval_seconds=0.01)


def test_waiting_has_an_end(kubeflow: Kubeflow) -> None:
    kubeflow.states = ["RUNNING"]
    kubeflow.add_run({})
    with pytest.raises(kubeflow_cluster.RunUnfinishedError, match=r"run run-1 has not ended after 0\.05 s: RUNNING"):
        wait([], timeout_seconds=0.05)


def test_a_run_that_is_not_there_is_a_readable_error(kubeflow: Kubeflow) -> None:
    with pytest.raises(UserError, match=r"Kubeflow answered 404 Not Found: .*Run run-1 not found"):
        wait([])


def test_runs_are_listed_over_pages_newest_first(kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeflow_cluster, "PAGE", 2)
    client = kubeflow_cluster.connect()
    assert kubeflow_cluster.runs(client, experiment="nightly") == []
    for name in ("nightly", "other"):
        client.create_experiment(name)
    for number in range(6):
        kubeflow.add_run({"display_name": f"n{number}", "experiment_id": "e1" if number < 5 else "e2"})
    kubeflow.runs[4]["left"] = ["SUCCEEDED"]
    found = kubeflow_cluster.runs(client, experiment="nightly", limit=3)
    assert [(run.run_id, run.name, run.state) for run in found] == [
        ("run-5", "n4", "SUCCEEDED"),
        ("run-4", "n3", "PENDING"),
        ("run-3", "n2", "PENDING"),
    ]
    assert found[0].created is not None
    assert found[0].finished is not None
    assert (found[0].finished - found[0].created).total_seconds() == 90
    assert found[1].finished is None
    assert len(kubeflow_cluster.runs(client, experiment=None)) == 6


def test_a_running_run_is_cancelled_and_one_that_ended_is_not(kubeflow: Kubeflow) -> None:
    kubeflow.states = ["RUNNING"]
    kubeflow.add_run({})
    client = kubeflow_cluster.connect()
    kubeflow_cluster.cancel(client, "run-1")
    assert kubeflow.runs[0]["left"] == ["CANCELING", "CANCELED"]
    kubeflow.states = ["SUCCEEDED"]
    kubeflow.add_run({})
    with pytest.raises(UserError, match="run run-2 has already ended as SUCCEEDED"):
        kubeflow_cluster.cancel(client, "run-2")


def test_logs_are_those_of_the_steps_pod(kubeflow: Kubeflow) -> None:
    kubeflow.steps = ["prepare", "train"]
    kubeflow.logs = {"train": '{"epoch": 1}\nün\n'}
    kubeflow.add_run({})
    client = kubeflow_cluster.connect()
    assert kubeflow_cluster.logs(client, "run-1", "train") == '{"epoch": 1}\nün\n'
    with pytest.raises(UserError, match="no log of run-1-prepare-1: the pod was removed"):
        kubeflow_cluster.logs(client, "run-1", "prepare")
    with pytest.raises(UserError, match="run run-1 has no step 'tran'; its steps: prepare, train"):
        kubeflow_cluster.logs(client, "run-1", "tran")


def test_a_pods_token_is_read_again_for_each_request(
    kubeflow: Kubeflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    monkeypatch.setenv(kubeflow_cluster.POD_TOKEN_VARIABLE, str(token))
    client = kubeflow_cluster.connect()
    token.write_text("second")
    client.list_experiments()
    assert kubeflow.tokens == {"Bearer first", "Bearer second"}


def test_a_schedule_is_made_listed_disabled_and_deleted(kubeflow: Kubeflow, spec: Path) -> None:
    client = kubeflow_cluster.connect()
    created = recurring.create(client, spec, ARGUMENTS, name="nightly", cron="0 0 3 * * *")
    (kept,) = kubeflow.recurring
    assert kept["pipeline_spec"]["pipeline_spec"] == next(yaml.safe_load_all(spec.read_text()))
    assert kept["runtime_config"]["parameters"] == ARGUMENTS
    assert (kept["max_concurrency"], kept["no_catchup"]) == (1, True)
    expected = recurring.RecurringRun(created, "nightly", "0 0 3 * * *", "ENABLED")
    assert recurring.schedules(client) == [expected]
    assert recurring.schedules(client, experiment="other") == []
    recurring.change(client, created, "disable")
    assert recurring.schedules(client)[0].status == "DISABLED"
    recurring.change(client, created, "delete")
    assert kubeflow.recurring == []
    with pytest.raises(UserError, match=f"{created} not found"):
        recurring.change(client, created, "enable")


def test_a_schedule_needs_six_fields_and_a_name_of_its_own(kubeflow: Kubeflow, spec: Path) -> None:
    client = kubeflow_cluster.connect()
    with pytest.raises(UserError, match=r"--cron '0 3 \* \* \*': six fields expected"):
        recurring.create(client, spec, ARGUMENTS, name="nightly", cron="0 3 * * *")
    recurring.create(client, spec, ARGUMENTS, name="nightly", cron="0 0 3 * * *")
    with pytest.raises(UserError, match="a recurring run 'nightly' exists in experiment 'personsearch'"):
        recurring.create(client, spec, ARGUMENTS, name="nightly", cron="0 0 4 * * *")
    assert len(kubeflow.recurring) == 1


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
    with pytest.raises(
        UserError, match=r"^Kubeflow cannot be reached: .*refused; start it, or correct --endpoint or KF_"
    ) as error:
        kubeflow_cluster.connect("http://127.0.0.1:9")
    assert "Max retries" not in str(error.value)


@pytest.mark.parametrize("page", ["<html>Log in</html>", "[]", ""])
def test_a_page_to_log_in_is_not_taken_for_an_answer(page: str) -> None:
    with answering(page) as address, pytest.raises(UserError, match=r"no Kubeflow API, perhaps a page to log in"):
        kubeflow_cluster.connect(address)
