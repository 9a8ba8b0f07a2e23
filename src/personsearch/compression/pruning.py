"""Structured pruning: removes whole heads and feed-forward neurons of a trained CLIP, most where a probe allows it.

The plan says how many each layer loses, their importance (compression/importance) which ones.
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
from personsearch.compression.samples import PairSample, sample_pairs
from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError, explain
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
    """The share of a tower's heads and of its feed-forward neurons that is removed."""

    heads: float = Field(default=0.0, ge=0, lt=1)
    """Share of the attention heads, in [0, 1)."""

    feed_forward: float = Field(default=0.0, ge=0, lt=1)
    """Share of the feed-forward neurons, in [0, 1)."""


class PruningConfig(Config):
    """How much is pruned; every layer keeps at least one head and some neurons."""

    text: Shares = Shares()
    """What the text tower loses."""

    image: Shares = Shares()
    """What the image tower loses."""

    multiple: int = Field(default=8, ge=1)
    """Neurons are removed this many at a time: such widths are computed faster."""


def read_probe(path: Path) -> ProbeSums:
    """Contribution plus criticality of every module from a probe.json: by tower and kind, one number per layer.

    Raises:
        UserError: it is not one.
    """
    try:
        towers = json.loads(path.read_text(encoding="utf-8"))["towers"]
        return {side: tower["sum"] for side, tower in towers.items()}
    except OSError as error:
        raise UserError(f"{path}: {explain(error)}; a probe.json expected") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a probe's figures: {error}") from error


def plan_pruning(config: PruningConfig, bundle: Bundle, probe: ProbeSums | None = None) -> Pruned:
    """Decide what remains of each layer when the towers of a bundle lose the configured shares.

    A module loses units in proportion to its size and to 2 - (contribution + criticality). Without a probe, or for a
    tower that the probe leaves out, in proportion to its size alone.

    Raises:
        UserError: the bundle is not a plain CLIP, or the probe has another number of layers.
    """
    model = _plain(load_bundle_model(bundle).model)
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
    """The number of heads or neurons of each layer."""
    return [units for module, _, units in modules(model) if (module.side, module.kind) == (side, kind)]


def _remaining_units(present: Sequence[int], share: float, size: int, sums: Sequence[float] | None) -> dict[int, int]:
    """Units that remain, by layer from 1, of those layers that lose any; `share` is removed, `size` units at a time."""
    weights = [1.0] * len(present) if sums is None else [max(0.0, LARGEST_SUM - figure) for figure in sums]
    if len(weights) != len(present):
        raise UserError(f"pruning: the probe has figures of {len(weights)} layers, the model has {len(present)}")
    gone = apportion(round(share * sum(present) / size), [units // size for units in present], weights)
    layers = enumerate(zip(present, gone, strict=True), start=1)
    return {layer: units - lost * size for layer, (units, lost) in layers if lost}


def apportion(total: int, present: Sequence[int], weights: Sequence[float]) -> list[int]:
    """How many of `total` units each layer loses, in proportion to its weight times its units; each keeps at least one.

    Highest averages (D'Hondt). Layers of weight 0 lose units only when the others have none left to lose.
    """
    gone = [0] * len(present)
    for _ in range(total):
        able = [layer for layer, units in enumerate(present) if gone[layer] < units - 1]
        if not able:
            break
        quotas = {  # the second number decides among layers of weight 0
            layer: (weights[layer] * present[layer] / (gone[layer] + 1), present[layer] / (gone[layer] + 1))
            for layer in able
        }
        gone[max(able, key=quotas.__getitem__)] += 1
    return gone


def prune(
    source: Bundle, plan: Pruned, out_dir: Path, *, dataset: Dataset | None = None, sample: PairSample = SAMPLE
) -> None:
    """Write a bundle with what `plan` leaves; the least important units are removed.

    With a data set, importance is measured by the loss on `sample` of its training pairs, otherwise by the size of the
    weights.

    Raises:
        UserError: the bundle is not a plain CLIP or has less than the plan leaves, or the data set cannot be read.
    """
    built = load_bundle_model(source)
    model = _plain(built.model)
    pairs = None if dataset is None else sample_pairs(sample, replace(built, model=model), dataset)
    importance = magnitude_importance(model) if pairs is None else loss_importance(model, pairs)
    before = sum(parameter.numel() for parameter in model.parameters())
    _take_out(model.cpu(), plan, importance)
    share = 1 - sum(parameter.numel() for parameter in model.parameters()) / before
    change = f"Heads and feed-forward neurons with {share:.1%} of its parameters were pruned."
    write_torch_bundle(source, model, out_dir, change=change)
    logger.info("%s", change)


def _take_out(model: DualEncoder, plan: Pruned, importance: Importance) -> None:
    section = read_pruned(model.architecture)  # of an earlier pruning, which the plan adds to
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
    """The indices of the `count` most important units, in ascending order."""
    scores = importance.get(module, torch.zeros(0))
    if count > len(scores):
        raise UserError(f"{PRUNED}.{module.side}: layer {module.layer} has {len(scores)} units, {count} cannot remain")
    return scores.topk(count).indices.sort().values


def _plain(model: PersonEncoder) -> DualEncoder:
    """The model as a plain CLIP; an adaptation of its weights is merged into them.

    Raises:
        UserError: it is another model, or its adaptation runs beside the weights.
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
