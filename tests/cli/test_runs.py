"""`personsearch runs` as a person runs it, against a server that speaks Kubeflow's API."""

import json
from collections.abc import Callable, Iterator

import pytest

from personsearch.cli import main
from personsearch.integrations.kubeflow import cluster
from tests.servers.kubeflow import Kubeflow, kubeflow_server

Runs = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    with kubeflow_server() as server:
        monkeypatch.setenv(cluster.ENDPOINT_VARIABLE, server.address)
        monkeypatch.delenv(cluster.TOKEN_VARIABLE, raising=False)
        yield server


@pytest.fixture
def runs(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Runs:
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["personsearch", "runs", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def test_a_run_is_submitted_with_images_of_a_registry_and_watched(kubeflow: Kubeflow, runs: Runs) -> None:
    kubeflow.states = ["SUCCEEDED"]
    code, out, err = runs(
        *("submit", "indexing", "--set", "model_version=3", "--wait", "--json"),
        *("--registry", "registry.example.com", "--image-tag", "0.2.0"),
    )
    assert (code, json.loads(out)) == (0, {"run_id": "run-1", "state": "SUCCEEDED"})
    assert err.splitlines() == ["run run-1", "index-gallery: SUCCEEDED"]
    (run,) = kubeflow.runs
    assert run["runtime_config"]["parameters"]["model_version"] == "3"
    assert "registry.example.com/personsearch-platform:0.2.0" in json.dumps(run["pipeline_spec"])


@pytest.mark.parametrize(
    ("state", "code", "message"),
    [
        ("FAILED", 3, "personsearch: run run-1 ended as FAILED: out of memory; failed: index-gallery"),
        ("CANCELED", 3, "personsearch: run run-1 ended as CANCELED: see its page"),
        ("RUNNING", 4, "personsearch: run run-1 has not ended after 0 s: RUNNING"),
    ],
)
def test_the_exit_code_says_how_a_run_ended(
    kubeflow: Kubeflow, runs: Runs, state: str, code: int, message: str
) -> None:
    kubeflow.states, kubeflow.error = [state], "out of memory"
    kubeflow.add_run({})
    ended, out, err = runs("watch", "run-1", "--timeout", "0")
    assert (ended, out) == (code, "")
    assert err.splitlines()[-1] == message


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("watch", "run-7"), "Run run-7 not found"),
        (("cancel", "run-7"), "Run run-7 not found"),
        (("logs", "run-7", "train"), "Run run-7 not found"),
        (("submit", "indexin"), "pipeline 'indexin': unknown; did you mean indexing?"),
        (
            ("submit", "indexing", "--digest", "platform=0123"),
            "--digest platform=0123: IMAGE=sha256: and 64 hex digits",
        ),
        (("recurring", "delete", "x"), "Recurring run x not found"),
        (("list", "--endpoint", "http://127.0.0.1:9"), "Kubeflow cannot be reached"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    kubeflow: Kubeflow, runs: Runs, command: tuple[str, ...], message: str
) -> None:
    code, out, err = runs(*command)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


def test_runs_are_listed_cancelled_and_their_logs_printed(kubeflow: Kubeflow, runs: Runs) -> None:
    assert runs("list") == (0, "", "experiment 'personsearch' has no runs\n")
    kubeflow.states, kubeflow.logs = ["RUNNING"], {"index-gallery": "encoded: 10/10\n"}
    runs("submit", "indexing")
    assert runs("logs", "run-1", "index-gallery") == (0, "encoded: 10/10\n", "")
    assert runs("cancel", "run-1")[0] == 0
    runs("watch", "run-1")
    listed = json.loads(runs("list", "--json")[1])["runs"]
    assert [(run["run_id"], run["state"]) for run in listed] == [("run-1", "CANCELED")]
    assert "run-1" in runs("list")[1]


@pytest.mark.parametrize(
    "command",
    [
        ("submit", "indexing"),
        ("watch", "run-1"),
        ("logs", "run-1", "train"),
        ("cancel", "run-1"),
        ("list",),
        ("recurring", "list"),
        ("recurring", "create", "indexing", "--cron", "0 0 3 * * *"),
    ],
)
def test_an_answer_of_null_is_one_line(kubeflow: Kubeflow, runs: Runs, command: tuple[str, ...]) -> None:
    kubeflow.nulls = True
    code, out, err = runs(*command)
    assert (code, out) == (2, "")
    assert err == "personsearch: Kubeflow answered null; is another service at --endpoint or KF_PIPELINES_ENDPOINT?\n"


def test_root_is_for_runs_on_this_machine(kubeflow: Kubeflow, runs: Runs) -> None:
    code, _, err = runs("submit", "indexing", "--root", "here")
    assert code == 2
    assert "No such option" in err


def test_a_schedule_is_kept_from_the_command_line(kubeflow: Kubeflow, runs: Runs) -> None:
    assert runs("recurring", "create", "indexing", "--cron", "0 0 3 * * *", "--json")[:2] == (
        0,
        '{"recurring_run_id": "recurring-1"}\n',
    )
    assert runs("recurring", "disable", "recurring-1")[0] == 0
    assert runs("recurring", "list")[1].splitlines()[1].split() == (
        ["recurring-1", "indexing", *["0", "0", "3", "*", "*", "*"], "DISABLED"]
    )
    assert runs("recurring", "delete", "recurring-1")[0] == 0
    assert runs("recurring", "list") == (0, "", "experiment 'personsearch' has no recurring runs\n")
