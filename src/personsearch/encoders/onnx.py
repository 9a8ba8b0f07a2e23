"""The encoder of serving and indexing: a bundle's ONNX graphs on ONNX Runtime, no torch."""

from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from personsearch.bundle import Bundle
from personsearch.encoders.graph import Graph, GraphEncoder
from personsearch.errors import UserError, shortened

ENGINES = ("CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxEncoder(GraphEncoder):
    """GraphEncoder on ONNX Runtime: on an NVIDIA GPU if the installed build supports it, else on the CPU."""

    def __init__(self, bundle: Bundle, threads: int = 0, *, verify: bool = False) -> None:
        """`threads` 0 is every core; `verify` runs the golden inputs.

        Raises:
            UserError: as GraphEncoder does.
        """
        super().__init__(bundle, partial(load_graph, threads=threads), verify=verify)


def load_graph(path: Path, threads: int) -> Graph:
    """An ONNX graph of one input and one output as a function.

    Raises:
        UserError: ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning starves other processes
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=_engines())
    except Exception as error:  # ONNX Runtime has a dozen exception types without a common base
        raise UserError(f"{path}: ONNX Runtime cannot load it: {shortened(str(error))}") from error
    input_name = session.get_inputs()[0].name

    def run(values: NDArray[np.generic]) -> NDArray[np.float32]:
        (vectors_BD,) = session.run(None, {input_name: values})
        result: NDArray[np.float32] = vectors_BD
        return result

    return run


def _engines() -> list[str]:
    """Providers of this build in order of preference; ONNX Runtime itself falls back if the machine has no GPU."""
    engines = [name for name in ENGINES if name in onnxruntime.get_available_providers()]
    if ENGINES[0] in engines:
        onnxruntime.preload_dlls()  # of CUDA, where they are packages of Python, which the linker does not search
    return engines
