"""An architecture: read-only, in the order of its keys, and the facts that follow from it."""

import copy
import pickle
from typing import Any

import pytest
import yaml

from personsearch.errors import UserError
from personsearch.models.architecture import SIDES, Architecture

VISION: dict[str, Any] = {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}
TEXT: dict[str, Any] = {"context_length": 12, "width": 32, "heads": 2, "layers": 2}
CLIP: dict[str, Any] = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
RESNET = CLIP | {"vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8}}
SIGLIP = CLIP | {"text_cfg": TEXT | {"no_causal_mask": True}}
LAST = CLIP | {"text_cfg": TEXT | {"pool_type": "last"}}
HUGGING_FACE = CLIP | {"text_cfg": {"hf_model_name": "roberta-base"}}
COCA = CLIP | {"multimodal_cfg": {"layers": 2}}
DUAL = {"kind": "dual_transformer", "vision_cfg": {"image_size": [384, 128], "patch_size": 16, "stride": 12}}


@pytest.mark.parametrize(
    ("values", "kind", "is_foreign", "layers", "text_prefix"),
    [
        (CLIP, "clip", False, (2, 3), "transformer.resblocks."),
        (CLIP | {"kind": "clip"}, "clip", False, (2, 3), "transformer.resblocks."),
        (CLIP | {"text_cfg": {}, "vision_cfg": {}}, "clip", False, (12, 12), "transformer.resblocks."),
        (RESNET, "clip", False, (2, None), "transformer.resblocks."),
        (SIGLIP, "clip", True, (2, 3), "text.transformer.resblocks."),
        (LAST, "clip", True, (2, 3), "text.transformer.resblocks."),
        (HUGGING_FACE, "clip", True, (None, 3), "text.transformer.resblocks."),
        (COCA, "clip", True, (2, 3), "text.transformer.resblocks."),
        (DUAL, "dual_transformer", False, (None, None), "transformer.resblocks."),
    ],
)
def test_facts_of_each_kind(
    values: dict[str, Any], kind: str, is_foreign: bool, layers: tuple[int | None, int | None], text_prefix: str
) -> None:
    architecture = Architecture(values)
    assert (architecture.kind, architecture.is_foreign) == (kind, is_foreign)
    assert architecture.block_prefix("text") == text_prefix
    assert architecture.block_prefix("image") == "visual.transformer.resblocks."
    for side, expected in zip(SIDES, layers, strict=True):
        if expected is None:
            with pytest.raises(UserError, match=f"layers of the {side} tower: only those of open_clip's own"):
                architecture.num_layers(side)
        else:
            assert architecture.num_layers(side) == expected


@pytest.mark.parametrize(
    ("vision", "image_size", "grid"),
    [
        ({}, (224, 224), (14, 14)),
        ({"image_size": 64, "patch_size": 32}, (64, 64), (2, 2)),
        ({"image_size": [32, 16], "patch_size": [16, 8]}, (32, 16), (2, 2)),
        ({"image_size": [384, 128], "patch_size": 16, "stride": 12}, (384, 128), (31, 10)),
    ],
)
def test_a_grid_of_patches(vision: dict[str, Any], image_size: tuple[int, int], grid: tuple[int, int]) -> None:
    architecture = Architecture({"vision_cfg": vision})
    assert (architecture.image_size, architecture.grid) == (image_size, grid)


def test_only_an_adapted_one_names_its_adaptation() -> None:
    assert Architecture(CLIP).adaptation is None
    adapted = Architecture(CLIP).with_values(adaptation={"kind": "lora"})
    assert adapted.adaptation == "lora"
    assert adapted.without("adaptation") == Architecture(CLIP)


def test_a_change_makes_a_new_one_and_keeps_the_order_of_keys() -> None:
    first = Architecture({"vision_cfg": VISION, "embed_dim": 16, "text_cfg": TEXT})
    second = first.with_section("text", heads=4, vocab_size=50).with_values(embed_dim=8)
    assert list(second) == ["vision_cfg", "embed_dim", "text_cfg"]
    assert list(second["text_cfg"]) == ["context_length", "width", "heads", "layers", "vocab_size"]
    assert (second["embed_dim"], second["text_cfg"]["heads"]) == (8, 4)
    assert (first["embed_dim"], first["text_cfg"]["heads"]) == (16, 2)
    assert Architecture({}).with_section("text", heads=4).to_dict() == {"text_cfg": {"heads": 4}}


def test_nothing_in_it_can_be_changed() -> None:
    given = copy.deepcopy(CLIP)
    architecture = Architecture(given)
    given["text_cfg"]["heads"] = 9
    architecture.to_dict()["text_cfg"]["heads"] = 9
    assert architecture["text_cfg"]["heads"] == 2
    with pytest.raises(TypeError):
        architecture["embed_dim"] = 8  # type: ignore[index]
    with pytest.raises(TypeError):
        architecture["text_cfg"]["heads"] = 8
    assert architecture["vision_cfg"]["image_size"] == (32, 16)


def test_it_is_written_as_it_was_read() -> None:
    text = yaml.safe_dump(CLIP, sort_keys=False)
    assert yaml.safe_dump(Architecture(yaml.safe_load(text)).to_dict(), sort_keys=False) == text


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_it_can_be_copied_and_sent_to_another_process(copied: Any) -> None:
    assert copied(Architecture(CLIP)) == Architecture(CLIP)
