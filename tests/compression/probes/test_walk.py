"""Probes on one batch: each against a model whose weights were really changed, and what they cost."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from personsearch.compression.probes.towers import KINDS, PARAMETERS, Kind, Tower, take_apart
from personsearch.compression.probes.walk import Probe, probe_features
from personsearch.errors import UserError
from personsearch.models.architecture import Architecture, Side
from personsearch.models.build import create_model
from personsearch.models.clip import DualEncoder

LAYERS = 3
VISION = {
    "image_size": [32, 16],
    "patch_size": 8,
    "width": 32,
    "layers": LAYERS,
    "head_width": 16,
    "ls_init_value": 0.5,
}
TEXT = {"context_length": 12, "vocab_size": 40, "width": 48, "heads": 2, "layers": LAYERS}
ARCHITECTURE: dict[str, Any] = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
IDS = torch.tensor([[38, 5, 9, 39, 0, 0], [38, 7, 39, 0, 0, 0], [38, 1, 2, 3, 4, 39]])
SIDES: list[Side] = ["text", "image"]
ALL = [Probe(layer, kind, alpha) for layer in range(1, LAYERS + 1) for kind in KINDS for alpha in (None, 0.0, 0.37)]


def make(seed: int) -> DualEncoder:
    """Random weights large enough for every module to matter, biases and norms included."""
    torch.manual_seed(seed)
    model = create_model(Architecture(ARCHITECTURE)).eval()
    assert isinstance(model, DualEncoder)
    with torch.no_grad():
        for value in model.clip.parameters():
            value.add_(0.1 * torch.randn(value.shape))
    return model


MODEL, START = make(0), make(1)


def tower_of(model: DualEncoder, side: Side) -> Tower:
    return take_apart(model, side)


def inputs_of(side: Side) -> Tensor:
    return IDS if side == "text" else torch.randn(3, 3, 32, 16, generator=torch.Generator().manual_seed(2))


def blocks_of(model: DualEncoder, side: Side) -> list[dict[str, Tensor]]:
    return [dict(block.named_parameters()) for block in tower_of(model, side).blocks]


def features(side: Side, probes: list[Probe]) -> list[Tensor]:
    found = probe_features(tower_of(MODEL, side), blocks_of(START, side), probes, inputs_of(side))
    with torch.inference_mode():
        numbered = dict(found)
    return [numbered[number] for number in range(len(probes))]


@torch.no_grad()
def really_changed(side: Side, probe: Probe) -> Tensor:
    """What a copy gives whose module adds nothing, or has the weights between start and end."""
    model = copy.deepcopy(MODEL)
    block: Any = tower_of(model, side).blocks[probe.layer - 1]
    if probe.alpha is None:
        outputs = {"attention": [block.attn.out_proj], "feed_forward": [block.mlp.c_proj]}
        for linear in outputs.get(probe.kind, [*outputs["attention"], *outputs["feed_forward"]]):
            linear.weight.zero_()
            linear.bias.zero_()
    else:
        before = blocks_of(START, side)[probe.layer - 1]
        for name, value in block.named_parameters():
            if name.startswith(PARAMETERS[probe.kind]):
                value.copy_((1 - probe.alpha) * before[name] + probe.alpha * value)
    return model.encode_text(inputs_of(side)) if side == "text" else model.encode_image(inputs_of(side))


@pytest.mark.parametrize("side", SIDES)
def test_a_probe_gives_what_the_changed_model_gives(side: Side) -> None:
    for probe, found in zip(ALL, features(side, ALL), strict=True):
        torch.testing.assert_close(found, really_changed(side, probe), atol=1e-5, rtol=0, msg=str(probe))


@pytest.mark.parametrize("side", SIDES)
def test_all_the_way_is_the_model_itself(side: Side) -> None:
    whole = MODEL.encode_text(IDS) if side == "text" else MODEL.encode_image(inputs_of(side))
    for found in features(side, [Probe(2, kind, 1.0) for kind in KINDS]):
        torch.testing.assert_close(found, whole, atol=1e-6, rtol=0)


def test_a_layers_parameters_are_those_of_its_two_modules_and_all_of_a_block() -> None:
    names = {name for side in SIDES for name in blocks_of(MODEL, side)[0]}
    assert set(PARAMETERS["layer"]) == {*PARAMETERS["attention"], *PARAMETERS["feed_forward"]}
    assert all(name.startswith(PARAMETERS["layer"]) for name in names)
    assert not any(
        name.startswith(PARAMETERS["attention"]) and name.startswith(PARAMETERS["feed_forward"]) for name in names
    )


def count_modules(side: Side, probes: list[Probe]) -> dict[tuple[Side, str], int]:
    """How often attention and feed-forward of any block of each tower are run."""
    counts: Counter[tuple[Side, str]] = Counter()

    def counter(key: tuple[Side, str]) -> Callable[..., None]:
        return lambda *_: counts.update([key])

    handles = []
    for counted in SIDES:
        for block in tower_of(MODEL, counted).blocks:
            for name, module in (("attention", block.attn), ("feed_forward", block.mlp)):
                assert isinstance(module, nn.Module)
                handles.append(module.register_forward_hook(counter((counted, name))))
    try:
        features(side, probes)
    finally:
        for handle in handles:
            handle.remove()
    return counts


@pytest.mark.parametrize("side", SIDES)
def test_a_full_probe_shares_what_lies_below(side: Side) -> None:
    """Removals and blends of 3 kinds in n = 3 layers: n - 1 blocks below, one changed block each, n - i above each."""
    probes = [probe for probe in ALL if probe.alpha != 0.37]
    above = 6 * sum(LAYERS - layer for layer in range(1, LAYERS + 1))
    changed = LAYERS * (1 + 3)  # without attention a feed-forward is run and the reverse, without both none
    assert count_modules(side, probes) == {
        (side, "attention"): LAYERS - 1 + changed + above,
        (side, "feed_forward"): LAYERS - 1 + changed + above,
    }


@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=8, unique=True), st.sampled_from(SIDES))
def test_no_probe_costs_more_than_one_pass_of_its_tower(probes: list[Probe], side: Side) -> None:
    counts = count_modules(side, probes)
    assert {counted for counted, _ in counts} <= {side}
    assert all(count <= LAYERS * len(probes) for count in counts.values())


@pytest.mark.parametrize(
    ("architecture", "side", "message"),
    [
        (ARCHITECTURE | {"adaptation": {"kind": "lora"}}, "text", "adaptation lora"),
        (ARCHITECTURE | {"text_cfg": TEXT | {"no_causal_mask": True}}, "text", "another text tower"),
        (ARCHITECTURE | {"vision_cfg": VISION | {"qk_norm": True}}, "image", "CustomResidualAttentionBlock"),
        (
            ARCHITECTURE | {"vision_cfg": {"image_size": 64, "width": 8, "layers": [1, 1, 1, 1], "head_width": 8}},
            "image",
            "not a ModifiedResNet",
        ),
    ],
)
def test_what_cannot_be_taken_apart_is_told(architecture: dict[str, Any], side: Side, message: str) -> None:
    with pytest.raises(UserError, match=message):
        take_apart(create_model(Architecture(architecture)), side)


def test_kinds_are_the_papers() -> None:
    kinds: tuple[Kind, ...] = ("attention", "feed_forward", "layer")
    assert kinds == KINDS
