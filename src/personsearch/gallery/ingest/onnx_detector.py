"""Detects people with an ONNX object detector: YOLO-, YOLOX-, NanoDet-, RT-DETR- and SSD-like (docs/ingest.md).

Images are letterboxed: scaled to fit, at the top left, grey beside. A model that takes any size gets the frame's shape.

Shapes: H height, W width of the input; N boxes.
"""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.gallery.ingest.boxes import Boxes, suppress
from personsearch.gallery.ingest.detector_layouts import Layout, Outputs, layout_of
from personsearch.gallery.ingest.detector_layouts import Pixels as InputPixels
from personsearch.gallery.ingest.detectors import Detections
from personsearch.gallery.ingest.video import Frame, Pixels

BUILTIN = Path(__file__).parent / "person_detector" / "nanodet-g.onnx"
MOST_OVERLAP = 0.6
COARSEST_STRIDE = 32
GREY = 114
BGR_MEAN = np.array([103.53, 116.28, 123.675], np.float32)  # ImageNet's
BGR_DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)


class OnnxDetector:
    """Runs the model on whole frames."""

    def __init__(self, path: Path, *, least_confidence: float, faint_confidence: float, longest_side: int) -> None:
        """Load the file and run it on a grey image, whose outputs tell their layout. `longest_side` is for models that
        take any size.

        Raises:
            UserError: it is not an ONNX model, its input is not an image, or its outputs are of no known layout.
        """
        try:
            self._session = onnxruntime.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise UserError(f"detector {path}: not a usable ONNX model: {str(error).splitlines()[0]}") from error
        self._path = path
        self._least_confidence = least_confidence
        self._faint_confidence = min(faint_confidence, least_confidence)
        image = self._session.get_inputs()[0]
        if len(image.shape) != 4 or 3 not in (image.shape[1], image.shape[3]):
            raise UserError(f"detector {path}: input shape {image.shape}; [1, 3, height, width] expected")
        self._channels_last = image.shape[1] != 3
        self._type = np.uint8 if image.type == "tensor(uint8)" else np.float32
        sides = image.shape[1:3] if self._channels_last else image.shape[2:]
        self._takes_any_size = not any(isinstance(side, int) for side in sides)
        height, width = (side if isinstance(side, int) else _rounded_up(longest_side) for side in sides)
        self._size = (height, width)
        self._layout = self._known_layout()

    def detect(self, frame: Frame, expected_K4: Boxes) -> Detections:
        """The people in a frame, the surest first."""
        height, width = frame.pixels.shape[:2]
        size = _size_of_shape(height, width, max(self._size)) if self._takes_any_size else self._size
        canvas, scale = _letterbox(frame.pixels, size)
        boxes_N4, scores_N = self._layout.decode(self._run(canvas, self._layout.pixels), size)
        likely = scores_N >= self._faint_confidence
        boxes_N4, scores_N = boxes_N4[likely], scores_N[likely]
        kept = suppress(boxes_N4, scores_N, most_overlap=MOST_OVERLAP)
        inside_N4 = np.clip(boxes_N4[kept] / scale, 0, (width, height, width, height))
        return Detections(inside_N4, scores_N[kept] >= self._least_confidence)

    def _known_layout(self) -> Layout:
        height, width = self._size
        outputs = self._run(np.full((height, width, 3), GREY, np.uint8), "rgb in [0, 1]")
        layout = layout_of(outputs, self._size)
        if layout is None:
            shapes = ", ".join(f"{name} {list(output.shape)}" for name, output in outputs.items())
            raise UserError(
                f"detector {self._path}: outputs {shapes} for an input of {height}×{width}; "
                "those of YOLO, YOLOX, NanoDet, RT-DETR or SSD expected"
            )
        return layout

    def _run(self, canvas_HW3: Pixels, pixels: InputPixels) -> Outputs:
        image, *others = self._session.get_inputs()
        feeds: dict[str, NDArray[np.generic]] = {image.name: self._input(canvas_HW3, pixels)}
        for other in others:  # RT-DETR asks to which width and height its boxes are scaled
            feeds[other.name] = np.array([canvas_HW3.shape[1::-1]], np.int64)
        try:
            outputs = self._session.run(None, feeds)
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise UserError(f"detector {self._path}: cannot be run: {str(error).splitlines()[0]}") from error
        names = [output.name for output in self._session.get_outputs()]
        return {name: np.asarray(output, dtype=np.float64) for name, output in zip(names, outputs, strict=True)}

    def _input(self, canvas_HW3: Pixels, pixels: InputPixels) -> NDArray[np.generic]:
        ordered = canvas_HW3[:, :, ::-1] if pixels.startswith("rgb") else canvas_HW3
        values = ordered.astype(np.float32)
        if self._type is np.uint8:
            values = values.astype(np.uint8)
        elif pixels == "rgb in [0, 1]":
            values /= np.float32(255)
        elif pixels == "bgr standardised":
            values = (values - BGR_MEAN) / BGR_DEVIATION
        return np.ascontiguousarray(values[None] if self._channels_last else values.transpose(2, 0, 1)[None])


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning starves other processes
    return options


def _size_of_shape(height: int, width: int, longest_side: int) -> tuple[int, int]:
    """Height and width of the smallest input that holds a frame scaled to `longest_side`."""
    scale = longest_side / max(height, width)
    return _rounded_up(height * scale), _rounded_up(width * scale)


def _rounded_up(side: float) -> int:
    return -(-round(side) // COARSEST_STRIDE) * COARSEST_STRIDE


def _letterbox(pixels_HW3: Pixels, size: tuple[int, int]) -> tuple[Pixels, float]:
    height, width = size
    scale = min(height / pixels_HW3.shape[0], width / pixels_HW3.shape[1])
    resized = cv2.resize(pixels_HW3, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)[:height, :width]
    canvas = np.full((height, width, 3), GREY, np.uint8)
    canvas[: resized.shape[0], : resized.shape[1]] = resized
    return canvas, scale
