"""Exports both towers of a dual encoder as ONNX graphs that end in unit vectors.

    image_encoder.onnx   pixels float32 [N, 3, H, W] → vectors float32 [N, D]
    text_encoder.onnx    tokens int64 [N, L], any L up to the context length → vectors float32 [N, D]

Shapes: N items, L tokens, H height, W width, D embedding dimension.
"""

import copy
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, BundleSpec
from personsearch.files import replacing
from personsearch.models.attention import PackedAttention
from personsearch.models.conv_stem import fold_stem
from personsearch.models.encoder import PersonEncoder

OPSET = 23  # the first with attention and GELU as one node each
EXAMPLE_BATCH = 3  # the exporter takes sizes of 0 and 1 for constants


def export_onnx(model: PersonEncoder, spec: BundleSpec, out_dir: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write both graphs of a model into `out_dir`; the model itself is not changed.

    With float16, weights and arithmetic are float16, for GPUs and for OpenVINO on CPUs that have such arithmetic;
    inputs and outputs stay float32. On a CPU ONNX Runtime casts back to float32: half the bytes, no gain in time.
    """
    model = copy.deepcopy(model).float().cpu().eval()
    model.merge_adaptation()
    fold_stem(model)
    model = _with_packed_attention(model).to(dtype)
    height, width = spec.preprocessing.height, spec.preprocessing.width
    pixels_N3HW = torch.zeros(EXAMPLE_BATCH, 3, height, width)
    tokens_NL = torch.ones(EXAMPLE_BATCH, max(2, spec.context_length // 2), dtype=torch.int64)
    batch, length = torch.export.Dim.DYNAMIC, torch.export.Dim.AUTO  # the whole range of lengths needs a slower tracer
    _export(_ImageTower(model, dtype), "pixels", pixels_N3HW, {0: batch}, out_dir / IMAGE_ONNX)
    _export(_TextTower(model), "tokens", tokens_NL, {0: batch, 1: length}, out_dir / TEXT_ONNX)


class _ImageTower(nn.Module):
    def __init__(self, model: PersonEncoder, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.encode_image(pixels.to(self.dtype))


class _TextTower(nn.Module):
    def __init__(self, model: PersonEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model.encode_text(tokens)


def _with_packed_attention(model: PersonEncoder) -> PersonEncoder:
    """Replace nn.MultiheadAttention, which traces batch size and length as constants. A pooler keeps its own: its query
    is not its key, and it traces well.
    """
    from open_clip.transformer import AttentionalPooler

    for module in model.modules():
        for child in module.children():
            if type(child) is nn.MultiheadAttention and not isinstance(module, AttentionalPooler):
                child.__class__ = PackedAttention
    return model


def _export(tower: nn.Module, input_name: str, example: Tensor, dynamic: dict[int, Any], path: Path) -> None:
    with warnings.catch_warnings(), replacing(path) as temporary, torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        torch.onnx.export(
            tower.eval(),
            (example,),
            str(temporary),
            input_names=[input_name],
            output_names=["vectors"],
            dynamic_shapes=(dynamic,),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        _strip_traces(temporary)


def _strip_traces(path: Path) -> None:
    """Drop the exporter's notes (source lines, folders of this machine), so that a model gives the same bytes."""
    model = onnx.load(path)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    del graph.value_info[:]  # intermediate shapes, which engines infer themselves
    onnx.save(model, path)
