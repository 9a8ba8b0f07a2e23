"""8-bit graphs on a network small enough to compute by hand, and their ways with activations."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from personsearch.compression.onnx_graph import read_constants
from personsearch.compression.quantise import (
    EightBits,
    measure_ranges,
    quantise_dynamic,
    quantise_static,
    quantise_weights,
)
from personsearch.encoders.openvino import load_graph as load_openvino

WORDS, WIDTH, DIM = 64, 48, 32


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words looked up, positions added, Gemm with a bias, ReLU, MatMul: [N, 40] words to [N, 32] numbers."""
    numbers = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(numbers.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["words"], axis=0),
        helper.make_node("Add", ["words", "positions"], ["placed"]),
        helper.make_node("ReduceMean", ["placed", "axis"], ["pooled"], keepdims=0),
        helper.make_node("Gemm", ["pooled", "inner", "bias"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["positive"]),
        helper.make_node("MatMul", ["positive", "outer"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["N", 40])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["N", DIM])],
        [
            weight("table", WORDS, WIDTH),
            weight("positions", 40, WIDTH),
            weight("inner", 2 * WIDTH, WIDTH),
            weight("bias", 2 * WIDTH),
            weight("outer", 2 * WIDTH, DIM),
            numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    return path


TOKENS = np.random.default_rng(1).integers(0, WORDS, (6, 40))


def run(graph: Path, tokens: np.ndarray = TOKENS) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"tokens": tokens})[0]


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


def operators(graph: Path) -> list[str]:
    return [node.op_type for node in onnx.load(graph).graph.node]


def test_eight_bits_by_hand() -> None:
    """The first column's largest is 2, the second's 127: steps of 2/127 and 1."""
    found = EightBits(np.array([[2.0, 127.0], [-1.0, 3.4]], dtype=np.float32), axis=1)
    assert found.codes.tolist() == [[127, 127], [-64, 3]]
    assert found.scale.tolist() == pytest.approx([2 / 127, 1.0], rel=1e-3)


@given(rows=st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_eight_bits_are_within_half_a_step(rows: list[list[float]]) -> None:
    values = np.array(rows, dtype=np.float32)
    found = EightBits(values, axis=0)
    scale = found.scale.astype(np.float64)[:, None]
    clipped = np.abs(values) > 127 * scale  # a scale rounded down to float16 loses at most 2⁻¹¹ of the largest
    error = np.abs(found.codes * scale - values)
    assert (error <= np.where(clipped, 2.0**-10 * np.abs(values) + 2.0**-17, 0.5001 * scale)).all()


def test_dynamic_multiplies_integers(network: Path, tmp_path: Path) -> None:
    quantise_dynamic(network, tmp_path / "8.onnx")
    assert operators(tmp_path / "8.onnx").count("MatMulInteger") == 2
    assert cosines(run(tmp_path / "8.onnx"), run(network)).min() > 0.999


def test_weights_leave_activations_float_on_both_engines(network: Path, tmp_path: Path) -> None:
    quantise_weights(network, tmp_path / "8.onnx")
    assert "QuantizeLinear" not in operators(tmp_path / "8.onnx")
    found = load_openvino(tmp_path / "8.onnx", threads=1)(TOKENS)
    assert cosines(found, run(network)).min() > 0.999
    assert cosines(run(tmp_path / "8.onnx"), run(network)).min() > 0.999


def test_static_fixes_the_measured_range_of_all_but_the_last_map(network: Path, tmp_path: Path) -> None:
    ranges = measure_ranges(network, [TOKENS[:3], TOKENS[3:]])
    model = onnx.load(network)
    constants = read_constants(model.graph)
    pooled = (constants["table"][TOKENS] + constants["positions"]).mean(axis=1)
    assert list(ranges) == ["pooled"]
    assert ranges["pooled"] == pytest.approx((pooled.min(), pooled.max()), rel=1e-5)
    quantise_static(network, tmp_path / "8.onnx", ranges)
    assert operators(tmp_path / "8.onnx").count("QuantizeLinear") == 1
    for found in (run(tmp_path / "8.onnx"), load_openvino(tmp_path / "8.onnx", threads=1)(TOKENS)):
        assert cosines(found, run(network)).min() > 0.999


def test_an_input_that_was_never_but_zero_stays_as_it_is(network: Path, tmp_path: Path) -> None:
    quantise_static(network, tmp_path / "static.onnx", {"pooled": (0.0, 0.0)})
    quantise_weights(network, tmp_path / "weights.onnx")
    assert run(tmp_path / "static.onnx").tolist() == run(tmp_path / "weights.onnx").tolist()


def test_static_answers_do_not_depend_on_the_batch(network: Path, tmp_path: Path) -> None:
    quantise_static(network, tmp_path / "8.onnx", measure_ranges(network, [TOKENS]))
    singly = np.concatenate([run(tmp_path / "8.onnx", tokens[None]) for tokens in TOKENS])
    assert run(tmp_path / "8.onnx") == pytest.approx(singly, abs=1e-4)


@pytest.mark.parametrize("quantise", [quantise_dynamic, quantise_weights])
def test_every_large_weight_is_one_byte_a_number(network: Path, tmp_path: Path, quantise) -> None:  # type: ignore[no-untyped-def]
    quantise(network, tmp_path / "8.onnx")
    constants = read_constants(onnx.load(tmp_path / "8.onnx").graph)
    parameters = sum(value.size for value in read_constants(onnx.load(network).graph).values())
    assert {str(value.dtype) for value in constants.values() if value.size >= 1024} == {"int8"}
    assert sum(value.nbytes for value in constants.values()) < 1.1 * parameters


def test_the_same_graph_gives_the_same_bytes(network: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        quantise_dynamic(network, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_mask_and_tiny_weights_survive(tmp_path: Path) -> None:
    """Infinities cannot be 8-bit, and a column of zeros has no scale of its own."""
    mask = np.triu(np.full((40, 40), -np.inf, dtype=np.float32), 1)
    weight = np.zeros((40, 40), dtype=np.float32)
    weight[:, 0] = 1e-12
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["y"]), helper.make_node("Add", ["y", "mask"], ["z"])],
        "masked",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [40, 40])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [40, 40])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(mask, "mask")],
    )
    path = tmp_path / "masked.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    quantise_dynamic(path, tmp_path / "8.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "8.onnx", providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(None, {"x": np.ones((40, 40), dtype=np.float32)})[0], mask)
