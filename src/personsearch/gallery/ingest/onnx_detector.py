"""Detects people with an ONNX object detector: YOLO-, YOLOX-, NanoDet-, RT-DETR- and SSD-like (docs/ingest.md).

Images are letterboxed: scaled to fit, at the top left, grey beside.

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
from personsearch.gallery.ingest.video import Frame, Pixels

MOST_OVERLAP = 0.6
DEFAULT_SIDE = 640
GREY = 114
BGR_MEAN = np.array([103.53, 116.28, 123.675], np.float32)  # ImageNet's
BGR_DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)


class OnnxDetector:
    """Runs the model on whole frames."""

    def __init__(self, path: Path, *, least_confidence: float) -> None:
        """Load the file and run it on a grey image, whose outputs tell their layout.

        Raises:
            UserError: it is not an ONNX model, its input is not an image, or its outputs are of no known layout.
        """
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise UserError(f"detector {path}: not a usable ONNX model: {str(error).splitlines()[0]}") from error
        self._path = path
        self._least_confidence = least_confidence
        image = self._session.get_inputs()[0]
        if len(image.shape) != 4 or 3 not in (image.shape[1], image.shape[3]):
            raise UserError(f"detector {path}: input shape {image.shape}; [1, 3, height, width] expected")
        self._channels_last = image.shape[1] != 3
        self._type = np.uint8 if image.type == "tensor(uint8)" else np.float32
        sides = image.shape[1:3] if self._channels_last else image.shape[2:]
        height, width = (side if isinstance(side, int) else DEFAULT_SIDE for side in sides)
        self._size = (height, width)
        self._layout = self._known_layout()

    def detect(self, frame: Frame) -> Boxes:
        """Boxes of the people in a frame [N, 4]."""
        canvas, scale = self._letterbox(frame.pixels)
        boxes_N4, scores_N = self._layout.decode(self._run(canvas, self._layout.pixels), self._size)
        sure = scores_N >= self._least_confidence
        boxes_N4, scores_N = boxes_N4[sure], scores_N[sure]
        kept = suppress(boxes_N4, scores_N, most_overlap=MOST_OVERLAP)
        height, width = frame.pixels.shape[:2]
        return np.clip(boxes_N4[kept] / scale, 0, (width, height, width, height))

    def _known_layout(self) -> Layout:
        outputs = self._run(np.full((*self._size, 3), GREY, np.uint8), "rgb in [0, 1]")
        layout = layout_of(outputs, self._size)
        if layout is None:
            shapes = ", ".join(f"{name} {list(output.shape)}" for name, output in outputs.items())
            raise UserError(
                f"detector {self._path}: outputs {shapes} for an input of {self._size[0]}×{self._size[1]}; "
                "those of YOLO, YOLOX, NanoDet, RT-DETR or SSD expected"
            )
        return layout

    def _run(self, canvas_HW3: Pixels, pixels: InputPixels) -> Outputs:
        image, *others = self._session.get_inputs()
        feeds: dict[str, NDArray[np.generic]] = {image.name: self._input(canvas_HW3, pixels)}
        for other in others:  # RT-DETR asks to which width and height its boxes are scaled
            feeds[other.name] = np.array([self._size[::-1]], np.int64)
        try:
            outputs = self._session.run(None, feeds)
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise UserError(f"detector {self._path}: cannot be run: {str(error).splitlines()[0]}") from error
        names = [output.name for output in self._session.get_outputs()]
        return {name: np.asarray(output, dtype=np.float64) for name, output in zip(names, outputs, strict=True)}

    def _letterbox(self, pixels_HW3: Pixels) -> tuple[Pixels, float]:
        height, width = self._size
        scale = min(height / pixels_HW3.shape[0], width / pixels_HW3.shape[1])
        resized = cv2.resize(pixels_HW3, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)[:height, :width]
        canvas = np.full((height, width, 3), GREY, np.uint8)
        canvas[: resized.shape[0], : resized.shape[1]] = resized
        return canvas, scale

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
