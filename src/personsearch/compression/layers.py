"""A bundle without some of its layers, to be trained on or used as it is."""

from collections.abc import Collection
from pathlib import Path

from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.errors import UserError
from personsearch.models.build import create_model, load_bundle_model
from personsearch.models.layers import weights_without_layers, without_layers


def drop_layers(bundle: Path, *, text: Collection[int], image: Collection[int], out_dir: Path) -> None:
    """Write the torch bundle `out_dir`: the model of `bundle` without these layers, counted from 1.

    Raises:
        UserError: there is no such layer, none would remain, or the model is adapted or no CLIP of open_clip's.
        ValueError: no layer is given.
    """
    if not text and not image:
        raise ValueError(f"{bundle}: no layers to drop; at least one wanted")
    model = load_bundle_model(bundle).model
    if "adaptation" in model.architecture:
        raise UserError(f"{bundle}: its adaptation belongs to all of its layers; none can be dropped")
    smaller = create_model(without_layers(model.architecture, text=text, image=image)).eval()
    smaller.load_named_weights(weights_without_layers(model.named_weights(), text=text, image=image))
    told = " and ".join(
        f"{side} layers {', '.join(map(str, sorted(set(layers))))}"
        for side, layers in (("text", text), ("image", image))
        if layers
    )
    write_torch_bundle(bundle, smaller, out_dir, change=f"Without its {told}.")
