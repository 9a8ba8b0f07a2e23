"""Leaving layers of open_clip's Transformers out, or out of training. Layers are counted from 1, as papers do."""

import copy
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from personsearch.errors import UserError
from personsearch.models.architecture import SIDES, Side
from personsearch.models.config import ModelConfig
from personsearch.models.foreign_text import is_foreign

BLOCKS, IMAGE, FOREIGN_TEXT = "transformer.resblocks.", "visual.", "text."
SECTIONS: dict[Side, str] = {"text": "text_cfg", "image": "vision_cfg"}
OTHER_TOWERS: dict[Side, str] = {"text": "hf_model_name", "image": "timm_model_name"}
DEFAULT_LAYERS = 12  # open_clip's, of both towers
PRUNED = "pruned"  # the section of models.pruned: what remains of some layers, by their numbers


def num_layers(architecture: Mapping[str, Any], side: Side) -> int:
    """Layers of a tower.

    Raises:
        UserError: it is not open_clip's Transformer.
    """
    section = architecture.get(SECTIONS[side], {})
    layers = section.get("layers", DEFAULT_LAYERS)
    if architecture.get("kind", "clip") != "clip" or section.get(OTHER_TOWERS[side]) or not isinstance(layers, int):
        raise UserError(f"layers of the {side} tower: only those of open_clip's own Transformers have numbers")
    return layers


def block_prefix(architecture: Mapping[str, Any], side: Side) -> str:
    """What the names of a tower's layers start with in a bundle, before their number from 0."""
    if side == "image":
        return IMAGE + BLOCKS
    return FOREIGN_TEXT + BLOCKS if is_foreign(dict(architecture)) else BLOCKS


def without_layers(architecture: dict[str, Any], *, text: Collection[int], image: Collection[int]) -> dict[str, Any]:
    """The architecture with those layers left out.

    Raises:
        UserError: there is no such layer, or none would remain.
    """
    smaller = copy.deepcopy(architecture)
    for side, dropped in _by_side(text, image):
        layers = num_layers(architecture, side)
        _check(side, dropped, layers, "drop")
        if len(set(dropped)) == layers:
            raise UserError(f"drop_{side}_layers: all {layers} layers; at least one must remain")
        smaller[SECTIONS[side]]["layers"] = layers - len(set(dropped))
        if pruned := smaller.get(PRUNED, {}).get(side):
            remaining = {int(layer): parts for layer, parts in pruned.items() if int(layer) not in dropped}
            smaller[PRUNED][side] = {new_index(layer, dropped) + 1: parts for layer, parts in remaining.items()}
    return smaller


def weights_without_layers(
    state: Mapping[str, Tensor], *, text: Collection[int], image: Collection[int]
) -> dict[str, Tensor]:
    """A state dict in open_clip's names without those layers, the others numbered anew."""
    places = {IMAGE + BLOCKS: image, BLOCKS: text, FOREIGN_TEXT + BLOCKS: text}
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


def frozen_prefixes(config: ModelConfig, architecture: Mapping[str, Any]) -> tuple[str, ...]:
    """What a recipe takes out of training in a model of `architecture`, which has lost the dropped layers already.

    Raises:
        UserError: a layer to freeze does not exist, or is dropped.
    """
    prefixes = list(config.frozen)
    dropped_of = dict(zip(SIDES, (config.drop_text_layers, config.drop_image_layers), strict=True))
    for side, frozen in _by_side(config.freeze_text_layers, config.freeze_image_layers):
        dropped = dropped_of[side]
        _check(side, frozen, num_layers(architecture, side) + len(set(dropped)), "freeze")
        if both := sorted(set(frozen) & set(dropped)):
            raise UserError(f"model.freeze_{side}_layers: {both} are dropped")
        prefixes += [f"{block_prefix(architecture, side)}{new_index(layer, dropped)}." for layer in sorted(set(frozen))]
    return tuple(prefixes)


def _by_side(text: Collection[int], image: Collection[int]) -> list[tuple[Side, Collection[int]]]:
    return [(side, given) for side, given in zip(SIDES, (text, image), strict=True) if given]


def _check(side: Side, chosen: Collection[int], layers: int, action: str) -> None:
    if wrong := sorted(layer for layer in set(chosen) if not 1 <= layer <= layers):
        raise UserError(f"{action}_{side}_layers: {wrong}; the {side} tower has layers 1–{layers}")
