"""The commands evaluate, compress and gate, as a person or a pipeline runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gallery.ingest.clips import Walker, write_clip

PERSONSEARCH = [sys.executable, "-c", "from personsearch.cli import main; main()"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*PERSONSEARCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"t2i_r1": 40.0, "split": "test", "by_camera": []}))
    return path


def test_evaluate_prints_the_metrics_and_writes_the_report(
    tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    result = run("evaluate", tiny_bundle, "--dataset", tiny_dataset, "--out", tmp_path, "--split", "val", "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert printed["t2i_r1"] == written["t2i_r1"]
    assert written["split"] == "val"
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(("min_r1", "code"), [(30, 0), (50, 1)])
def test_gate_answers_by_its_exit_code(metrics: Path, tmp_path: Path, min_r1: int, code: int) -> None:
    (tmp_path / "params.yaml").write_text(f"gate: {{min_r1: {min_r1}}}")
    result = run("gate", metrics, "--params", tmp_path / "params.yaml", "--json")
    assert result.returncode == code
    assert json.loads(result.stdout)["passed"] is (code == 0)


def test_gate_compares_with_a_baseline(metrics: Path, tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text('{"t2i_r1": 41}')
    result = run("gate", metrics, "--baseline", tmp_path / "champion.json")
    assert result.returncode == 1
    assert "below the champion's 41.00" in result.stdout


def test_gate_holds_a_compressed_model_against_the_whole_one(metrics: Path, tmp_path: Path) -> None:
    (tmp_path / "whole.json").write_text('{"t2i_r1": 43}')
    result = run("gate", metrics, "--uncompressed", tmp_path / "whole.json")
    assert result.returncode == 1
    assert "below the uncompressed 43.00 less 2.00 = 41.00" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gate", "absent.json"], "absent.json: no such file or folder; a metrics.json expected"),
        (["gate", "{metrics}", "--params", "{metrics}"], "section 't2i_r1': unknown; known: synthesize"),
        (
            ["evaluate", "absent", "--dataset", "absent", "--out", "{out}"],
            "absent: no such file or folder; a model bundle expected",
        ),
        (["compress", "absent", "--dataset", "absent", "--out", "{out}"], "absent"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    metrics: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    filled = [argument.format(metrics=metrics, out=tmp_path / "out") for argument in arguments]
    result = run(*filled)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_numbers_of_params_yaml_are_accepted() -> None:
    from personsearch.compression.compress import CompressConfig
    from personsearch.evaluation.gate import GateConfig
    from personsearch.evaluation.measured import EvaluateConfig

    parameters = Path(__file__).parents[2] / "params.yaml"
    assert EvaluateConfig.from_yaml(parameters, "evaluate") == EvaluateConfig()
    compression = CompressConfig.from_yaml(parameters, "compress")
    assert compression.model_copy(update={"forms": CompressConfig().forms}) == CompressConfig()
    assert {form.runtime for form in compression.forms.values()} == {"onnxruntime", "openvino"}
    assert GateConfig.from_yaml(parameters, "gate") == GateConfig()


def test_evaluate_takes_footage_with_or_without_a_data_set(
    onnx_bundle: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    write_clip(tmp_path / "clip.avi", [Walker((30, 30, 180), 40, 10, foot=150, last=24)], frames=40)
    person = {"clip": "clip.avi", "frames": [0, 39], "descriptions": ["someone in red"]}
    (tmp_path / "people.json").write_text(json.dumps({"people": [person], "absent": ["a ghost"]}))
    (tmp_path / "params.yaml").write_text("ingest: {detector: motion, selection: {least_person_margin: -100.0}}")
    footage = [
        "--footage",
        tmp_path / "people.json",
        "--crops",
        tmp_path / "crops",
        "--params",
        tmp_path / "params.yaml",
    ]
    alone = run("evaluate", onnx_bundle, *footage, "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    assert [line.split("  ")[0] for line in alone.stdout.splitlines()[:3]] == [
        "description",
        "someone in red",
        "a ghost",
    ]
    assert (tmp_path / "alone" / "report.html").is_file()
    both = run("evaluate", onnx_bundle, "--dataset", tiny_dataset, *footage, "--out", tmp_path / "both", "--json")
    printed = json.loads(both.stdout)
    assert {"t2i_r1", "footage_r1", "footage_absent_reliable"} <= printed.keys()  # the data set has calibrated it
    written = json.loads((tmp_path / "both" / "footage" / "metrics.json").read_text())
    assert written["footage_r1"] == printed["footage_r1"]


def test_evaluate_needs_something_to_measure_on(onnx_bundle: Path, tmp_path: Path) -> None:
    result = run("evaluate", onnx_bundle, "--out", tmp_path)
    assert result.returncode == 2
    assert "neither --dataset nor --footage is given" in result.stderr
