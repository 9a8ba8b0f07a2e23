"""How much each head of an attention and each neuron of a feed-forward matters.

Shapes: U heads or neurons of a module, E channels of one (a neuron has 1), X = U·E, C channels of the tower, N items,
L tokens.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from personsearch.compression.samples import PairBatch
from personsearch.losses.n_itc import n_itc
from personsearch.losses.soft_labels import identity_targets
from personsearch.models.architecture import SIDES, Side
from personsearch.models.clip import DualEncoder
from personsearch.models.pruned import num_heads, num_neurons

Kind = Literal["attention", "feed_forward"]


@dataclass(frozen=True, slots=True)
class Module:
    """An attention or a feed-forward, whose units are heads or neurons; layers count from 1."""

    side: Side
    layer: int
    kind: Kind


Importance = Mapping[Module, Tensor]


def modules(model: DualEncoder) -> Iterator[tuple[Module, Any, int]]:
    """Every attention and feed-forward of both Transformers with its block and its number of units, which may be 0."""
    towers: Mapping[Side, Any] = {"text": model.clip, "image": model.clip.visual}
    for side in SIDES:
        blocks = getattr(getattr(towers[side], "transformer", None), "resblocks", ())
        for layer, block in enumerate(blocks, start=1):
            yield Module(side, layer, "attention"), block, num_heads(block)
            yield Module(side, layer, "feed_forward"), block, num_neurons(block)


def loss_importance(model: DualEncoder, batches: Iterable[PairBatch]) -> Importance:
    """E |∂L/∂ξ| over images or texts, where ξ = 1 is a gate on a unit's output for one of them: to first order, the
    change of the loss when the unit is removed.

    Michel et al. (NeurIPS 2019), equation 2, for heads; Molchanov et al. (ICLR 2017), equation 7, for neurons. With X
    the units' outputs, ∂L/∂ξ = Σ X ∂L/∂X over tokens and a head's channels. L is N-ITC with hard labels.
    """
    present = {module: (block, units) for module, block, units in modules(model) if units}
    totals, items = {module: torch.zeros(units) for module, (_, units) in present.items()}, 0
    for batch in batches:
        with _recorded({module: _output(block, module.kind) for module, (block, _) in present.items()}) as outputs:
            gradients = torch.autograd.grad(_loss(model, batch), [outputs[module] for module in present])
        for module, gradient_NLX in zip(present, gradients, strict=True):
            # A gate belongs to one image or text: changes may cancel within it, so absolute values come after its sum.
            change_NLX = outputs[module].detach() * gradient_NLX
            change_NUE = torch.unflatten(change_NLX.sum(dim=1), 1, (present[module][1], -1))
            totals[module] += change_NUE.sum(dim=2).abs().sum(dim=0).cpu()
        items += len(batch.person_ids)
    return {module: total_U / items for module, total_U in totals.items()}


@torch.no_grad()
def magnitude_importance(model: DualEncoder) -> Importance:
    """‖input weights‖ · ‖output weights‖ of each unit, Frobenius norms; a head's are those of its values and output."""
    scores = {}
    for module, block, units in modules(model):
        if units:
            leaving_CUE = torch.unflatten(_output(block, module.kind).weight, 1, (units, -1))
            leaving_U = leaving_CUE.norm(dim=(0, 2))
            scores[module] = leaving_U * _input(block, module.kind, units).flatten(1).norm(dim=1)
    return scores


def _loss(model: DualEncoder, batch: PairBatch) -> Tensor:
    logits_NN = model.logit_scale() * model.encode_image(batch.pixels) @ model.encode_text(batch.ids).T
    return n_itc(logits_NN, identity_targets(batch.person_ids), alpha=0.0)


def _output(block: Any, kind: Kind) -> nn.Linear:
    """The map [C, U·E] that reads the outputs of a module's units."""
    linear: nn.Linear = block.attn.out_proj if kind == "attention" else block.mlp.c_proj
    return linear


def _input(block: Any, kind: Kind, units: int) -> Tensor:
    """The weights [U, E, C] that a module's units read with; a head's are those of its values."""
    weight: Tensor = block.attn.in_proj_weight.chunk(3)[2] if kind == "attention" else block.mlp.c_fc.weight
    return torch.unflatten(weight, 0, (units, -1))


@contextmanager
def _recorded(linears: Mapping[Module, nn.Linear]) -> Iterator[dict[Module, Tensor]]:
    """Record what each map reads [N, L, U·E] in the forward pass made in this context."""
    read: dict[Module, Tensor] = {}

    def record(module: Module, _linear: nn.Module, inputs: tuple[Tensor]) -> None:
        read[module] = inputs[0]

    handles = [linear.register_forward_pre_hook(partial(record, module)) for module, linear in linears.items()]
    try:
        yield read
    finally:
        for handle in handles:
            handle.remove()
