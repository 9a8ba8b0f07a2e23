"""A real ONNX bundle in milliseconds, without torch: one matrix for pictures, one table for tokens, unit vectors.

Shapes: N items, L tokens, H height, W width, V vocabulary, D embedding dimension.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, TOKENIZER, Bundle, BundleSpec, Lineage, Preprocessing, write_spec
from personsearch.encoders.golden import write_golden
from personsearch.encoders.onnx import OnnxEncoder
from personsearch.models.vocabulary import learn_tokenizer

HEIGHT, WIDTH, CONTEXT, DIM = 16, 8, 20, 8
CAPTIONS = [f"a {who} in a {colour} coat" for who in ("man", "woman") for colour in ("red", "green", "blue", "white")]


def make_onnx_bundle(folder: Path, seed: int = 0) -> Path:
    """An untrained model; every seed gives another one."""
    folder.mkdir(parents=True)
    tokenizer = learn_tokenizer(CAPTIONS, 300)
    tokenizer.save(str(folder / TOKENIZER))
    numbers = np.random.default_rng(seed)
    image_PD = numbers.normal(size=(3 * HEIGHT * WIDTH, DIM)).astype(np.float32)
    table_VD = numbers.normal(size=(tokenizer.get_vocab_size(), DIM)).astype(np.float32)
    table_VD[0] = 0.0  # padding adds nothing
    flatten = helper.make_node("Flatten", ["input"], ["flat"], axis=1)
    project = helper.make_node("MatMul", ["flat", "weights"], ["sum"])
    _save(folder / IMAGE_ONNX, [flatten, project], image_PD, TensorProto.FLOAT, ["N", 3, HEIGHT, WIDTH])
    look_up = helper.make_node("Gather", ["weights", "input"], ["words"], axis=0)
    add_up = helper.make_node("ReduceSum", ["words", "axes"], ["sum"], keepdims=0)
    _save(folder / TEXT_ONNX, [look_up, add_up], table_VD, TensorProto.INT64, ["N", "L"])
    write_spec(
        folder,
        BundleSpec(
            method="tiny",
            variant="onnx-fp32",
            architecture={},
            preprocessing=Preprocessing(height=HEIGHT, width=WIDTH, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            context_length=CONTEXT,
            embedding_dim=DIM,
            lineage=Lineage(dataset_hash="none", git_commit=""),
        ),
    )
    write_golden(Bundle.open(folder), OnnxEncoder(Bundle.open(folder), threads=1))
    return folder


def _save(path: Path, nodes: list[onnx.NodeProto], weights: np.ndarray, kind: int, shape: list[str | int]) -> None:
    """Write a graph from `input` by `nodes` to `sum`, scaled to unit length."""
    unit = helper.make_node("LpNormalization", ["sum"], ["vectors"], axis=-1, p=2)
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([1]), "axes")]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        [*nodes, unit],
        path.stem,
        [helper.make_tensor_value_info("input", kind, shape)],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["N", DIM])],
        [constant for constant in constants if constant.name in used],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
