"""Sections `model` of a recipe, of which a step takes milliseconds."""

from typing import Any

SMALL_CLIP: dict[str, Any] = {
    "weights": "random",
    "image_size": [32, 16],
    "vocabulary": 300,
    "context_length": 20,
    "architecture": {
        "embed_dim": 16,
        "vision_cfg": {"patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
        "text_cfg": {"context_length": 20, "width": 32, "heads": 2, "layers": 1},
    },
}
SMALL_CTLG: dict[str, Any] = {
    "weights": "random",
    "image_weights": None,
    "text_weights": None,
    "frozen": [],
    "image_size": [32, 16],
    "vocabulary": 60,
    "context_length": None,
    "text_attention_dropout": 0,
    "architecture": {
        "kind": "dual_transformer",
        "embed_dim": 16,
        "temperature": 0.2,
        "vision_cfg": {"patch_size": 8, "stride": 6, "width": 32, "layers": 2, "heads": 2},
        "text_cfg": {
            "context_length": 24,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 24,
        },
    },
}
