"""Layers left out of a model, or out of its training: numbers from 1, weights in their new places."""

from pathlib import Path
from typing import Any

import pytest
import torch

from personsearch.bundle import Bundle
from personsearch.errors import UserError
from personsearch.models.architecture import Architecture
from personsearch.models.build import build_model, load_bundle_model
from personsearch.models.config import ModelConfig
from personsearch.models.layers import frozen_prefixes, weights_without_layers, without_layers

VISION = {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}
TEXT = {"context_length": 12, "vocab_size": 40, "width": 32, "heads": 2, "layers": 4}
ARCHITECTURE: dict[str, Any] = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}


def config(**values: Any) -> ModelConfig:
    return ModelConfig(weights="random", **values)


def test_an_architecture_loses_layers_and_stays_as_it_was_given() -> None:
    smaller = without_layers(Architecture(ARCHITECTURE), text=[2, 4], image=[1])
    assert (smaller["text_cfg"]["layers"], smaller["vision_cfg"]["layers"]) == (2, 2)
    assert (TEXT["layers"], VISION["layers"]) == (4, 3)
    unsaid = Architecture({"embed_dim": 8, "text_cfg": {}, "vision_cfg": {}})
    assert without_layers(unsaid, text=[7], image=[])["text_cfg"] == {"layers": 11}  # open_clip's default is 12


def test_what_is_pruned_of_the_layers_that_remain_goes_with_them() -> None:
    pruned = {"text": {1: {"heads": 1}, 2: {"heads": 0}, 4: {"feed_forward": 8}}, "image": {3: {"heads": 1}}}
    smaller = without_layers(Architecture(ARCHITECTURE | {"pruned": pruned}), text=[2, 3], image=[])
    assert smaller["pruned"] == {"text": {1: {"heads": 1}, 2: {"feed_forward": 8}}, "image": {3: {"heads": 1}}}


def test_the_layers_that_remain_are_numbered_anew() -> None:
    names = [f"{tower}transformer.resblocks.{i}.ln_1.bias" for tower in ("", "visual.") for i in range(4)]
    state = {name: torch.tensor(i) for i, name in enumerate([*names, "transformer_10.resblocks.3", "logit_scale"])}
    kept = weights_without_layers(state, text=[1, 3], image=[4])
    assert {name: int(value) for name, value in kept.items()} == {
        "transformer.resblocks.0.ln_1.bias": 1,
        "transformer.resblocks.1.ln_1.bias": 3,
        "visual.transformer.resblocks.0.ln_1.bias": 4,
        "visual.transformer.resblocks.1.ln_1.bias": 5,
        "visual.transformer.resblocks.2.ln_1.bias": 6,
        "transformer_10.resblocks.3": 8,
        "logit_scale": 9,
    }


def test_frozen_layers_are_named_where_they_are_after_dropping() -> None:
    recipe = config(freeze_text_layers=[4, 1], drop_text_layers=[2, 3], freeze_image_layers=[3])
    smaller = without_layers(Architecture(ARCHITECTURE), text=[2, 3], image=[])
    assert frozen_prefixes(recipe, smaller) == (
        "visual.conv1",
        "transformer.resblocks.0.",
        "transformer.resblocks.1.",
        "visual.transformer.resblocks.2.",
    )


def test_layer_1_is_not_also_10_to_12() -> None:
    wide = Architecture(ARCHITECTURE | {"text_cfg": TEXT | {"layers": 12}})
    assert frozen_prefixes(config(freeze_text_layers=[2]), wide)[1] == "transformer.resblocks.1."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"freeze_text_layers": [5]}, r"freeze_text_layers: \[5\]; the text tower has layers 1–4"),
        ({"freeze_image_layers": [0]}, r"freeze_image_layers: \[0\]; the image tower has layers 1–3"),
        ({"drop_text_layers": [-1, 2, 9]}, r"drop_text_layers: \[-1, 9\]; the text tower has layers 1–4"),
        ({"drop_image_layers": [1, 2, 3]}, "drop_image_layers: all 3 layers"),
        ({"drop_text_layers": [2], "freeze_text_layers": [2, 3]}, r"freeze_text_layers: \[2\] are dropped"),
        ({"drop_image_layers": [1], "architecture": {"kind": "dual_transformer"}}, "only those of open_clip's own"),
        ({"drop_image_layers": [1], "architecture": "RN50"}, "only those of open_clip's own"),
        ({"drop_text_layers": [1], "architecture": "roberta-ViT-B-32"}, "only those of open_clip's own"),
    ],
)
def test_layers_that_are_not_there_are_told(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    from personsearch.training.describe import outline

    with pytest.raises(UserError, match=message):
        outline(config(**({"architecture": ARCHITECTURE, "image_size": (32, 16)} | values)))


def test_a_bundle_starts_a_training_without_some_of_its_layers(tiny_bundle: Path, tmp_path: Path) -> None:
    recipe = ModelConfig(
        weights=str(tiny_bundle), image_size=(32, 16), drop_text_layers=(1,), freeze_text_layers=(2,), frozen=()
    )
    built = build_model(recipe, lambda: [], tmp_path / "tokenizer.json").model
    whole = load_bundle_model(Bundle.open(tiny_bundle)).model.named_weights()
    found = built.named_weights()
    assert built.architecture["text_cfg"]["layers"] == 1
    for name, value in whole.items():
        if name.startswith("transformer.resblocks.1."):
            assert torch.equal(found[name.replace("resblocks.1.", "resblocks.0.")], value)
        elif not name.startswith("transformer.resblocks.0."):
            assert torch.equal(found[name], value)
    frozen = {name for name, _ in built.named_parts()} - built.trained_names()
    assert frozen == {name for name in found if name.startswith("transformer.resblocks.0.")}


@pytest.mark.parametrize(
    ("values", "total", "trained"),
    [
        ({}, 149_620_737, 149_620_737 - 768 * 3 * 16 * 16),
        ({"freeze_text_layers": (3, 5, 6, 7, 8)}, 149_620_737, 149_030_913 - 5 * 3_152_384),
        ({"drop_text_layers": (3, 5, 6, 7, 8)}, 149_620_737 - 5 * 3_152_384, 149_030_913 - 5 * 3_152_384),
    ],
)
def test_five_text_layers_of_vit_b_16_are_15_8_million_parameters(
    values: dict[str, Any], total: int, trained: int
) -> None:
    """Published: 149.2 → 133.4 M trainable of the full model, whose SimCLR head adds .13 M to these."""
    from personsearch.training.describe import outline

    model = outline(config(architecture="ViT-B-16", **values))
    parameters = list(model.parameters())
    assert sum(parameter.numel() for parameter in parameters) == total
    assert sum(parameter.numel() for parameter in parameters if parameter.requires_grad) == trained
    head = 512 * 128 + 128 + 128 * 512 + 512
    assert round((trained + head) / 1e6, 1) == (133.4 if values else 149.2)
