"""Changes of colour against Pillow's and torchvision's, on bytes as those define them."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from personsearch.augmentation import colour

SIGNED = (colour.brightness, colour.contrast, colour.saturation, colour.sharpness)
PLAIN = (colour.autocontrast, colour.equalize, colour.invert)


@pytest.fixture
def levels() -> Tensor:
    """Eight pictures of bytes: noise of different extents, so that histograms differ."""
    generator = torch.Generator().manual_seed(0)
    span = torch.tensor([256, 200, 100, 40, 10, 3, 2, 1])[:, None, None, None]
    return ((torch.rand(8, 3, 24, 12, generator=generator) * span) + (256 - span) / 2).floor().to(torch.uint8)


def worst(pixels_N3HW: Tensor, levels_N3HW: Tensor) -> float:
    """The largest difference, in levels."""
    return (pixels_N3HW * 255 - levels_N3HW.float()).abs().max().item()


def test_a_pure_colour_turns_through_the_circle() -> None:
    red = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None]
    turns = torch.tensor([0.0, 1 / 3, 2 / 3, 1 / 6, -1 / 6, 1.0])
    turned = colour.hue(red.expand(6, -1, -1, -1), turns)[:, :, 0, 0]
    wanted = [[0.8, 0.2, 0.2], [0.2, 0.8, 0.2], [0.2, 0.2, 0.8], [0.8, 0.8, 0.2], [0.8, 0.2, 0.8], [0.8, 0.2, 0.2]]
    assert torch.allclose(turned, torch.tensor(wanted), atol=1e-5)


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.05, 0.4])
def test_hue_turns_as_in_torchvision(levels: Tensor, turn: float) -> None:
    pixels = levels.float() / 255
    found = colour.hue(pixels, torch.full((8,), turn))
    assert torch.allclose(found, reference.adjust_hue(pixels, turn), atol=1e-4)


@given(st.floats(-0.5, 0.5), st.integers(0, 1000))
def test_hue_turns_back(turn: float, seed: int) -> None:
    pixels = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    turned = colour.hue(pixels, torch.tensor([turn]))
    assert torch.allclose(colour.hue(turned, torch.tensor([-turn])), pixels, atol=1e-4)
    assert torch.allclose(turned.amax(1), pixels.amax(1), atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.brightness, reference.adjust_brightness),
        (colour.contrast, reference.adjust_contrast),
        (colour.saturation, reference.adjust_saturation),
        (colour.sharpness, reference.adjust_sharpness),
    ],
)
@pytest.mark.parametrize("amount", [-0.9, -0.3, 0.0, 0.6])
def test_strengths_are_those_of_torchvision(
    levels: Tensor, ours: colour.Change, theirs: Callable[[Tensor, float], Tensor], amount: float
) -> None:
    found = ours(levels.float() / 255, torch.full((8,), amount))
    assert worst(found, theirs(levels, 1 + amount)) < 2.1  # theirs rounds to bytes on the way


def test_no_strength_is_no_change(levels: Tensor) -> None:
    pixels, none = levels.float() / 255, torch.zeros(8)
    for change in (*SIGNED, colour.hue, colour.posterize):
        assert torch.allclose(change(pixels, none), pixels, atol=1e-5), change.__name__


@pytest.mark.parametrize("bits", range(7))
def test_posterize_drops_bits(levels: Tensor, bits: int) -> None:
    found = colour.posterize(levels.float() / 255, torch.full((8,), float(bits)))
    assert worst(found, reference.posterize(levels, 8 - bits)) < 1e-3


@pytest.mark.parametrize("amount", [0.0, 0.3, 0.5, 1.0])
def test_solarize_inverts_from_a_threshold_on(levels: Tensor, amount: float) -> None:
    found = colour.solarize(levels.float() / 255, torch.full((8,), amount))
    assert worst(found, reference.solarize(levels, 255 * (1 - amount))) < 1e-3


def test_equalize_autocontrast_and_invert_are_pillows(levels: Tensor) -> None:
    from PIL import ImageOps
    from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

    for ours, theirs, tolerance in (
        (colour.equalize, ImageOps.equalize, 1e-3),
        (colour.autocontrast, ImageOps.autocontrast, 1.001),  # Pillow cuts to bytes
        (colour.invert, ImageOps.invert, 1e-3),
    ):
        found = ours(levels.float() / 255)
        wanted = torch.stack([pil_to_tensor(theirs(to_pil_image(image))) for image in levels])
        assert worst(found, wanted) < tolerance, ours.__name__


def test_every_change_keeps_range_and_shape_and_each_image_its_own(levels: Tensor) -> None:
    pixels = levels.float() / 255
    amount = torch.linspace(-0.9, 0.9, 8)
    changes: list[Callable[[Tensor, Tensor], Tensor]] = [*SIGNED, colour.hue]
    changes += [lambda pixels, _, plain=plain: plain(pixels) for plain in PLAIN]
    changes += [lambda p, a, f=f: f(p, a.abs()) for f in (colour.posterize, colour.solarize)]
    for change in changes:
        together = change(pixels, amount)
        alone = torch.cat([change(pixels[i : i + 1], amount[i : i + 1]) for i in range(8)])
        assert together.shape == pixels.shape
        assert torch.allclose(together, alone, atol=1e-6)
        assert 0 <= together.min() <= together.max() <= 1
