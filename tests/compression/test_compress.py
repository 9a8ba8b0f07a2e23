"""The compression stage on a tiny real model, and its rule of choice as a table."""

import json
from pathlib import Path

import pytest

from personsearch.bundle import fingerprint, read_spec
from personsearch.compression.compress import CompressConfig, Row, choose, compress
from personsearch.compression.variants import build_form
from personsearch.errors import UserError
from personsearch.search.calibration import read_calibration
from personsearch.search.onnx_encoder import OnnxEncoder

CONFIG = CompressConfig(timing_rounds=2, max_loss=100)


@pytest.fixture(scope="module")
def compressed(tiny_bundle: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("compressed")
    compress(CONFIG, tiny_bundle, tiny_dataset, out_dir)
    return out_dir


def test_table_has_the_uncompressed_first_and_one_chosen(compressed: Path) -> None:
    rows = json.loads((compressed / "compression.json").read_text())
    assert [row["name"] for row in rows] == ["torch", "onnx-fp32", "onnx-int8"]
    assert [row["chosen"] for row in rows] == [False, False, True]
    assert rows[1]["r1"] == pytest.approx(rows[0]["r1"], abs=0.1)
    assert rows[2]["bytes"] < rows[1]["bytes"]
    assert all(row["text_ms"] > 0 and row["image_ms"] > 0 for row in rows)


@pytest.mark.parametrize("name", ["onnx-fp32", "onnx-int8", "chosen"])
def test_each_form_is_a_whole_bundle_that_proves_itself(tiny_bundle: Path, compressed: Path, name: str) -> None:
    folder = compressed / name
    OnnxEncoder(folder, threads=1, verify=True)
    spec = read_spec(folder)
    assert spec.variant == ("onnx-int8" if name == "chosen" else name)
    assert spec.lineage.parent == fingerprint(tiny_bundle)
    assert read_calibration(folder) is not None
    measured = "onnx-int8" if name == "chosen" else name
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(
        (compressed / "evaluation" / measured / "metrics.json").read_text()
    )
    assert (folder / "MODEL_CARD.md").read_text().count("## Compression") == 1


def test_nothing_temporary_is_left(compressed: Path) -> None:
    left = {path.relative_to(compressed).parts[0] for path in compressed.rglob("*")}
    assert left == {"onnx-fp32", "onnx-int8", "chosen", "evaluation", "compression.json", "run.json"}
    assert not list(compressed.rglob("*.npy"))


def test_a_second_run_keeps_the_bundles_and_clears_what_a_killed_one_left(
    tiny_bundle: Path, tiny_dataset: Path, compressed: Path
) -> None:
    graphs = {path: path.stat().st_mtime_ns for path in compressed.glob("onnx-*/*.onnx")}
    (compressed / ".chosen.1.partial").mkdir()
    compress(CONFIG, tiny_bundle, tiny_dataset, compressed)
    assert {path: path.stat().st_mtime_ns for path in compressed.glob("onnx-*/*.onnx")} == graphs
    assert not list(compressed.glob(".*"))
    assert (compressed / "chosen" / "MODEL_CARD.md").read_text().count("## Compression") == 1


def test_only_a_torch_bundle_can_be_compressed(compressed: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only a torch bundle"):
        build_form(compressed / "onnx-fp32", "onnx-int8", "onnxruntime", tmp_path / "out")


@pytest.mark.parametrize(
    ("r1_full", "r1_int8", "max_loss", "chosen"),
    [
        (60.0, 59.6, 0.5, "onnx-int8"),
        (60.0, 59.4, 0.5, "onnx-fp32"),
        (60.0, 61.0, 0.0, "onnx-int8"),
        (58.0, 57.0, 0.5, "onnx-fp32"),
        (57.0, 58.0, 0.5, "onnx-int8"),
    ],
)
def test_the_smallest_within_the_loss_is_chosen(r1_full: float, r1_int8: float, max_loss: float, chosen: str) -> None:
    rows = [
        Row("torch", 60.0, 50.0, 10, 1.0, 1.0),
        Row("onnx-fp32", r1_full, 50.0, 40, 1.0, 1.0),
        Row("onnx-int8", r1_int8, 50.0, 12, 1.0, 1.0),
    ]
    assert [row.name for row in choose(rows, max_loss) if row.chosen] == [chosen]
