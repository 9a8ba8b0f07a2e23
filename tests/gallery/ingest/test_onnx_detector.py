"""Every known layout of outputs, from tiny graphs whose answer is known: a person at one place, a car at another."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from personsearch.errors import UserError
from personsearch.gallery.ingest.boxes import NO_BOXES
from personsearch.gallery.ingest.detector_layouts import layout_of
from personsearch.gallery.ingest.detectors import Detections
from personsearch.gallery.ingest.onnx_detector import OnnxDetector
from personsearch.gallery.ingest.stage import ingest
from personsearch.gallery.ingest.tracks import IngestConfig, is_sure_enough, look_at_every
from personsearch.gallery.ingest.video import Frame, VideoInfo
from personsearch.integrations.database.gallery import gallery_in

from .clips import Walker, write_clip
from .test_stage import NINE

onnx = pytest.importorskip("onnx")

FRAME = Frame(0, 0.0, np.zeros((240, 320, 3), np.uint8))
SIZE = (160, 160)  # half the frame's width; the frame fills the upper 120 rows
PERSON, CAR = (40.0, 40.0, 60.0, 80.0), (100.0, 40.0, 140.0, 60.0)
PERSON_IN_FRAME = [80.0, 80.0, 120.0, 160.0]
CLASSES = 80

Outputs = dict[str, np.ndarray]


def write_detector(
    path: Path, outputs: Outputs, shape: tuple[int, ...] = (1, 3, *SIZE), *, kind: str = "FLOAT", sizes: bool = False
) -> Path:
    """A graph that answers `outputs` to every image; `sizes` adds RT-DETR's second input."""
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=types.FLOAT),
        helper.make_node("ReduceSum", ["float"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        *(helper.make_node("Add", [f"{name}_answer", "nothing"], [name]) for name in outputs),
    ]
    constants = {"zero": np.zeros((), np.float32)} | {
        f"{name}_answer": value.astype(np.float32) for name, value in outputs.items()
    }
    inputs = [helper.make_tensor_value_info("image", getattr(types, kind), shape)]
    if sizes:
        inputs.append(helper.make_tensor_value_info("orig_target_sizes", types.INT64, (1, 2)))
    graph = helper.make_graph(
        nodes,
        "detector",
        inputs,
        [helper.make_tensor_value_info(name, types.FLOAT, value.shape) for name, value in outputs.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def detect(path: Path, frame: Frame = FRAME, *, longest_side: int = 640) -> Detections:
    """What the detector of this file makes of a frame."""
    detector = OnnxDetector(path, least_confidence=0.5, faint_confidence=0.3, longest_side=longest_side)
    return detector.detect(frame, NO_BOXES)


def scores(person: int = 0, car: int = 2, classes: int = CLASSES) -> np.ndarray:
    """Class scores [2, classes] of the person and the car."""
    rows = np.full((2, classes), 0.01)
    rows[0, person], rows[1, car] = 0.9, 0.8
    return rows


def centred(boxes: np.ndarray) -> np.ndarray:
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])


BOXES = np.array([PERSON, CAR])
SHARES = BOXES / 160


def finished() -> Outputs:
    return {"output": np.hstack([BOXES, [[0.9, 0], [0.8, 2]]])[None]}


def yolov8() -> Outputs:
    rows = np.hstack([centred(BOXES), scores()])
    faint = np.hstack([centred(BOXES[:1]), 0.2 * scores()[:1]])
    twice = rows[:1] + np.array([1, 0, 0, 0] + [0] * CLASSES)
    twice[0, 4] = 0.7
    return {"output": np.concatenate([rows, twice, np.repeat(faint, 100, axis=0)]).T[None]}


def yolov5() -> Outputs:
    rows = np.zeros((3 * (20**2 + 10**2 + 5**2), 5 + CLASSES))
    rows[[7, 90]] = np.hstack([centred(BOXES), [[1.0], [1.0]], scores()])
    return {"output": rows[None]}


def yolox() -> Outputs:
    """Raw: the person in the stride of 16, at row 3 and column 2 of its 10 × 10 cells; its centre is (50, 60)."""
    rows = np.zeros((20**2 + 10**2 + 5**2, 5 + CLASSES))
    cell = 400 + 3 * 10 + 2
    rows[cell] = [50 / 16 - 2, 60 / 16 - 3, np.log(20 / 16), np.log(40 / 16), 1.0, *scores()[0]]
    rows[cell + 4] = [120 / 16 - 6, 50 / 16 - 3, np.log(40 / 16), np.log(20 / 16), 1.0, *scores()[1]]
    return {"output": rows[None]}


def distances(sides: tuple[float, ...], stride: int, bins: int) -> np.ndarray:
    """A distribution over bins per side: all its mass on the two bins beside the distance."""
    logits = np.full((4, bins), -30.0)
    for side, distance in enumerate(sides):
        low, share = int(distance / stride), distance / stride % 1
        logits[side, low] = np.log(max(1 - share, 1e-9))
        logits[side, low + 1] = np.log(max(share, 1e-9))
    return logits.ravel()


def nanodet_rows(strides: tuple[int, ...], shift: float, bins: int = 8) -> np.ndarray:
    counts = [(-(-160 // stride)) ** 2 for stride in strides]
    rows = np.hstack([np.zeros((sum(counts), CLASSES)), np.full((sum(counts), 4 * bins), -1.0)])
    for box, classes, (row, column) in zip(BOXES, scores(), [(3, 3), (3, 7)], strict=True):
        x, y = (column + shift) * 16, (row + shift) * 16
        sides = (x - box[0], y - box[1], box[2] - x, box[3] - y)
        rows[counts[0] + row * 10 + column] = [*classes, *distances(sides, 16, bins)]
    return rows


def nanodet() -> Outputs:
    return {"output": nanodet_rows((8, 16, 32), 0.5)[None]}


def nanodet_plus() -> Outputs:
    return {"output": nanodet_rows((8, 16, 32, 64), 0.0)[None]}


def nanodet_repvgg() -> Outputs:
    return {"output": nanodet_rows((8, 16, 32), 0.5, bins=11)[None]}


def nanodet_heads() -> Outputs:
    parts = np.split(nanodet_rows((8, 16, 32), 0.5, bins=11), [400, 500])
    return {f"cls_{n}": part[None, :, :CLASSES] for n, part in enumerate(parts)} | {
        f"dis_{n}": part[None, :, CLASSES:] for n, part in enumerate(parts)
    }


def rt_detr() -> Outputs:
    probabilities = scores()
    return {"logits": np.log(probabilities / (1 - probabilities))[None], "pred_boxes": centred(SHARES)[None]}


def detr() -> Outputs:
    return {"logits": np.log(scores(person=1, car=3, classes=92))[None], "pred_boxes": centred(SHARES)[None]}


def rt_detr_labels() -> Outputs:
    return {"labels": np.array([[0, 2]]), "boxes": BOXES[None], "scores": np.array([[0.9, 0.8]])}


def ssd() -> Outputs:
    return {
        "detection_boxes": SHARES[None, :, [1, 0, 3, 2]],
        "detection_classes": np.array([[1, 3]]),
        "detection_scores": np.array([[0.9, 0.8]]),
        "num_detections": np.array([2]),
    }


def ssd_rows() -> Outputs:
    rows = np.hstack([[[0, 1, 0.9], [0, 3, 0.8]], SHARES])
    end = np.array([[-1, 1, 0.9, *SHARES[1]]])
    return {"detection_out": np.concatenate([rows, end])[None, None]}


LAYOUTS: list[Callable[[], Outputs]] = [
    finished, yolov8, yolov5, yolox, nanodet, nanodet_plus, nanodet_repvgg, nanodet_heads,
    rt_detr, detr, rt_detr_labels, ssd, ssd_rows,
]  # fmt: skip


@pytest.mark.parametrize("outputs", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_finds_the_person_and_not_the_car(tmp_path: Path, outputs: Callable[[], Outputs]) -> None:
    sizes = outputs is rt_detr_labels
    path = write_detector(tmp_path / "detector.onnx", outputs(), sizes=sizes)
    assert detect(path).boxes_N4 == pytest.approx(np.array([PERSON_IN_FRAME]), abs=0.1)


def test_images_of_bytes_with_channels_last_are_fed_so(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "detector.onnx", ssd(), (1, 160, 160, 3), kind="UINT8")
    assert detect(path).boxes_N4 == pytest.approx(np.array([PERSON_IN_FRAME]))


@pytest.mark.parametrize(
    ("outputs", "name", "pixels"),
    [
        (yolox, "YOLOX", "bgr in [0, 255]"),
        (nanodet, "NanoDet", "bgr standardised"),
        (yolov8, "YOLOv8", "rgb in [0, 1]"),
        (rt_detr, "RT-DETR", "rgb in [0, 1]"),
    ],
)
def test_each_family_gets_the_pixels_it_was_trained_on(outputs: Callable[[], Outputs], name: str, pixels: str) -> None:
    layout = layout_of(outputs(), SIZE)
    assert layout is not None
    assert (layout.name, layout.pixels) == (name, pixels)


def test_what_is_no_detector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(UserError, match=r"text\.onnx: not a usable"):
        detect(tmp_path / "text.onnx")
    vectors = write_detector(tmp_path / "vectors.onnx", finished(), (1, 7))
    with pytest.raises(UserError, match="input shape"):
        detect(vectors)
    flat = write_detector(tmp_path / "flat.onnx", {"output": np.zeros((2, 3))})
    with pytest.raises(UserError, match=r"outputs output \[2, 3\] for an input of 160×160; those of YOLO"):
        detect(flat)


def test_only_boxes_above_the_least_confidence_are_sure(tmp_path: Path) -> None:
    rows = np.hstack([np.array([PERSON, CAR, CAR]), [[0.4, 0], [0.9, 2], [0.2, 0]]])
    found = detect(write_detector(tmp_path / "detector.onnx", {"output": rows[None]}))
    assert found.boxes_N4 == pytest.approx(np.array([PERSON_IN_FRAME]))
    assert found.sure_N.tolist() == [False]


def write_measuring_detector(path: Path) -> Path:
    """A graph for images of any size that finds a person in the left half of each."""
    helper, types = onnx.helper, onnx.TensorProto
    constants = {
        "last": np.array([3, 2]),
        "halves": np.array([0.5, 1.0], np.float32),
        "low": np.zeros((1, 2), np.float32),
        "score": np.array([[0.9, 0.0]], np.float32),
        "batch": np.array([0]),
    }
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["sides"]),
        helper.make_node("Cast", ["sides"], ["numbers"], to=types.FLOAT),
        helper.make_node("Mul", ["numbers", "halves"], ["corner"]),
        helper.make_node("Unsqueeze", ["corner", "batch"], ["high"]),
        helper.make_node("Concat", ["low", "high", "score"], ["row"], axis=1),
        helper.make_node("Unsqueeze", ["row", "batch"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", types.FLOAT, (1, 3, "height", "width"))],
        [helper.make_tensor_value_info("output", types.FLOAT, (1, 1, 6))],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("frame", "longest", "size"),
    [((240, 320), 160, (128, 160)), ((540, 960), 640, (384, 640)), ((320, 96), 64, (64, 32))],
)
def test_a_detector_of_any_size_gets_the_frames_shape(
    tmp_path: Path, frame: tuple[int, int], longest: int, size: tuple[int, int]
) -> None:
    """The input is scaled to the longest side; a box of half its width comes back in the frame's pixels."""
    path = write_measuring_detector(tmp_path / "detector.onnx")
    found = detect(path, Frame(0, 0.0, np.zeros((*frame, 3), np.uint8)), longest_side=longest)
    scale = min(size[0] / frame[0], size[1] / frame[1])
    right, bottom = min(size[1] / 2 / scale, frame[1]), min(size[0] / scale, frame[0])
    assert found.boxes_N4 == pytest.approx(np.array([[0, 0, right, bottom]]), abs=0.01)


STANDING = Walker((30, 30, 180), 100, 0, foot=160, first=2)


def test_tracks_that_the_detector_is_sure_of_are_people(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", [STANDING], frames=30)
    config = IngestConfig(detector=write_detector(tmp_path / "detector.onnx", finished()))
    metrics = ingest(config, clip, gallery_in(tmp_path / "gallery"), camera_id="door", start=NINE)
    assert (metrics["tracks"], metrics["tracks_rejected"]) == (1, 0)
    assert metrics["frames"] == 15  # of ten per second, every second one


@pytest.mark.parametrize(
    ("sure", "boxes", "enough"),
    [(1, 4, True), (1, 6, True), (1, 7, False), (2, 7, True), (2, 40, True), (2, 41, False), (0, 4, False)],
)
def test_the_longer_a_track_the_more_often_the_detector_must_be_sure(sure: int, boxes: int, enough: bool) -> None:
    assert is_sure_enough(sure, boxes) is enough


def test_every_frame_is_looked_at_for_motion_and_six_a_second_for_a_detector() -> None:
    info = VideoInfo(768, 576, 25.0, 0, 0.0)
    assert look_at_every(IngestConfig(), info) == 4
    assert look_at_every(IngestConfig(detector="motion"), info) == 1
    assert look_at_every(IngestConfig(detector="motion", every=3), info) == 3
    assert look_at_every(IngestConfig(), VideoInfo(768, 576, 5.0, 0, 0.0)) == 1


def test_a_missing_detector_names_the_choices(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", [STANDING], frames=3)
    config = IngestConfig().overridden({"detector": "yolo"})
    with pytest.raises(UserError, match=r"detector yolo: no such file; builtin, motion or an ONNX file expected"):
        ingest(config, clip, gallery_in(tmp_path / "gallery"), camera_id="door", start=NINE)
