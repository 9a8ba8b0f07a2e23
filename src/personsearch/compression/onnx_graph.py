"""Rewrites an ONNX graph node by node, as quantisation needs it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from personsearch.files import replacing

Array = NDArray[Any]


def read_constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """The weights and other constants of a graph by name."""
    return {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}


def linear_weight(node: NodeProto, constants: dict[str, Array]) -> Array | None:
    """The float32 weight [K, C] of a node that is a linear map of its first input, K to C channels; else None."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in constants:
        return None
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    scaled = attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0
    weight = constants[node.input[1]]
    if scaled or attributes.get("transA", 0) or weight.ndim != 2 or weight.dtype != np.float32:
        return None
    return weight.T if attributes.get("transB", 0) else weight


class GraphWriter:
    """A new graph with the inputs and outputs of `source` and with the nodes and constants that are added to it."""

    def __init__(self, source: onnx.ModelProto) -> None:
        self._source = source
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, Array] = {}

    def constant(self, value: Array) -> str:
        """Add a constant; returns its name."""
        name = f"constant {len(self._constants)}"
        self._constants[name] = value
        return name

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node; returns the name of its first output."""
        return self.nodes(operator, inputs, 1, **attributes)[0]

    def nodes(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node; returns the names of its outputs."""
        names = [f"value {len(self._nodes)} {number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def copy(self, node: NodeProto, inputs: Sequence[str]) -> None:
        """Add a node of the source with other inputs; its outputs keep their names."""
        copied = NodeProto()
        copied.CopyFrom(node)
        del copied.input[:]
        copied.input.extend(inputs)
        self._nodes.append(copied)

    def name_last(self, name: str) -> None:
        """Give the only output of the last node the name that it has in the source."""
        self._nodes[-1].output[0] = name

    def save(self, target: Path) -> None:
        """Write the graph with the shortest names: in a small model names are a hundredth of the bytes."""
        graph = self._source.graph
        names = _ShortNames([each.name for each in (*graph.input, *graph.output)])
        for node in self._nodes:
            node.name = ""
            for part in (node.input, node.output):
                part[:] = [names.of(name) for name in part]
        weights = [numpy_helper.from_array(value, names.of(name)) for name, value in self._constants.items()]
        written = helper.make_graph(self._nodes, graph.name, list(graph.input), list(graph.output), weights)
        model = helper.make_model(
            written, opset_imports=list(self._source.opset_import), ir_version=self._source.ir_version
        )
        with replacing(target) as temporary:
            onnx.save(model, temporary)


class _ShortNames:
    """Renames values to 0, 1, … in base 36, in the order of asking; some keep their names."""

    def __init__(self, kept: Sequence[str]) -> None:
        self._names = {"": "", **{name: name for name in kept}}
        self._fresh = self._count()

    def of(self, name: str) -> str:
        if name not in self._names:
            self._names[name] = next(self._fresh)
        return self._names[name]

    @staticmethod
    def _count() -> Iterator[str]:
        number = 0
        while True:
            yield np.base_repr(number, 36).lower()
            number += 1
