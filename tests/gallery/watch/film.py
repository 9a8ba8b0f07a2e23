"""A synthetic camera: coloured figures cross a grey yard, and a small ONNX graph that sees colour as people."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

from personsearch.gallery.ingest.selection import SelectionConfig
from personsearch.gallery.ingest.tracks import IngestConfig
from tests.gallery.ingest.clips import FRAMES_PER_SECOND, SIZE, scene

RED, BLUE, GREEN = (30, 30, 200), (200, 60, 20), (40, 170, 30)
Visit = tuple[tuple[int, int, int], float, float]
"""A figure's colour (BGR), and from when to when it is in the picture, in seconds."""


def draw(seconds: float, visits: list[Visit]) -> np.ndarray:
    """One frame."""
    pixels = scene()
    for colour, first, last in visits:
        if first <= seconds < last:
            left = round(20 + 40 * (seconds - first) % 260)
            cv2.rectangle(pixels, (left, 100), (left + 34, 190), colour, -1)
    return pixels


def film(path: Path, visits: list[Visit], *, seconds: float) -> Path:
    """A video in H.264, as cameras send it: no B-frames, a key frame each second."""
    with av.open(str(path), "w") as container:
        options = {"g": str(FRAMES_PER_SECOND), "bf": "0", "preset": "ultrafast"}
        stream = container.add_stream("libx264", rate=Fraction(FRAMES_PER_SECOND), options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(round(seconds * FRAMES_PER_SECOND)):
            pixels = draw(number / FRAMES_PER_SECOND, visits)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode())
    return path


def colour_detector(path: Path) -> Path:
    """An ONNX file that puts one box around everything coloured, as a detector with finished detections does."""
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["brightest"], axes=[1]),
        helper.make_node("ReduceMin", ["image"], ["darkest"], axes=[1]),
        helper.make_node("Sub", ["brightest", "darkest"], ["saturation"]),
        helper.make_node("Greater", ["saturation", "threshold"], ["coloured"]),
        helper.make_node("Cast", ["coloured"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["mask"], ["columns"], axes=[0, 1, 2], keepdims=0),
        helper.make_node("ReduceMax", ["mask"], ["rows"], axes=[0, 1, 3], keepdims=0),
        helper.make_node("ReduceMax", ["columns"], ["any"], keepdims=1),
        helper.make_node("Mul", ["any", "confidence"], ["score"]),
        helper.make_node("Mul", ["any", "zero"], ["class"]),
    ]
    for edge, profile, last in (
        ("left", "columns", 0),
        ("top", "rows", 0),
        ("right", "columns", 1),
        ("foot", "rows", 1),
    ):
        nodes += [
            helper.make_node("ArgMax", [profile], [f"{edge}_index"], axis=0, keepdims=1, select_last_index=last),
            helper.make_node("Cast", [f"{edge}_index"], [edge], to=TensorProto.FLOAT),
        ]
    parts = ["left", "top", "right", "foot", "score", "class"]
    nodes += [
        helper.make_node("Concat", parts, ["flat"], axis=0),
        helper.make_node("Reshape", ["flat", "shape"], ["detections"]),
    ]
    constants = {"threshold": np.float32(0.3), "confidence": np.array([0.9], np.float32)}
    constants |= {"zero": np.zeros(1, np.float32), "shape": np.array([1, 1, 6], np.int64)}
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, *SIZE))],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, (1, 1, 6))],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def config(detector: Path) -> IngestConfig:
    """Settings under which these figures are people."""
    return IngestConfig(detector=detector, selection=SelectionConfig(least_height=30, crops_per_track=2))
