"""Leaving layers of open_clip's Transformers out, or out of training. Layers are counted from 1, as papers do."""

from collections.abc import Collection, Mapping

from torch import Tensor

from personsearch.errors import UserError
from personsearch.models.architecture import BLOCKS, PRUNED, SECTIONS, SIDES, Architecture, Side
from personsearch.models.config import ModelConfig


def without_layers(architecture: Architecture, *, text: Collection[int], image: Collection[int]) -> Architecture:
    """The architecture with those layers left out.

    Raises:
        UserError: there is no such layer, or none would remain.
    """
    smaller = architecture.to_dict()
    for side, dropped in _by_side(text, image):
        layers = architecture.num_layers(side)
        _check(side, dropped, layers, "drop")
        if len(set(dropped)) == layers:
            raise UserError(f"drop_{side}_layers: all {layers} layers; at least one must remain")
        smaller[SECTIONS[side]]["layers"] = layers - len(set(dropped))
        if pruned := smaller.get(PRUNED, {}).get(side):
            remaining = {int(layer): parts for layer, parts in pruned.items() if int(layer) not in dropped}
            smaller[PRUNED][side] = {new_index(layer, dropped) + 1: parts for layer, parts in remaining.items()}
    return Architecture(smaller)


def weights_without_layers(
    state: Mapping[str, Tensor], *, text: Collection[int], image: Collection[int]
) -> dict[str, Tensor]:
    """A state dict in open_clip's names without those layers, the others renumbered."""
    places = {f"visual.{BLOCKS}": image, BLOCKS: text, f"text.{BLOCKS}": text}
    kept = {}
    for name, value in state.items():
        prefix = next((prefix for prefix in places if name.startswith(prefix)), None)
        if prefix is None:
            kept[name] = value
            continue
        number, _, rest = name.removeprefix(prefix).partition(".")
        if int(number) + 1 not in places[prefix]:
            kept[f"{prefix}{new_index(int(number) + 1, places[prefix])}.{rest}"] = value
    return kept


def new_index(layer: int, dropped: Collection[int]) -> int:
    """The index from 0 of a layer that remains."""
    return layer - 1 - sum(other < layer for other in set(dropped))


def frozen_prefixes(config: ModelConfig, architecture: Architecture) -> tuple[str, ...]:
    """Prefixes of the names that a recipe freezes; `architecture` is without the dropped layers already.

    Raises:
        UserError: a layer to freeze does not exist, or is dropped.
    """
    prefixes = list(config.frozen)
    dropped_of = dict(zip(SIDES, (config.drop_text_layers, config.drop_image_layers), strict=True))
    for side, frozen in _by_side(config.freeze_text_layers, config.freeze_image_layers):
        dropped = dropped_of[side]
        _check(side, frozen, architecture.num_layers(side) + len(set(dropped)), "freeze")
        if both := sorted(set(frozen) & set(dropped)):
            raise UserError(f"model.freeze_{side}_layers: {both} are dropped")
        prefixes += [f"{architecture.block_prefix(side)}{new_index(layer, dropped)}." for layer in sorted(set(frozen))]
    return tuple(prefixes)


def _by_side(text: Collection[int], image: Collection[int]) -> list[tuple[Side, Collection[int]]]:
    return [(side, given) for side, given in zip(SIDES, (text, image), strict=True) if given]


def _check(side: Side, chosen: Collection[int], layers: int, action: str) -> None:
    if wrong := sorted(layer for layer in set(chosen) if not 1 <= layer <= layers):
        raise UserError(f"{action}_{side}_layers: {wrong}; the {side} tower has layers 1–{layers}")
