"""The command probe, as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from personsearch.integrations.mlflow.connection import connect, experiment_id

PERSONSEARCH = [sys.executable, "-c", "from personsearch.cli import main; main()"]


def run(
    bundle: Path, before: Path, dataset: Path, out: Path, *more: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    paths = [str(bundle), "--before", str(before), "--dataset", str(dataset), "--out", str(out)]
    environment = os.environ | {"COLUMNS": "200"} | variables
    return subprocess.run(
        [*PERSONSEARCH, "probe", *paths, *more], capture_output=True, text=True, check=False, env=environment
    )


def test_a_probe_names_layers_and_is_found_in_mlflow(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "params.yaml").write_text("probe: {resolution: 0.5, towers: [text]}")
    options = ["--params", str(tmp_path / "params.yaml"), "--split", "test", "--max-loss", "1.5"]
    result = run(tiny_bundle, tiny_bundle, tiny_dataset, tmp_path / "out", *options, MLFLOW_TRACKING_URI=uri)
    assert result.returncode == 0, result.stderr
    assert "text_layers: [" in result.stdout
    written = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert (written["split"], written["max_loss"], written["resolution"]) == ("test", 1.5, 0.5)
    assert list(written["towers"]) == ["text"]
    client = connect(uri)
    (found,) = client.search_runs([experiment_id(client, uri)], filter_string="attributes.run_name = 'probe'")
    assert {file.path for file in client.list_artifacts(found.info.run_id, "probe")} == {
        "probe/probe.md",
        "probe/probe.png",
    }
    assert found.data.metrics["probe_r1"] == written["r1"]


def test_a_wrong_start_is_one_line(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    result = run(tiny_bundle, tmp_path / "nothing", tiny_dataset, tmp_path / "out")
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(f"personsearch: {tmp_path / 'nothing'}: neither a torch bundle nor a file of weights;")
    assert "train RECIPE --set epochs=0" in line


def test_an_option_that_cannot_be_is_one_line(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    result = run(tiny_bundle, tiny_bundle, tiny_dataset, tmp_path / "out", "--max-loss", "0")
    assert result.returncode == 2
    assert result.stderr.strip() == "personsearch: --max-loss=0.0: a number above 0 expected"
