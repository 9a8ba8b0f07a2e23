"""From a bundle to its encoder, whichever engine its variant needs."""

from personsearch.bundle import Bundle
from personsearch.encoders.encoder import Encoder


def load_encoder(bundle: Bundle, *, threads: int = 0) -> Encoder:
    """The encoder of a bundle; only the torch variant imports torch. `threads` is for ONNX graphs, 0 is every core.

    Raises:
        UserError: its files are missing or damaged.
    """
    if bundle.spec.variant == "torch":
        from personsearch.encoders.torch import TorchEncoder

        return TorchEncoder.from_bundle(bundle)
    from personsearch.encoders.load_graph import load_graph_encoder

    return load_graph_encoder(bundle, threads)
