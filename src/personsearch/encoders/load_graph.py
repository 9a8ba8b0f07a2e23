"""The encoder of an ONNX bundle on the engine that the bundle names."""

from personsearch.bundle import Bundle
from personsearch.encoders.graph import GraphEncoder


def load_graph_encoder(bundle: Bundle, threads: int = 0, *, verify: bool = False) -> GraphEncoder:
    """`threads` 0 is every core; `verify` runs the golden inputs.

    Raises:
        UserError: it is not an ONNX bundle, its engine is not installed, or it fails its golden inputs.
    """
    if bundle.spec.runtime == "openvino":
        from personsearch.encoders.openvino import OpenVinoEncoder

        return OpenVinoEncoder(bundle, threads, verify=verify)
    from personsearch.encoders.onnx import OnnxEncoder

    return OnnxEncoder(bundle, threads, verify=verify)
