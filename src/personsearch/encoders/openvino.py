"""An encoder that runs a bundle's ONNX graphs on OpenVINO, an optional engine for Intel CPUs."""

import sys
import threading
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Bundle
from personsearch.encoders.graph import Graph, GraphEncoder
from personsearch.errors import UserError, shortened

Precision = Literal["f32", "f16", "bf16"]


class OpenVinoEncoder(GraphEncoder):
    """GraphEncoder on OpenVINO."""

    def __init__(
        self, bundle: Bundle, threads: int = 0, *, verify: bool = False, precision: Precision | None = None
    ) -> None:
        """`threads` 0 is every core; `verify` runs the golden inputs. By default a float16 form computes in f16 (half
        the time on a CPU with f16 arithmetic), any other in f32 (OpenVINO's own default would be bf16).

        Raises:
            UserError: OpenVINO is not installed, or as GraphEncoder does.
        """
        chosen = precision or ("f16" if bundle.spec.variant == "onnx-fp16" else "f32")
        super().__init__(bundle, partial(load_graph, threads=threads, precision=chosen), verify=verify)


def load_graph(path: Path, threads: int, precision: Precision = "f32") -> Graph:
    """An ONNX graph of one input and one output, unit vectors, as a function.

    Raises:
        UserError: OpenVINO is not installed or cannot load it.
    """
    properties: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,  # a pinned thread would have to wait for other processes on its core
        "INFERENCE_NUM_THREADS": threads,
    }
    core = _core()
    try:
        compiled = core.compile_model(str(path), "CPU", properties)
    except RuntimeError as error:
        raise UserError(f"{path}: OpenVINO cannot load it: {shortened(str(error))}") from error
    requests = threading.local()  # an OpenVINO request serves one thread at a time

    def run(values: NDArray[np.generic]) -> NDArray[np.float32]:
        if not hasattr(requests, "own"):
            requests.own = compiled.create_infer_request()
        vectors_BD: NDArray[np.float32] = requests.own.infer({0: values})[0]
        unit_BD: NDArray[np.float32] = vectors_BD / np.linalg.norm(vectors_BD, axis=1, keepdims=True)
        return unit_BD  # in f16 the graph's own normalisation is off by 1e-4

    return run


@cache
def _core() -> Any:
    """Import OpenVINO without its telemetry."""
    # the import sends telemetry and writes a user id into the home directory unless the telemetry module is absent
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise UserError("OpenVINO is not installed; `make setup` installs personsearch[openvino]") from error
    return openvino.Core()
