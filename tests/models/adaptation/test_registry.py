"""A wrong section, or a model that it does not suit, is one readable line."""

from typing import Any

import pytest
from open_clip.model import CLIP

from personsearch.errors import UserError
from personsearch.models.adaptation import make_adaptation

TEXT = {"context_length": 20, "vocab_size": 50, "width": 24, "heads": 2, "layers": 1}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8}
MODIFIED = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16, "qk_norm": True}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "prefix"}, "model.adaptation: .*'cskt', 'lora', 'coop', 'clip_adapter'"),
        ({}, "model.adaptation: .*kind"),
        ({"kind": "lora", "rank": 0}, "model.adaptation: rank=0: at least 1 expected"),
        (
            {"kind": "cskt", "depth": 3},
            "model.adaptation: depth: unknown; known: kind, prompts, reduction, image_scale, text_scale",
        ),
    ],
)
def test_refuses_a_wrong_section(plain_clip: Any, section: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_adaptation(section, plain_clip)


@pytest.mark.parametrize("kind", ["cskt", "lora"])
@pytest.mark.parametrize(("vision", "named"), [(RESNET, "ModifiedResNet"), (MODIFIED, "CustomResidualAttentionBlock")])
def test_refuses_towers_that_it_cannot_run(kind: str, vision: dict[str, Any], named: str) -> None:
    clip = CLIP(embed_dim=16, vision_cfg=vision, text_cfg=TEXT)
    with pytest.raises(UserError, match=f"model.adaptation: {kind} needs .*{named}"):
        make_adaptation({"kind": kind}, clip)


@pytest.mark.parametrize("kind", ["coop", "clip_adapter"])
def test_baselines_take_any_image_tower(kind: str) -> None:
    section = {"kind": kind} | ({"prompts": 4} if kind == "coop" else {})
    adaptation = make_adaptation(section, CLIP(embed_dim=16, vision_cfg=RESNET, text_cfg=TEXT))
    assert not adaptation.trains_backbone
