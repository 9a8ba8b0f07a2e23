"""Small CLIPs of every shape that an adaptation must take, and captions for them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from open_clip.model import CLIP
from torch import Tensor, nn

VISION = {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
TEXT = {"context_length": 20, "vocab_size": 50, "width": 24, "heads": 2, "layers": 2}
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "average": {"vision_cfg": {"pool_type": "avg", "no_ln_pre": True, "final_ln_after_pool": True}},
    "attentional": {"vision_cfg": {"attentional_pool": True, "attn_pooler_heads": 2, "attn_pooler_queries": 4}},
    "layer_scale": {"vision_cfg": {"ls_init_value": 0.1}, "text_cfg": {"ls_init_value": 0.1}, "quick_gelu": True},
    "deeper_image": {"vision_cfg": {"layers": 3}, "text_cfg": {"proj_bias": True}},
    "deeper_text": {"vision_cfg": {"layers": 1}, "text_cfg": {"layers": 3}},
    "square": {"vision_cfg": {"image_size": 16}},
}


def make_clip(shape: str, seed: int = 0) -> Any:
    changes = SHAPES[shape]
    torch.manual_seed(seed)
    clip = CLIP(
        embed_dim=16,
        vision_cfg=VISION | changes.get("vision_cfg", {}),
        text_cfg=TEXT | changes.get("text_cfg", {}),
        quick_gelu=changes.get("quick_gelu", False),
    )
    return clip.requires_grad_(False).eval()


@pytest.fixture(params=SHAPES)
def clip(request: pytest.FixtureRequest) -> Any:
    return make_clip(request.param)


@pytest.fixture
def plain_clip() -> Any:
    return make_clip("plain")


@pytest.fixture
def pixels() -> Callable[[Any, int], Tensor]:
    def draw(clip: Any, batch: int) -> Tensor:
        return torch.randn(batch, 3, *clip.visual.image_size, generator=torch.Generator().manual_seed(batch))

    return draw


@pytest.fixture
def captions() -> Callable[[int, int], Tensor]:
    """Rows of 48, words, 49 and padding, of various lengths; the first is the longest."""

    def draw(batch: int, length: int) -> Tensor:
        generator = torch.Generator().manual_seed(batch)
        ids = torch.randint(1, 48, (batch, length), generator=generator)
        ids[:, 0] = 48
        for row, end in enumerate(torch.randint(1, length, (batch,), generator=generator)):
            end = length - 1 if row == 0 else int(end)  # noqa: PLW2901
            ids[row, end], ids[row, end + 1 :] = 49, 0
        return ids

    return draw


@pytest.fixture
def stir() -> Callable[[nn.Module], None]:
    """Moves every parameter off its start, so that zeros hide nothing."""

    def move(module: nn.Module) -> None:
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)

    return move
