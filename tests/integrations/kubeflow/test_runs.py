"""Pipelines on this machine, with real subprocess steps that take milliseconds."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kfp import compiler, dsl

from personsearch.errors import UserError
from personsearch.integrations.kubeflow.log import Step
from personsearch.integrations.kubeflow.runs import PipelineRun, run_locally
from personsearch.integrations.kubeflow.steps import code_version


@dsl.component(base_image="none", install_kfp_package=False)
def count(config: dict, numbers: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]) -> str:
    from pathlib import Path

    from personsearch.integrations.kubeflow.steps import report_metrics

    Path(numbers.path).write_text(str(config["upto"]))
    report_metrics({"upto": config["upto"]}, metrics)
    return f"it's {config['upto']:g}"


@dsl.component(base_image="none", install_kfp_package=False)
def work(numbers: dsl.Input[dsl.Dataset], seconds: float, diary: str, mistake: str) -> str:
    import time
    from pathlib import Path

    from personsearch.errors import UserError
    from personsearch.integrations.kubeflow.steps import resumable_folder
    from personsearch.progress import track

    with resumable_folder(Path(numbers.path + "-done"), diary) as folder, Path(diary).open("a") as lines:
        done = len(list(folder.iterdir()))
        for number in track(range(done, 4), "counting"):
            time.sleep(seconds)
            (folder / str(number)).touch()
            lines.write(f"{number}\n")
            lines.flush()
    if mistake == "user":
        raise UserError("numbers.csv: 3 columns, 4 expected")
    return str(1 // len(mistake.replace("bug", "")) if mistake else 1)


@dsl.component(base_image="none", install_kfp_package=False)
def decide(metrics: dsl.Input[dsl.Metrics], atleast: float) -> bool:
    from personsearch.integrations.kubeflow.steps import read_metrics

    return read_metrics(metrics)["upto"] >= atleast


@dsl.component(base_image="none", install_kfp_package=False)
def publish(name: str) -> str:
    return name.upper()


@dsl.pipeline(name="counting")
def counting(config: dict, diary: str, seconds: float = 0.0, atleast: float = 3.0, mistake: str = "") -> dsl.Dataset:
    counted = count(config=config)
    work(numbers=counted.outputs["numbers"], seconds=seconds, diary=diary, mistake=mistake)
    decision = decide(metrics=counted.outputs["metrics"], atleast=atleast).set_caching_options(False)
    with dsl.If(decision.output == True):  # noqa: E712
        publish(name=counted.outputs["Output"]).set_caching_options(False)
    return counted.outputs["numbers"]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "counting.yaml"
    compiler.Compiler().compile(counting, str(path))
    return path


def run(spec: Path, *, upto: int = 4, **arguments: object) -> PipelineRun:
    diary = str(spec.parent / "diary")
    return run_locally(spec, {"config": {"upto": upto}, "diary": diary, **arguments}, root=spec.parent / "root")


def states(finished: PipelineRun) -> dict[str, str]:
    return {step.name: step.state for step in finished.steps}


def test_steps_run_and_their_results_come_back(spec: Path) -> None:
    finished = run(spec)
    assert states(finished) == dict.fromkeys(("count", "work", "decide", "publish"), "succeeded")
    assert finished.returned == {"count": "it's 4", "work": "1", "decide": True, "publish": "IT'S 4"}
    assert Path(finished.outputs["Output"]).read_text() == "4.0", "Kubeflow turns numbers in a dict into floats"
    assert json.loads((finished.folder / "arguments.json").read_text())["config"] == {"upto": 4}


def test_second_run_takes_finished_steps_from_the_first(spec: Path) -> None:
    run(spec)
    again = run(spec)
    assert states(again) == {"count": "cached", "work": "cached", "decide": "succeeded", "publish": "succeeded"}
    assert (spec.parent / "diary").read_text().split() == list("0123"), "work ran once"
    assert states(run(spec, upto=5))["count"] == "succeeded", "another argument is another run"


def test_branch_not_taken_is_skipped(spec: Path) -> None:
    finished = run(spec, atleast=5.0)
    assert states(finished)["publish"] == "skipped"
    assert "publish" not in finished.returned


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("user", r"^step work failed: numbers.csv: 3 columns, 4 expected \(log: .*/logs/work\.log\)$"),
        ("bug", r"^step work failed: ZeroDivisionError: integer division or modulo by zero \(log: .*work\.log\)$"),
    ],
)
def test_failure_is_one_line_with_the_steps_own_words(spec: Path, mistake: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        run(spec, mistake=mistake)
    log = Path(str(caught.value).rpartition("log: ")[2][:-1])
    assert "Traceback" in log.read_text()


def test_progress_is_shown_and_noise_is_not(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[tuple[str, str, str]] = []

    def announce(step: Step, progress: str) -> None:
        heard.append((step.name, step.state, progress))

    arguments = {"config": {"upto": 4}, "diary": str(spec.parent / "diary")}
    run_locally(spec, arguments, root=spec.parent / "root", announce=announce)
    assert heard[:2] == [("count", "running", ""), ("count", "succeeded", "")]
    assert [event for event in heard if event[0] == "work"] == [
        ("work", "running", ""),
        ("work", "running", "counting: 4/4 done"),
        ("work", "succeeded", ""),
    ]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": {}, "diary": "d", "colour": "red"}, "parameter 'colour': unknown; known: "),
        ({"config": {}, "diary": "d", "dairy": "e"}, r"parameter 'dairy': unknown; did you mean diary\?"),
        ({"config": {}}, "parameter diary is missing"),
        ({"config": "deep", "diary": "d"}, "config='deep': a mapping expected"),
        ({"config": {}, "diary": "d", "seconds": True}, "seconds=True: a number expected"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(
    spec: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run_locally(spec, arguments, root=spec.parent / "root")
    assert not (spec.parent / "root").exists()


def test_a_file_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.yaml"
    path.write_text("- a list")
    with pytest.raises(UserError, match=r"notes\.yaml: not a compiled pipeline"):
        run_locally(path, {}, root=tmp_path)


def test_a_killed_run_resumes_where_it_stopped(spec: Path) -> None:
    """The runner and its step are killed with -9 in the middle of `work`: nothing is done twice or left out."""
    diary = spec.parent / "diary"
    program = (
        "import sys; from pathlib import Path; from personsearch.integrations.kubeflow.runs import run_locally; "
        "spec = Path(sys.argv[1]); run_locally(spec, {'config': {'upto': 4}, 'diary': str(spec.parent / 'diary'), "
        "'seconds': 0.2}, root=spec.parent / 'root')"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(spec)], start_new_session=True)
    while not (diary.is_file() and len(diary.read_text().split()) >= 2):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = run(spec, seconds=0.2)
    assert states(finished)["count"] == "cached"
    assert diary.read_text().split() == list("0123")
    left = list((spec.parent / "root" / "checkpoints").iterdir())
    assert [path.suffix for path in left] == [".lock"], "checkpoints are removed once the step has ended"


def test_code_version_names_the_code_not_the_place() -> None:
    assert len(code_version()) == 12
    assert code_version() == code_version()
