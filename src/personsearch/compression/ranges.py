"""The ranges of what enters a graph's linear maps, measured on a sample: what static quantisation fixes."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from personsearch.compression.onnx_graph import linear_weight, read_constants

Ranges = Mapping[str, tuple[float, float]]


def measure_ranges(graph: Path, batches: Iterable[NDArray[np.generic]]) -> Ranges:
    """Least and largest value, and 0, of each linear map's input by name; not of the last map's, which stays float."""
    model = onnx.load(graph)
    constants = read_constants(model.graph)
    inputs = [node.input[0] for node in model.graph.node if linear_weight(node, constants) is not None]
    ranges = dict.fromkeys(inputs[:-1], (0.0, 0.0))
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ranges)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (graph_input,) = session.get_inputs()
    for batch in batches:
        for name, values in zip(ranges, session.run(list(ranges), {graph_input.name: batch}), strict=True):
            low, high = ranges[name]
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges
