"""Quantises an ONNX graph to 8 bits: a quarter of its bytes, and integer arithmetic where an engine has it.

The weight of a linear map becomes int8 with a scale per output channel. Its input is
    dynamic   quantised as it comes, by the range of the whole batch: what ONNX Runtime has kernels for
    weights   left as it is: OpenVINO quantises each token's groups of channels itself
    static    quantised by a range that was measured on a sample, except for the last map, the projection
Tables, positions and the patch convolution are only stored in 8 bits, vectors only stored in float16. Softmax, norms
and attention compute in float32.

Shapes: K input channels, C output channels.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from personsearch.compression.onnx_graph import Array, GraphWriter, linear_weight, read_constants

LEVELS = 127  # of each sign: without -128 codes are symmetric, and 0 is 0
SMALLEST_SCALE = 2.0**-24  # of float16; a channel of zeros has no scale of its own
MIN_VECTOR = 64  # elements; for a smaller one, the node that brings it back costs more bytes than it saves
MIN_MATRIX = 1024
LARGEST = 6e4  # that float16 holds

Linear = Callable[[GraphWriter, str, "EightBits"], str]

Ranges = Mapping[str, tuple[float, float]]


class EightBits:
    """A float32 array as int8, with one scale for each place on `axis`."""

    def __init__(self, values: Array, axis: int) -> None:
        self.axis = axis
        others = tuple(each for each in range(values.ndim) if each != axis)
        largest = np.abs(values).max(axis=others, keepdims=True)
        scale = np.maximum(largest / LEVELS, SMALLEST_SCALE).astype(np.float16)
        self.codes: NDArray[np.int8] = np.clip(np.rint(values / scale), -LEVELS, LEVELS).astype(np.int8)
        self.scale: NDArray[np.float16] = scale.reshape(-1)


def quantise_dynamic(source: Path, target: Path) -> None:
    """For ONNX Runtime."""
    _quantise(source, target, _DynamicLinear())


def quantise_weights(source: Path, target: Path) -> None:
    """For OpenVINO."""
    _quantise(source, target, _linear)


def quantise_static(source: Path, target: Path, ranges: Ranges) -> None:
    """For both engines; `ranges` are what `measure_ranges` finds on the same graph."""
    _quantise(source, target, _StaticLinear(ranges))


def measure_ranges(graph: Path, batches: Iterable[NDArray[np.generic]]) -> Ranges:
    """The range of each linear map's input, by name, always with 0 in it; the last map's input stays float."""
    model = onnx.load(graph)
    constants = read_constants(model.graph)
    inputs = [node.input[0] for node in model.graph.node if linear_weight(node, constants) is not None]
    # The last map is the projection: nothing after it could even out its error. A range holds 0, whose code is the
    # zero point, an unsigned byte.
    ranges = dict.fromkeys(inputs[:-1], (0.0, 0.0))
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ranges)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (graph_input,) = session.get_inputs()
    for batch in batches:
        for name, values in zip(ranges, session.run(list(ranges), {graph_input.name: batch}), strict=True):
            low, high = ranges[name]
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges


def _quantise(source: Path, target: Path, linear: Linear) -> None:
    model = onnx.load(source)
    writer = GraphWriter(model)
    stored = _Stored(writer, read_constants(model.graph))
    for node in model.graph.node:
        weight_KC = linear_weight(node, stored.constants)
        if weight_KC is not None:
            product = linear(writer, node.input[0], EightBits(weight_KC, 1))
            if len(node.input) == 3:  # Gemm adds a bias
                writer.node("Add", [product, stored.value(node.input[2])])
            writer.name_last(node.output[0])
        elif node.op_type == "Gather" and stored.is_table(node.input[0]):
            _write_table(writer, stored.constants[node.input[0]], node)
        else:
            writer.copy(node, [stored.value(name) for name in node.input])
    writer.save(target)


class _Stored:
    """The source's constants, stored small; a node brings each back to float32 where it is first used."""

    def __init__(self, writer: GraphWriter, constants: dict[str, Array]) -> None:
        self.constants = constants
        self._writer = writer
        self._values: dict[str, str] = {}

    def value(self, name: str) -> str:
        """The name of the constant's value in the new graph; names of other values stay."""
        if name not in self.constants:
            return name
        if name not in self._values:
            self._values[name] = self._store(self.constants[name])
        return self._values[name]

    def is_table(self, name: str) -> bool:
        """Whether it is a matrix worth 8 bits, row by row."""
        return name in self.constants and self.constants[name].ndim == 2 and _is_matrix(self.constants[name])

    def _store(self, values: Array) -> str:
        writer = self._writer
        if _is_matrix(values):
            small = EightBits(values, next(axis for axis, length in enumerate(values.shape) if length > 1))
            return _dequantised(writer, small)
        if values.dtype == np.float32 and values.size >= MIN_VECTOR and _fits_half(values):
            return writer.node("Cast", [writer.constant(values.astype(np.float16))], to=TensorProto.FLOAT)
        return writer.constant(values)


