"""What component bodies share."""

import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.integrations.kubeflow.steps import (
    CHECKPOINTS_VARIABLE,
    code_version,
    identity_hash,
    packed_folder,
    parse_config,
    read_metrics,
    report_metrics,
    resumable_folder,
    start_step,
    unpacked_folder,
)


@dataclass
class Metrics:
    """As `kfp.dsl.Metrics`: a path and a dictionary."""

    path: str
    metadata: dict[str, float] = field(default_factory=dict)

    def log_metric(self, metric: str, value: float) -> None:
        self.metadata[metric] = value


def test_metrics_go_to_the_page_and_to_the_file(tmp_path: Path) -> None:
    artifact = Metrics(str(tmp_path / "metrics"))
    report_metrics({"t2i_r1": 57.5}, artifact)
    assert artifact.metadata == {"t2i_r1": 57.5}
    assert read_metrics(artifact) == {"t2i_r1": 57.5}


@pytest.mark.parametrize("content", ["", "[1]", '{"r1": "high"}', '{"r1": null}', "\x00"])
def test_a_file_that_holds_no_metrics_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics"
    path.write_text(content)
    with pytest.raises(UserError, match="not a file of metrics"):
        read_metrics(Metrics(str(path)))


class Recipe(Config):
    epochs: int
    rate: float
    architecture: dict[str, Any]


def test_integral_floats_of_a_parameter_are_integers_again() -> None:
    values = {"epochs": 2.0, "rate": 1.0, "architecture": {"sizes": [128.0, 64.0], "dropout": 0.5, "name": "4.0"}}
    recipe = parse_config(Recipe, values)
    assert (recipe.epochs, recipe.rate) == (2, 1.0)
    assert repr(recipe.architecture) == "{'sizes': [128, 64], 'dropout': 0.5, 'name': '4.0'}"


def test_a_wrong_parameter_is_one_readable_line() -> None:
    with pytest.raises(UserError, match=r"^Recipe: epochs=2\.5: .*integer.*; colour: unknown; known: "):
        parse_config(Recipe, {"epochs": 2.5, "rate": 1, "architecture": {}, "colour": "red"})


def test_without_a_checkpoint_folder_the_stage_works_in_its_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CHECKPOINTS_VARIABLE, raising=False)
    with resumable_folder(tmp_path / "model", "x") as folder:
        assert folder == tmp_path / "model"
        assert folder.is_dir()


def test_a_failed_stage_finds_its_checkpoints_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(tmp_path / "checkpoints"))
    with contextlib.suppress(MemoryError), resumable_folder(tmp_path / "first", {"epochs": 2, "seed": 1}) as folder:
        (folder / "epoch-1").touch()
        raise MemoryError
    assert not (tmp_path / "first").exists()
    with resumable_folder(tmp_path / "other", {"epochs": 3, "seed": 1}) as folder:
        assert list(folder.iterdir()) == [], "another configuration starts afresh"
    with resumable_folder(tmp_path / "second", {"seed": 1, "epochs": 2}) as folder:
        assert (folder / "epoch-1").exists()
        (folder / "epoch-2").touch()
        (folder / "checkpoints").mkdir()
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == ["epoch-1", "epoch-2"], "no checkpoints"
    assert not folder.exists()


def append_slowly(destination: Path) -> None:
    with resumable_folder(destination, "same") as folder:
        diary = folder / "diary"
        before = diary.read_text() if diary.exists() else ""
        time.sleep(0.2)
        diary.write_text(before + f"{destination.name} was here. ")


def test_two_processes_with_one_identity_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(tmp_path / "checkpoints"))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=append_slowly, args=(tmp_path / name,)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {name: (tmp_path / name / "diary").read_text() for name in ("a", "b")} == {
        "a": "a was here. ",
        "b": "b was here. ",
    }


def work_as_user(folder: Path, answers: Connection) -> None:
    os.setgid(10001)
    os.setuid(10001)
    try:
        with resumable_folder(folder / "model", "x"):
            answers.send("worked")
    except UserError as error:
        answers.send(str(error))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("prepared", [False, True])
