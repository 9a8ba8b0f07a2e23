"""What training and compression ask of an encoder, as a table over the kinds of model."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from personsearch.errors import UserError
from personsearch.models.architecture import Architecture
from personsearch.models.build import create_model
from personsearch.models.mixing import Mixing

TEXT: dict[str, Any] = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}
CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 3, "head_width": 16},
    "text_cfg": TEXT,
}
SIGLIP = CLIP | {"text_cfg": TEXT | {"no_causal_mask": True, "pool_type": "last"}}
DUAL_TRANSFORMER: dict[str, Any] = {
    "kind": "dual_transformer",
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "stride": 8, "width": 32, "layers": 1, "heads": 2},
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 50,
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 12,
    },
}


@dataclass(frozen=True)
class Facts:
    crosses: frozenset[str] = frozenset()
    extra_image_tokens: int = 0
    token_embedding_name: str | None = "token_embedding.weight"
    can_be_projected: bool = True
    can_be_mixed: bool = False


BOTH = frozenset({"text", "image"})
TABLE: dict[str, tuple[dict[str, Any], Facts]] = {
    "clip": (CLIP, Facts()),
    "cskt": (CLIP | {"adaptation": {"kind": "cskt", "prompts": 3}}, Facts(BOTH, extra_image_tokens=6)),
    "lora": (CLIP | {"adaptation": {"kind": "lora"}}, Facts(BOTH)),
    "coop": (CLIP | {"adaptation": {"kind": "coop", "prompts": 2}}, Facts(frozenset({"text"}))),
    "clip_adapter": (CLIP | {"adaptation": {"kind": "clip_adapter"}}, Facts(can_be_projected=False)),
    "siglip": (SIGLIP, Facts(token_embedding_name=None, can_be_projected=False)),
    "dual_transformer": (
        DUAL_TRANSFORMER,
        Facts(token_embedding_name="text.bert.embeddings.word_embeddings.weight", can_be_mixed=True),
    ),
}


def answers(call: Any) -> bool:
    try:
        call()
    except UserError:
        return False
    return True


@pytest.mark.parametrize("name", TABLE)
def test_facts(name: str) -> None:
    architecture, expected = TABLE[name]
    model = create_model(Architecture(architecture))
    pixels, ids = torch.zeros(2, 3, 32, 16), torch.tensor([[1, 49], [2, 49]])
    mixing = Mixing(torch.tensor([1, 0]), torch.tensor([0.5, 0.5]))
    assert expected == Facts(
        crosses=model.crosses,
        extra_image_tokens=model.extra_image_tokens,
        token_embedding_name=model.token_embedding_name,
        can_be_projected=answers(lambda: model.project(torch.eye(16)[:, :8])),
        can_be_mixed=answers(lambda: model.mixed_features(pixels, ids, mixing)),
    )
    if expected.token_embedding_name is not None:
        assert len(model.named_weights()[expected.token_embedding_name]) == 50


def test_a_model_that_cannot_be_mixed_names_the_setting() -> None:
    mixing = Mixing(torch.tensor([0]), torch.tensor([1.0]))
    with pytest.raises(UserError, match=r"mixup\.level features: expected a dual transformer, not DualEncoder"):
        create_model(Architecture(CLIP)).mixed_features(torch.zeros(1, 3, 32, 16), torch.tensor([[1, 49]]), mixing)
