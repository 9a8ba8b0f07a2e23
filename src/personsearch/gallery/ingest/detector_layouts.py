"""What the outputs of common ONNX object detectors mean, told from their names, shapes and values.

Every layout decodes to boxes in pixels of the input image and to the score of "person" where that is the best class.

Shapes: H height, W width of the input; N boxes; C classes; S strides; R bins of a distance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from personsearch.gallery.ingest.boxes import Boxes

Output = NDArray[np.float64]
Outputs = Mapping[str, Output]
Decoded = tuple[Boxes, NDArray[np.float64]]
Pixels = Literal["rgb in [0, 1]", "bgr in [0, 255]", "bgr standardised", "rgb in [0, 255]"]

PERSON, PERSON_AFTER_BACKGROUND = 0, 1
STRIDES = ((8, 16, 32), (8, 16, 32, 64))
NANODET_BINS = (8, 11, 17)  # of a distance: NanoDet-m and -Plus, RepVGG and EfficientNet-Lite


@dataclass(frozen=True, slots=True)
class Layout:
    """A family of detectors: what its input holds, and how its outputs become boxes and scores."""

    name: str
    pixels: Pixels
    decode: Callable[[Outputs, tuple[int, int]], Decoded]


def layout_of(outputs: Outputs, size: tuple[int, int]) -> Layout | None:
    """The layout of the outputs of one run on an input of this height and width; None if it is none of those known."""
    for fits, layout in (
        (_has_parts(outputs, "boxes", "scores", "classes"), SSD),
        (_has_parts(outputs, "boxes", "scores", "labels"), LABELLED),
        (_is_detr(outputs), DETR),
        (len(outputs) > 2 and _nanodet_heads(outputs, size) is not None, NANODET_HEADS),
        (len(outputs) > 0 and _single_layout(next(iter(outputs.values())), size) is not None, None),
    ):
        if fits:
            return layout or _single_layout(next(iter(outputs.values())), size)
    return None


def _single_layout(output: Output, size: tuple[int, int]) -> Layout | None:
    if output.ndim == 4 and output.shape[:2] == (1, 1) and output.shape[3] == 7:
        return SSD_ROWS
    if output.ndim != 3 or output.shape[0] != 1:
        return None
    count, width = output.shape[1:]
    cells = [len(_grid(size, strides)[0]) for strides in STRIDES]
    if count in cells and width > 5:
        return _layout_per_cell(output[0], is_yolox=count == cells[0] and _are_scores(output[0, :, 4:]))
    if width == 6:
        return FINISHED
    if count == 3 * cells[0] and width > 5:
        return YOLOV5
    return YOLOV8 if width > count > 4 else None


def _layout_per_cell(rows_NF: Output, *, is_yolox: bool) -> Layout | None:
    if is_yolox:
        return YOLOX
    return NANODET if _nanodet_bins(rows_NF) else None


def _finished(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    rows_N6 = next(iter(outputs.values()))[0]
    return _where(rows_N6[:, :4], rows_N6[:, 4], rows_N6[:, 5] == PERSON)


def _yolov8(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    columns = next(iter(outputs.values()))[0]
    return _best_is_person(_corners(columns[:4].T), columns[4:].T, PERSON)


def _yolov5(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    rows = next(iter(outputs.values()))[0]
    return _best_is_person(_corners(rows[:, :4]), rows[:, 4:5] * rows[:, 5:], PERSON)


def _yolox(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    """Centres are offsets from the cell's corner, sizes logarithms, both in strides."""
    rows = next(iter(outputs.values()))[0]
    cells_N2, strides_N = _grid(size, STRIDES[0])
    centres_N2 = (rows[:, :2] + cells_N2) * strides_N[:, None]
    sides_N2 = np.exp(np.minimum(rows[:, 2:4], 20.0)) * strides_N[:, None]
    return _best_is_person(_corners(np.hstack([centres_N2, sides_N2])), rows[:, 4:5] * rows[:, 5:], PERSON)