def test_a_volume_that_belongs_to_root_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, prepared: bool) -> None:
    """As pods meet it: user 10001, a new volume; and the same once its group is 10001."""
    with tempfile.TemporaryDirectory() as name:
        folder, volume = Path(name), Path(name) / "checkpoints"
        folder.chmod(0o777)
        volume.mkdir()
        if prepared:
            os.chown(volume, 0, 10001)
            volume.chmod(0o2775)
        monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(volume))
        parent, child = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=work_as_user, args=(folder, child))
        process.start()
        answer = parent.recv()
        process.join()
    expected = f"{volume}: PERSONSEARCH_CHECKPOINTS names it, and user 10001 cannot write there: permission denied; "
    assert answer == "worked" if prepared else answer.lower().startswith(expected.lower())


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
def test_identity_ignores_the_order_of_keys_and_nothing_else(values: dict[str, object]) -> None:
    shuffled = json.loads(json.dumps(dict(reversed(values.items()))))
    assert identity_hash(values) == identity_hash(shuffled)
    assert identity_hash(values, "v1") != identity_hash(values, "v2")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables of the process, which are as before when the test ends."""
    variables: dict[str, str] = {}
    monkeypatch.setattr("os.environ", variables)
    return variables


@pytest.mark.parametrize("beside", ["", "-0d9ec3753bff84c4"])
def test_a_step_runs_the_code_that_its_run_was_submitted_with(environment: dict[str, str], beside: str) -> None:
    start_step(code_version() + beside)


def test_a_stale_image_is_refused_before_the_step_does_anything() -> None:
    expected = f"this image holds version {code_version()} of the code, and the run was submitted with 0123456789ab; "
    with pytest.raises(UserError, match=expected):
        start_step("0123456789ab")


def test_a_step_takes_over_its_own_variables(environment: dict[str, str]) -> None:
    environment |= {
        "AWS_ACCESS_KEY_ID": "of-the-launcher",
        "PERSONSEARCH_STEP_AWS_ACCESS_KEY_ID": "ours",
        "PERSONSEARCH_STEP_MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MLFLOW_RUN_ID": "a1",
    }
    start_step()
    assert environment["AWS_ACCESS_KEY_ID"] == "ours"
    assert environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert environment["MLFLOW_RUN_ID"] == "a1"


def test_a_run_that_kubeflow_opened_in_another_mlflow_is_not_logged_to(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environment |= {
        "MLFLOW_TRACKING_URI": "http://kubeflows:5000",
        "MLFLOW_RUN_ID": "a1",
        "PERSONSEARCH_STEP_MLFLOW_TRACKING_URI": "http://mlflow:5000",
    }
    start_step()
    assert environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert "MLFLOW_RUN_ID" not in environment
    assert "the run that Kubeflow opened in http://kubeflows:5000 is not used" in caplog.text


def test_an_artifact_of_many_files_is_a_few_and_is_read_as_it_was(tmp_path: Path) -> None:
    with packed_folder(tmp_path / "step" / "dataset") as folder:
        (folder / "images").mkdir(parents=True)
        for number in range(30):
            (folder / f"images/{number}.jpg").write_bytes(bytes([number]))
    assert sum(path.is_file() for path in (tmp_path / "step").rglob("*")) == 2, "a shard and the index"
    with unpacked_folder(tmp_path / "step" / "dataset", beside=tmp_path / "next" / "model") as source:
        assert {path.name: path.read_bytes() for path in (source / "images").iterdir()} == {
            f"{number}.jpg": bytes([number]) for number in range(30)
        }
    assert list((tmp_path / "next").iterdir()) == []


def test_a_step_that_fails_leaves_no_artifact(tmp_path: Path) -> None:
    with contextlib.suppress(MemoryError), packed_folder(tmp_path / "dataset") as folder:
        folder.mkdir()
        raise MemoryError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_packed_is_read_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "reid_raw.json").touch()
    with unpacked_folder(tmp_path, beside=tmp_path / "out") as source:
        assert source == tmp_path