def _linear(writer: GraphWriter, x: str, weight: EightBits) -> str:
    return writer.node("MatMul", [x, _dequantised(writer, weight)])


class _DynamicLinear:
    """The nodes that ONNX Runtime fuses into one kernel."""

    def __init__(self) -> None:
        self._quantised: dict[str, list[str]] = {}

    def __call__(self, writer: GraphWriter, x: str, weight: EightBits) -> str:
        if x not in self._quantised:  # queries, keys and values share one input
            self._quantised[x] = writer.nodes("DynamicQuantizeLinear", [x], 3)
        codes, scale, zero = self._quantised[x]
        whole = writer.node("MatMulInteger", [codes, writer.constant(weight.codes), zero])
        product = writer.node("Cast", [whole], to=TensorProto.FLOAT)
        return writer.node("Mul", [product, writer.node("Mul", [scale, _scale(writer, weight)])])


class _StaticLinear:
    """Quantises and brings back at once: engines fuse both into the product."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges

    def __call__(self, writer: GraphWriter, x: str, weight: EightBits) -> str:
        low, high = self._ranges.get(x, (0.0, 0.0))
        if low < high:  # there is no range for the last map, and none for an input that is always 0
            scale = np.float32((high - low) / 255)
            step = [writer.constant(np.array(scale)), writer.constant(np.array(round(-low / scale), dtype=np.uint8))]
            x = writer.node("DequantizeLinear", [writer.node("QuantizeLinear", [x, *step]), *step])
        return _linear(writer, x, weight)


def _write_table(writer: GraphWriter, table_VC: Array, node: NodeProto) -> None:
    """Look rows up in 8 bits and bring them back, each with its own scale."""
    small, ids = EightBits(table_VC, 0), node.input[1]
    codes = writer.node("Gather", [writer.constant(small.codes), ids])
    scale = writer.node("Gather", [writer.constant(small.scale[:, None]), ids])
    parts = [writer.node("Cast", [part], to=TensorProto.FLOAT) for part in (codes, scale)]
    writer.node("Mul", parts)
    writer.name_last(node.output[0])


def _dequantised(writer: GraphWriter, small: EightBits) -> str:
    return writer.node("DequantizeLinear", [writer.constant(small.codes), _scale(writer, small)], axis=small.axis)


def _scale(writer: GraphWriter, small: EightBits) -> str:
    return writer.node("Cast", [writer.constant(small.scale)], to=TensorProto.FLOAT)


def _is_matrix(values: Array) -> bool:
    """Large enough for 8 bits, and made of weights: a mask holds infinities or numbers as large."""
    wide = sum(length > 1 for length in values.shape) >= 2
    return values.dtype == np.float32 and wide and values.size >= MIN_MATRIX and bool(np.abs(values).max() < LARGEST)


def _fits_half(values: Array) -> bool:
    finite = values[np.isfinite(values)]
    return bool((np.abs(finite) < LARGEST).all())
