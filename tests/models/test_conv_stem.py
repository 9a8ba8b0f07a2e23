"""The convolutional stem: its grid, what folding and freezing leave as it is, what it refuses."""

from typing import Any

import pytest
import torch

from personsearch.errors import UserError
from personsearch.models.architecture import Architecture
from personsearch.models.clip import DualEncoder
from personsearch.models.conv_stem import ConvStem, StemConfig, StemNorm, fold_stem

PATCHES: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": [32, 16]},
    "text_cfg": {"context_length": 16, "width": 32, "heads": 2, "layers": 1, "vocab_size": 64},
}
STEM = {"stem": {"widths": [4, 8], "blocks": [0, 1]}}


def build(**changes: Any) -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(Architecture({**PATCHES, **STEM, **changes}))


def some_images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 16, generator=torch.Generator().manual_seed(1))


def test_a_stem_gives_the_grid_of_the_patches_that_it_replaces() -> None:
    model = build()
    stem = model.clip.visual.conv1
    assert isinstance(stem, ConvStem)
    assert stem(some_images()).shape == (3, 32, 4, 2)
    assert model.image_features(some_images()).shape == (3, 32)
    assert "visual.conv1.stages.0.conv.weight" in model.named_weights()


def test_every_pixel_reaches_a_token() -> None:
    pixels = some_images(1).requires_grad_()
    build().clip.visual.conv1(pixels).sum().backward()
    assert pixels.grad is not None
    assert (pixels.grad.abs().sum(dim=1) > 0).all()


def test_the_folded_stem_gives_the_same_vectors() -> None:
    model = build()
    model.train()
    for _ in range(3):  # statistics that are not those of the start
        model.image_features(some_images(8) * 2 + 1)
    model.eval()
    before = model.encode_image(some_images())
    fold_stem(model)
    assert not any(isinstance(module, StemNorm) for module in model.modules())
    assert torch.allclose(model.encode_image(some_images()), before, atol=1e-5)


def test_a_frozen_stem_keeps_its_statistics_and_treats_each_image_alone() -> None:
    model = build()
    model.freeze(["visual.conv1"])
    model.train()
    before = {name: value.clone() for name, value in model.named_weights().items()}
    together, alone = model.image_features(some_images()), model.image_features(some_images()[:1])
    assert torch.allclose(together[:1], alone, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.named_weights().items())


def test_weights_return_from_their_names() -> None:
    model, other = build(), build(embed_dim=32)
    model.train()
    model.image_features(some_images(8))
    other.load_named_weights({name: value.detach() for name, value in model.named_weights().items()})
    assert torch.equal(model.eval().encode_image(some_images()), other.eval().encode_image(some_images()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": {"widths": [4]}}, r"widths: 1 stages make patches of 4 pixels; vision_cfg.patch_size is 8"),
        ({"stem": {"widths": []}}, r"stem"),
        ({"stem": {"widths": [4, 8], "blocks": [1]}}, r"one number from 0 for each of the 2 widths"),
        ({"stem": {"widths": [4, 8], "block": [1, 1]}}, r"block"),
    ],
)
def test_a_stem_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(**changes)


def test_a_tower_without_patches_is_refused() -> None:
    resnet = {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64, "patch_size": 8, "head_width": 16}}
    with pytest.raises(UserError, match="expected open_clip's Vision Transformer"):
        build(**resnet)


def test_blocks_may_be_left_out() -> None:
    stem = ConvStem(StemConfig(widths=(4, 8)), 16)
    assert stem(some_images()).shape == (3, 16, 4, 2)
