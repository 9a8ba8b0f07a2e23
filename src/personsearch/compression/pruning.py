"""Structured pruning: whole heads and feed-forward neurons out of a trained CLIP, more where the probe allows it.

How many go from which layer is the plan, which of them the importance (compression/importance).
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from personsearch.bundle import Bundle
from personsearch.compression.importance import Importance, Kind, Module, loss_importance, magnitude_importance, modules
from personsearch.compression.pairs import PairSample, sample_pairs
from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.models.architecture import ADAPTATION, PRUNED, SIDES, Side
from personsearch.models.build import load_bundle_model
from personsearch.models.clip import DualEncoder, require_clip
from personsearch.models.encoder import PersonEncoder
from personsearch.models.pruned import Pruned, Remaining, keep_heads, keep_neurons, read_pruned

logger = logging.getLogger(__name__)

ProbeSums = Mapping[Side, Mapping[str, Sequence[float]]]
SAMPLE = PairSample(pairs=512)
LARGEST_SUM = 2.0  # contribution and criticality are at most 1


class Shares(Config):
    """What part of a tower's heads and of its feed-forward neurons goes."""

    heads: float = Field(default=0.0, ge=0, lt=1)
    """Share of the attention heads, in [0, 1)."""

    feed_forward: float = Field(default=0.0, ge=0, lt=1)
    """Share of the feed-forward neurons, in [0, 1)."""


class PruningConfig(Config):
    """How much is pruned; every layer keeps at least one head and some neurons."""

    text: Shares = Shares()
    """What goes from the text tower."""

    image: Shares = Shares()
    """What goes from the image tower."""

    multiple: int = Field(default=8, ge=1)
    """Neurons are removed this many at a time: processors like widths that are such multiples."""


