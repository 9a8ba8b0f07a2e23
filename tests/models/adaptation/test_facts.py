"""What each adaptation is, as a table: training, description and compression ask it, not its kind."""

from typing import Any

import pytest
from open_clip.model import CLIP

from personsearch.models.adaptation import Unadapted, make_adaptation
from personsearch.models.architecture import SIDES

VISION = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16}
TEXT = {"context_length": 20, "vocab_size": 50, "width": 24, "heads": 2, "layers": 1}
BOTH = frozenset(SIDES)


@pytest.mark.parametrize(
    ("section", "crosses", "extra_image_tokens", "fits_any_embedding"),
    [
        ({"kind": "cskt", "prompts": 3}, BOTH, 6, True),
        ({"kind": "lora"}, BOTH, 0, True),
        ({"kind": "coop", "prompts": 4}, {"text"}, 0, True),
        ({"kind": "clip_adapter"}, set(), 0, False),
    ],
)
def test_facts(section: dict[str, Any], crosses: set[str], extra_image_tokens: int, fits_any_embedding: bool) -> None:
    clip = CLIP(embed_dim=16, vision_cfg=VISION, text_cfg=TEXT).requires_grad_(False)
    adaptation = make_adaptation(section, clip)
    assert adaptation.computes
    assert not adaptation.trains_backbone
    assert adaptation.crosses == crosses
    assert adaptation.extra_image_tokens == extra_image_tokens
    assert adaptation.fits_any_embedding == fits_any_embedding


def test_facts_of_none() -> None:
    none = Unadapted()
    assert none.trains_backbone
    assert not none.computes
    assert none.crosses == set()
    assert none.extra_image_tokens == 0
    assert none.fits_any_embedding
