"""8-bit weights for a bundle's ONNX graphs, activations quantised as they come (dynamic quantisation)."""

import logging
import shutil
import tempfile
from pathlib import Path

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX
from personsearch.files import replacing

OPERATORS = ("MatMul", "Gemm")  # the patch convolution stays float32: it is small and the first to meet the pixels


def quantise_onnx(source: Path, out_dir: Path) -> None:
    """Write the int8 counterparts of both graphs of `source` into `out_dir`, one scale per output channel."""
    for name in (IMAGE_ONNX, TEXT_ONNX):
        with tempfile.TemporaryDirectory() as folder, replacing(out_dir / name) as temporary:
            shutil.move(_quantise(source / name, Path(folder)), temporary)


def _quantise(graph: Path, folder: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, quantised = folder / "prepared.onnx", folder / "quantised.onnx"
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises through the root logger to do what the line below does
    try:
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        quantize_dynamic(
            str(prepared),
            str(quantised),
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        root.setLevel(level)
    return quantised
