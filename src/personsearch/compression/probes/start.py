"""The weights before fine-tuning, against which a module's criticality is measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from personsearch.bundle import WEIGHTS
from personsearch.compression.probes.towers import Tower
from personsearch.errors import UserError
from personsearch.files import hash_file
from personsearch.models.encoder import PersonEncoder
from personsearch.models.weights import check_shapes, load_weights

# What fine-tuning may change without changing a block.
FREE = {"image_size", "context_length", "vocab_size"}


def weights_before(source: Path, model: PersonEncoder, towers: Sequence[Tower]) -> list[list[dict[str, Tensor]]]:
    """The weights in `source`, a bundle or a file of weights: of each tower, of each block, by their names in it.

    Raises:
        UserError: nothing is there, or the weights are of another architecture.
    """
    weights = load_weights(str(source), None)
    if weights.architecture is not None:
        _require_same(weights.architecture, model.architecture, source)
    state = {name.removeprefix("text."): value for name, value in weights.state.items()}
    found = [
        [
            {name: (f"{tower.prefix}{index}.{name}", value) for name, value in block.named_parameters()}
            for index, block in enumerate(tower.blocks)
        ]
        for tower in towers
    ]
    wanted = {name: value.detach() for tower in found for block in tower for name, value in block.values()}
    check_shapes({name: state[name] for name in wanted if name in state}, wanted, str(source))
    return [
        [{name: state[place].to(value) for name, (place, value) in block.items()} for block in tower] for tower in found
    ]


def hash_weights(source: Path) -> str:
    """SHA-256 of a bundle's or a file's weights.

    Raises:
        UserError: there are none.
    """
    path = source / WEIGHTS if source.is_dir() else source
    if not path.is_file():
        raise UserError(
            f"{source}: neither a torch bundle nor a file of weights; "
            "weights that have only a name become one by `personsearch train RECIPE --set epochs=0`"
        )
    return hash_file(path)


def _require_same(before: Mapping[str, Any], after: Mapping[str, Any], source: Path) -> None:
    one, other = _flat(before), _flat(after)
    different = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    if different:
        told = "; ".join(f"{key} {one.get(key)}, not {other.get(key)}" for key in different[:3])
        raise UserError(f"{source}: not the start of this model, its architecture differs: {told}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key not in FREE:
            flat[f"{prefix}{key}"] = value
    return flat
