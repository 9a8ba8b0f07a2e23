"""Both output layouts of YOLO files, from tiny graphs whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import UserError
from personsearch.gallery.ingest.boxes import NO_BOXES
from personsearch.gallery.ingest.onnx_detector import OnnxDetector
from personsearch.gallery.ingest.video import Frame

onnx = pytest.importorskip("onnx")

FRAME = Frame(0, 0.0, np.zeros((240, 320, 3), np.uint8))


def write_detector(path: Path, output: np.ndarray, shape: tuple[int, ...] = (1, 3, 160, 160)) -> Path:
    """A graph that answers `output` to every image."""
    helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["output"]),
    ]
    constants = {"zero": np.zeros((), np.float32), "answer": output.astype(np.float32)}
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", FLOAT, shape)],
        [helper.make_tensor_value_info("output", FLOAT, output.shape)],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def raw_predictions() -> np.ndarray:
    """[1, 4 + 3 classes, 5]: a person twice, a faint person, a car, another person."""
    columns = [
        [50, 60, 20, 40, 0.9, 0.0, 0.1],
        [51, 60, 20, 40, 0.8, 0.0, 0.1],
        [90, 60, 20, 40, 0.2, 0.0, 0.1],
        [120, 60, 20, 40, 0.1, 0.0, 0.9],
        [20, 60, 10, 30, 0.6, 0.0, 0.1],
    ]
    return np.array(columns).T[None]


def test_raw_predictions_are_suppressed_and_scaled_back(tmp_path: Path) -> None:
    detector = OnnxDetector(write_detector(tmp_path / "raw.onnx", raw_predictions()), least_confidence=0.35)
    found = detector.detect(FRAME, NO_BOXES)
    assert found.tolist() == [[80.0, 80.0, 120.0, 160.0], [30.0, 90.0, 50.0, 150.0]]


def test_finished_detections_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = np.array([[[10.0, 20, 30, 60, 0.9, 0], [50, 20, 70, 60, 0.9, 2], [150, 100, 170, 130, 0.8, 0]]])
    detector = OnnxDetector(write_detector(tmp_path / "done.onnx", rows), least_confidence=0.35)
    assert detector.detect(FRAME, NO_BOXES).tolist() == [[20, 40, 60, 120], [300, 200, 320, 240]]


def test_what_is_no_detector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(UserError, match=r"text\.onnx: not a usable"):
        OnnxDetector(tmp_path / "text.onnx", least_confidence=0.35)
    vectors = write_detector(tmp_path / "vectors.onnx", raw_predictions(), shape=(1, 7))
    with pytest.raises(UserError, match="input shape"):
        OnnxDetector(vectors, least_confidence=0.35)
    flat = OnnxDetector(write_detector(tmp_path / "flat.onnx", np.zeros((2, 3))), least_confidence=0.35)
    with pytest.raises(UserError, match="output shape"):
        flat.detect(FRAME, NO_BOXES)
