"""Many probes of a tower on one batch: what lies below the changed layers is computed once for all of them.

A probe of layer i costs at most its n - i + 1 upper blocks, and all probes together what lies below the highest one:
never more than one pass of the tower per probe. Two activations of a batch are held, however many probes there are.

Shapes: N items, L tokens, C channels of the tower, D embedding dimension.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from personsearch.compression.probes.towers import PARAMETERS, Kind, Tower, attend, feed_forward


@dataclass(frozen=True, slots=True)
class Probe:
    """A change of one module; layers count from 1.

    `alpha` None removes it: its residual branch is skipped. Else its weights are (1 − alpha) · those before fine-tuning
    + alpha · those after it.
    """

    layer: int
    kind: Kind
    alpha: float | None = None


def probe_features(
    tower: Tower, before: Sequence[Mapping[str, Tensor]], probes: Sequence[Probe], inputs: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """The number of each probe with the unit vectors [N, D] that the changed tower gives, lower layers first.

    `before` holds each block's weights before fine-tuning.
    """
    mask_LL = tower.mask(inputs)
    tokens_NLC = tower.embed(inputs)
    highest = max(probe.layer for probe in probes)
    for layer, block in enumerate(tower.blocks[:highest], start=1):
        for number, probe in enumerate(probes):
            if probe.layer == layer:
                changed_NLC = _changed(block, before[layer - 1], probe, tokens_NLC, mask_LL)
                for upper in tower.blocks[layer:]:
                    changed_NLC = upper(changed_NLC, attn_mask=mask_LL)
                yield number, tower.pool(changed_NLC, inputs)
        if layer < highest:
            tokens_NLC = block(tokens_NLC, attn_mask=mask_LL)


def _changed(
    block: nn.Module, before: Mapping[str, Tensor], probe: Probe, tokens_NLC: Tensor, mask_LL: Tensor | None
) -> Tensor:
    """What the changed block gives."""
    if probe.alpha is not None:
        changed_NLC: Tensor = functional_call(
            block, _blended(block, before, probe.kind, probe.alpha), (tokens_NLC,), {"attn_mask": mask_LL}
        )
        return changed_NLC
    if probe.kind == "attention":
        return feed_forward(block, tokens_NLC)
    return attend(block, tokens_NLC, mask_LL) if probe.kind == "feed_forward" else tokens_NLC


def _blended(block: nn.Module, before: Mapping[str, Tensor], kind: Kind, alpha: float) -> dict[str, Tensor]:
    return {
        name: torch.lerp(before[name], trained, alpha)
        for name, trained in block.named_parameters()
        if name.startswith(PARAMETERS[kind])
    }