def read_probe(path: Path) -> ProbeSums:
    """Contribution plus criticality of every module: of each tower by kind, one per layer, from a probe.json.

    Raises:
        UserError: it is none.
    """
    try:
        towers = json.loads(path.read_text(encoding="utf-8"))["towers"]
        return {side: tower["sum"] for side, tower in towers.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a probe's figures: {error}") from error


def plan_pruning(config: PruningConfig, bundle: Path, probe: ProbeSums | None = None) -> Pruned:
    """What remains of which layer when the configured shares of a bundle's towers go.

    A module goes the more the smaller its sum of contribution and criticality is: in proportion to 2 - sum and to its
    size. Without a probe, or of a tower that it leaves out, all layers go alike.

    Raises:
        UserError: the bundle is no plain CLIP, or the probe is of another depth.
    """
    model = _plain(load_bundle_model(Bundle.open(bundle)).model)
    plan: dict[Side, dict[int, Remaining]] = {}
    for side in SIDES:
        shares = config.text if side == "text" else config.image
        sums = (probe or {}).get(side, {})
        heads = _remaining_units(_units(model, side, "attention"), shares.heads, 1, sums.get("attention"))
        neurons = _remaining_units(
            _units(model, side, "feed_forward"), shares.feed_forward, config.multiple, sums.get("feed_forward")
        )
        plan[side] = {
            layer: Remaining(heads=heads.get(layer), feed_forward=neurons.get(layer))
            for layer in sorted(heads.keys() | neurons.keys())
        }
    return Pruned(**plan)


def _units(model: DualEncoder, side: Side, kind: Kind) -> list[int]:
    """Heads or neurons of each layer."""
    return [units for module, _, units in modules(model) if (module.side, module.kind) == (side, kind)]


def _remaining_units(present: Sequence[int], share: float, size: int, sums: Sequence[float] | None) -> dict[int, int]:
    """Units that remain of the layers, counted from 1, which lose any when `share` goes, `size` at a time."""
    weights = [1.0] * len(present) if sums is None else [max(0.0, LARGEST_SUM - figure) for figure in sums]
    if len(weights) != len(present):
        raise UserError(f"pruning: the probe has figures of {len(weights)} layers, the model has {len(present)}")
    gone = apportion(round(share * sum(present) / size), [units // size for units in present], weights)
    layers = enumerate(zip(present, gone, strict=True), start=1)
    return {layer: units - lost * size for layer, (units, lost) in layers if lost}


def apportion(total: int, present: Sequence[int], weights: Sequence[float]) -> list[int]:
    """How many of `total` units each layer gives, in proportion to weight times units present; one at least stays.

    Highest averages (D'Hondt). Layers of weight 0 give only when the others have no more to give.
    """
    gone = [0] * len(present)
    for _ in range(total):
        able = [layer for layer, units in enumerate(present) if gone[layer] < units - 1]
        if not able:
            break
        quotas = {
            layer: (weights[layer] * present[layer] / (gone[layer] + 1), present[layer] / (gone[layer] + 1))
            for layer in able
        }
        gone[max(able, key=quotas.__getitem__)] += 1
    return gone


def prune(
    bundle: Path, plan: Pruned, out_dir: Path, *, dataset: Dataset | None = None, sample: PairSample = SAMPLE
) -> None:
    """Write a bundle of which `plan` remains; the least important go.

    With a data set, importance is what the loss on `sample` of its training pairs says, else the size of the weights.

    Raises:
        UserError: the bundle is no plain CLIP, has not what the plan leaves, or the data set cannot be read.
    """
    built = load_bundle_model(Bundle.open(bundle))
    model = _plain(built.model)
    pairs = None if dataset is None else sample_pairs(sample, replace(built, model=model), dataset)
    importance = magnitude_importance(model) if pairs is None else loss_importance(model, pairs)
    before = sum(parameter.numel() for parameter in model.parameters())
    _take_out(model.cpu(), plan, importance)
    share = 1 - sum(parameter.numel() for parameter in model.parameters()) / before
    change = f"Heads and feed-forward neurons with {share:.1%} of its parameters were pruned."
    write_torch_bundle(bundle, model, out_dir, change=change)
    logger.info("%s", change)


def _take_out(model: DualEncoder, plan: Pruned, importance: Importance) -> None:
    section = read_pruned(model.architecture)
    merged: dict[Side, dict[int, Remaining]] = {side: dict(section.of(side)) for side in SIDES}
    blocks = {(module.side, module.layer): block for module, block, _ in modules(model)}
    for side in SIDES:
        for layer, remaining in plan.of(side).items():
            if (side, layer) not in blocks:
                raise UserError(f"{PRUNED}.{side}: there is no layer {layer}")
            block = blocks[side, layer]
            if remaining.heads is not None:
                keep_heads(block, _best(importance, Module(side, layer, "attention"), remaining.heads))
            if remaining.feed_forward is not None:
                keep_neurons(block, _best(importance, Module(side, layer, "feed_forward"), remaining.feed_forward))
            known = merged[side].get(layer, Remaining())
            merged[side][layer] = known.model_copy(update=remaining.model_dump(exclude_none=True))
    model.architecture = model.architecture.with_values(pruned=Pruned(**merged).section())


def _best(importance: Importance, module: Module, count: int) -> Tensor:
    """The places of the most important units, in their order."""
    scores = importance.get(module, torch.zeros(0))
    if count > len(scores):
        raise UserError(f"{PRUNED}.{module.side}: layer {module.layer} has {len(scores)} units, {count} cannot remain")
    return scores.topk(count).indices.sort().values


def _plain(model: PersonEncoder) -> DualEncoder:
    """The CLIP, what its adaptation can merge into the weights merged.

    Raises:
        UserError: it is another model, or adapted in a way that runs beside the weights.
    """
    clip = require_clip(model, "pruning")
    if not clip.adaptation.computes:
        return clip
    clip.merge_adaptation()
    if clip.adaptation.computes:
        raise UserError(
            f"pruning: the adaptation {clip.architecture.adaptation} cannot be merged into the weights;"
            " expected an unadapted CLIP"
        )
    merged = DualEncoder(clip.architecture.without(ADAPTATION))
    merged.clip.load_state_dict(clip.clip.state_dict())
    return merged.eval()