def _nanodet(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    rows = next(iter(outputs.values()))[0]
    split = rows.shape[1] - 4 * (_nanodet_bins(rows) or NANODET_BINS[0])
    strides = STRIDES[len(rows) == len(_grid(size, STRIDES[1])[0])]
    return _from_distances(rows[:, :split], rows[:, split:], size, strides)


def _nanodet_from_heads(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    heads = _nanodet_heads(outputs, size)
    assert heads is not None
    scores_NC, distances = (np.concatenate(parts) for parts in zip(*heads, strict=True))
    return _from_distances(scores_NC, distances, size, STRIDES[len(heads) == len(STRIDES[1])])


def _nanodet_heads(outputs: Outputs, size: tuple[int, int]) -> list[tuple[Output, Output]] | None:
    """The pair of class scores and distances of each stride, finest first."""
    strides = STRIDES[len(outputs) == 2 * len(STRIDES[1])]
    heads = []
    for stride in strides:
        count = len(_grid(size, (stride,))[0])
        own = [o[0] for o in outputs.values() if o.ndim == 3 and o.shape[:2] == (1, count)]
        scores, distances = [o for o in own if _are_scores(o)], [o for o in own if not _are_scores(o)]
        if len(scores) != 1 or len(distances) != 1 or distances[0].shape[1] % 4:
            return None
        heads.append((scores[0], distances[0]))
    return heads if len(outputs) == 2 * len(strides) else None


def _nanodet_bins(rows_NF: Output) -> int | None:
    """The number of bins that leaves nothing but scores before the distances."""
    widths = (bins for bins in NANODET_BINS if rows_NF.shape[1] > 4 * bins)
    return next((bins for bins in widths if _are_scores(rows_NF[:, : -4 * bins])), None)


def _are_scores(values: Output) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _from_distances(
    scores_NC: Output, distances_N4R: Output, size: tuple[int, int], strides: tuple[int, ...]
) -> Decoded:
    """Boxes from the expected distances of their sides to a cell's centre, each a distribution over bins.

    NanoDet-Plus, with four strides, measures from the cell's corner.
    """
    bins_N4R = softmax(distances_N4R.reshape(len(distances_N4R), 4, -1), axis=2)
    distances_N4 = bins_N4R @ np.arange(bins_N4R.shape[2])
    cells_N2, strides_N = _grid(size, strides)
    shift = 0.0 if len(strides) == len(STRIDES[1]) else 0.5
    low_N2, high_N2 = cells_N2 + shift - distances_N4[:, :2], cells_N2 + shift + distances_N4[:, 2:]
    return _best_is_person(np.hstack([low_N2, high_N2]) * strides_N[:, None], scores_NC, PERSON)


def _detr(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    """Boxes are shares of the image. 91 or 92 classes are COCO's ids from 0; the 92nd is "nothing", for a softmax."""
    first, second = list(outputs.values())[:2]
    logits_NC, shares_N4 = (second[0], first[0]) if _last(first) == 4 and _last(second) != 4 else (first[0], second[0])
    classes = logits_NC.shape[1]
    scores_NC = softmax(logits_NC, axis=1)[:, :-1] if classes == 92 else expit(logits_NC)
    person = PERSON_AFTER_BACKGROUND if classes in (91, 92) else PERSON
    return _best_is_person(_corners(shares_N4) * _whole(size), scores_NC, person)


def _labelled(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    boxes_N4, scores_N, labels_N = (_part(outputs, name) for name in ("boxes", "scores", "labels"))
    return _where(boxes_N4, scores_N, labels_N == PERSON)


def _ssd(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    """TensorFlow's order: top, left, bottom, right, as shares of the image."""
    boxes_N4, scores_N, classes_N = (_part(outputs, name) for name in ("boxes", "scores", "classes"))
    corners_N4 = boxes_N4[:, [1, 0, 3, 2]] * _whole(size)
    return _where(corners_N4, scores_N, classes_N == PERSON_AFTER_BACKGROUND)


def _ssd_rows(outputs: Outputs, size: tuple[int, int]) -> Decoded:
    """Caffe's and OpenVINO's rows: image, class, score, left, top, right, bottom as shares; an image below 0 ends."""
    rows_N7 = next(iter(outputs.values()))[0, 0]
    valid = (rows_N7[:, 0] >= 0) & (rows_N7[:, 1] == PERSON_AFTER_BACKGROUND)
    return _where(rows_N7[:, 3:] * _whole(size), rows_N7[:, 2], valid)


def _best_is_person(boxes_N4: Boxes, scores_NC: Output, person: int) -> Decoded:
    return _where(boxes_N4, scores_NC[:, person], scores_NC.argmax(axis=1) == person)


def _where(boxes_N4: Boxes, scores_N: Output, people_N: NDArray[np.bool_]) -> Decoded:
    real = people_N & (boxes_N4[:, 2:] > boxes_N4[:, :2]).all(axis=1)
    return boxes_N4[real], scores_N[real]


def _corners(centres_N4: Output) -> Boxes:
    middle, half = centres_N4[:, :2], centres_N4[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _whole(size: tuple[int, int]) -> NDArray[np.float64]:
    height, width = size
    return np.array([width, height, width, height], dtype=np.float64)


def _grid(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Column and row [N, 2] and stride [N] of every cell, row by row, stride after stride."""
    cells, sides = [], []
    for stride in strides:
        rows, columns = (-(-side // stride) for side in size)
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        sides.append(np.full(rows * columns, stride))
    return np.concatenate(cells).astype(np.float64), np.concatenate(sides).astype(np.float64)


def _has_parts(outputs: Outputs, *parts: str) -> bool:
    return all(any(part in name for name in outputs) for part in parts)


def _part(outputs: Outputs, part: str) -> Output:
    """The output whose name holds this word, without the dimension of the single image."""
    output = next(output for name, output in outputs.items() if part in name)
    return output[0] if output.ndim > (2 if part == "boxes" else 1) else output


def _is_detr(outputs: Outputs) -> bool:
    shapes = [output.shape for output in outputs.values()][:2]
    same = len(shapes) == 2 and all(len(s) == 3 and s[0] == 1 for s in shapes) and shapes[0][1] == shapes[1][1]
    return same and 4 in (shapes[0][2], shapes[1][2])


def _last(output: Output) -> int:
    return int(output.shape[-1])


FINISHED = Layout("finished detections", "rgb in [0, 1]", _finished)
YOLOV8 = Layout("YOLOv8", "rgb in [0, 1]", _yolov8)
YOLOV5 = Layout("YOLOv5", "rgb in [0, 1]", _yolov5)
YOLOX = Layout("YOLOX", "bgr in [0, 255]", _yolox)
NANODET = Layout("NanoDet", "bgr standardised", _nanodet)
NANODET_HEADS = Layout("NanoDet, one pair of outputs per stride", "bgr standardised", _nanodet_from_heads)
DETR = Layout("RT-DETR", "rgb in [0, 1]", _detr)
LABELLED = Layout("RT-DETR with labels", "rgb in [0, 1]", _labelled)
SSD = Layout("SSD", "rgb in [0, 255]", _ssd)
SSD_ROWS = Layout("SSD rows", "bgr in [0, 255]", _ssd_rows)
