"""Detects people with an ONNX object detector that has one of the YOLO family's two output layouts.

The file has one image input, float32 [1, 3, H, W] in [0, 1] (RGB, letterboxed with grey), and its first output is
either raw predictions [1, 4 + C, N] (YOLOv8 and later: centre x, centre y, width, height, then C class scores) or
finished detections [1, N, 6] (left, top, right, bottom, score, class). Class 0 is "person", as in COCO.

Shapes: H height, W width of the input; N detections; C classes.
"""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.gallery.ingest.boxes import Boxes, suppress
from personsearch.gallery.ingest.video import Frame, Pixels

PERSON_CLASS = 0
MOST_OVERLAP = 0.6
DEFAULT_SIDE = 640
GREY = 114


class OnnxDetector:
    """Runs the model on whole frames; ignores where the tracker expects people."""

    def __init__(self, path: Path, *, least_confidence: float) -> None:
        """Load the file.

        Raises:
            UserError: it is not an ONNX model, or its input is not an image.
        """
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise UserError(f"detector {path}: not a usable ONNX model: {str(error).splitlines()[0]}") from error
        self._path = path
        self._least_confidence = least_confidence
        image = self._session.get_inputs()[0]
        if len(image.shape) != 4 or image.shape[1] != 3:
            raise UserError(f"detector {path}: input shape {image.shape}; [1, 3, height, width] expected")
        self._input = image.name
        self._size = tuple(side if isinstance(side, int) else DEFAULT_SIDE for side in image.shape[2:])

    def detect(self, frame: Frame, expected_K4: Boxes) -> Boxes:
        """Boxes of the people in a frame [N, 4]."""
        image_13HW, scale = self._letterbox(frame.pixels)
        output = np.asarray(self._session.run(None, {self._input: image_13HW})[0], dtype=np.float64)
        boxes_N4, scores_N = self._people(output)
        kept = suppress(boxes_N4, scores_N, most_overlap=MOST_OVERLAP)
        height, width = frame.pixels.shape[:2]
        return np.clip(boxes_N4[kept] / scale, 0, (width, height, width, height))

    def _letterbox(self, pixels_HW3: Pixels) -> tuple[NDArray[np.float32], float]:
        height, width = self._size
        scale = min(height / pixels_HW3.shape[0], width / pixels_HW3.shape[1])
        resized = cv2.resize(pixels_HW3, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)[:height, :width]
        canvas = np.full((height, width, 3), GREY, np.uint8)
        canvas[: resized.shape[0], : resized.shape[1]] = resized
        image = canvas[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(image), scale

    def _people(self, output: NDArray[np.float64]) -> tuple[Boxes, NDArray[np.float64]]:
        if output.ndim != 3 or output.shape[0] != 1 or not (output.shape[2] == 6 or output.shape[1] > 4):
            raise UserError(
                f"detector {self._path}: output shape {output.shape}; [1, 4 + classes, N] or [1, N, 6] expected"
            )
        if output.shape[2] == 6:
            boxes, scores, classes = output[0, :, :4], output[0, :, 4], output[0, :, 5]
        else:
            middle, size = output[0, :2].T, output[0, 2:4].T
            boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
            scores, classes = output[0, 4:].max(axis=0), output[0, 4:].argmax(axis=0).astype(np.float64)
        people = (
            (classes == PERSON_CLASS) & (scores >= self._least_confidence) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        )
        return boxes[people], scores[people]
