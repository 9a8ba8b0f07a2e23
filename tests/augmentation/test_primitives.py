"""Changes of colour against Pillow's and torchvision's, on bytes as those define them; changes of place on smooth
pictures, where interpolation does not decide.
"""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from personsearch.augmentation import primitives

SIGNED = (primitives.brightness, primitives.contrast, primitives.saturation, primitives.sharpness)
PLAIN = (primitives.autocontrast, primitives.equalize, primitives.invert)


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
    turned = primitives.hue(red.expand(6, -1, -1, -1), turns)[:, :, 0, 0]
    expected = [[0.8, 0.2, 0.2], [0.2, 0.8, 0.2], [0.2, 0.2, 0.8], [0.8, 0.8, 0.2], [0.8, 0.2, 0.8], [0.8, 0.2, 0.2]]
    assert torch.allclose(turned, torch.tensor(expected), atol=1e-5)


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.05, 0.4])
def test_hue_turns_as_in_torchvision(levels: Tensor, turn: float) -> None:
    pixels = levels.float() / 255
    found = primitives.hue(pixels, torch.full((8,), turn))
    assert torch.allclose(found, reference.adjust_hue(pixels, turn), atol=1e-4)


@given(st.floats(-0.5, 0.5), st.integers(0, 1000))
def test_hue_turns_back(turn: float, seed: int) -> None:
    pixels = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    turned = primitives.hue(pixels, torch.tensor([turn]))
    assert torch.allclose(primitives.hue(turned, torch.tensor([-turn])), pixels, atol=1e-4)
    assert torch.allclose(turned.amax(1), pixels.amax(1), atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (primitives.brightness, reference.adjust_brightness),
        (primitives.contrast, reference.adjust_contrast),
        (primitives.saturation, reference.adjust_saturation),
        (primitives.sharpness, reference.adjust_sharpness),
    ],
)
@pytest.mark.parametrize("amount", [-0.9, -0.3, 0.0, 0.6])
def test_strengths_are_those_of_torchvision(
    levels: Tensor, ours: primitives.Change, theirs: Callable[[Tensor, float], Tensor], amount: float
) -> None:
    found = ours(levels.float() / 255, torch.full((8,), amount))
    assert worst(found, theirs(levels, 1 + amount)) < 2.1  # theirs rounds to bytes on the way


def test_no_strength_is_no_change(levels: Tensor) -> None:
    pixels, none = levels.float() / 255, torch.zeros(8)
    for change in (*SIGNED, primitives.hue, primitives.posterize):
        assert torch.allclose(change(pixels, none), pixels, atol=1e-5), change.__name__


@pytest.mark.parametrize("bits", range(7))
def test_posterize_drops_bits(levels: Tensor, bits: int) -> None:
    found = primitives.posterize(levels.float() / 255, torch.full((8,), float(bits)))
    assert worst(found, reference.posterize(levels, 8 - bits)) < 1e-3


@pytest.mark.parametrize("amount", [0.0, 0.3, 0.5, 1.0])
def test_solarize_inverts_from_a_threshold_on(levels: Tensor, amount: float) -> None:
    found = primitives.solarize(levels.float() / 255, torch.full((8,), amount))
    assert worst(found, reference.solarize(levels, 255 * (1 - amount))) < 1e-3


def test_equalize_autocontrast_and_invert_are_pillows(levels: Tensor) -> None:
    from PIL import ImageOps
    from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

    for ours, theirs, tolerance in (
        (primitives.equalize, ImageOps.equalize, 1e-3),
        (primitives.autocontrast, ImageOps.autocontrast, 1.001),  # Pillow cuts to bytes
        (primitives.invert, ImageOps.invert, 1e-3),
    ):
        found = ours(levels.float() / 255)
        expected = torch.stack([pil_to_tensor(theirs(to_pil_image(image))) for image in levels])
        assert worst(found, expected) < tolerance, ours.__name__


def test_every_change_keeps_range_and_shape_and_each_image_its_own(levels: Tensor) -> None:
    pixels = levels.float() / 255
    amount = torch.linspace(-0.9, 0.9, 8)
    changes: list[Callable[[Tensor, Tensor], Tensor]] = [*SIGNED, primitives.hue]
    changes += [lambda pixels, _, plain=plain: plain(pixels) for plain in PLAIN]
    changes += [lambda p, a, f=f: f(p, a.abs()) for f in (primitives.posterize, primitives.solarize)]
    for change in changes:
        together = change(pixels, amount)
        alone = torch.cat([change(pixels[i : i + 1], amount[i : i + 1]) for i in range(8)])
        assert together.shape == pixels.shape
        assert torch.allclose(together, alone, atol=1e-6)
        assert 0 <= together.min() <= together.max() <= 1


@pytest.fixture
def pixels() -> Tensor:
    noise = torch.rand(2, 3, 48, 24, generator=torch.Generator().manual_seed(0))
    return reference.gaussian_blur(noise, [7, 7])


def moved(pixels: Tensor, *, shear: tuple[float, float] = (0, 0), by: tuple[int, int] = (0, 0)) -> Tensor:
    """What torchvision makes of it, with AutoAugment's centre of shear."""
    degrees = [math.degrees(math.atan(slope)) for slope in shear]
    return reference.affine(
        pixels, angle=0.0, translate=list(by), scale=1.0, shear=degrees, center=[0, 0],
        interpolation=InterpolationMode.BILINEAR,
    )  # fmt: skip


@pytest.mark.parametrize("amount", [-0.3, 0.0, 0.2])
def test_shears_are_those_of_autoaugment(pixels: Tensor, amount: float) -> None:
    both = torch.full((2,), amount)
    across, down = moved(pixels, shear=(amount, 0)), moved(pixels, shear=(0, amount))
    assert (primitives.shear_x(pixels, both) - across).abs().mean() < 2e-3
    assert (primitives.shear_y(pixels, both) - down).abs().mean() < 2e-3


def test_translation_moves_whole_pixels_and_leaves_black(pixels: Tensor) -> None:
    right = primitives.translate_x(pixels, torch.tensor([3.0, -3.0]))
    assert torch.allclose(right[0, :, :, 3:], pixels[0, :, :, :-3], atol=1e-5)
    assert torch.allclose(right[1, :, :, :-3], pixels[1, :, :, 3:], atol=1e-5)
    assert right[0, :, :, :3].abs().max() < 1e-5
    assert torch.allclose(primitives.translate_y(pixels, torch.full((2,), 4.0)), moved(pixels, by=(0, 4)), atol=1e-5)


def test_a_quarter_turn_of_a_square_moves_its_corners() -> None:
    corner = torch.zeros(1, 3, 8, 8)
    corner[..., 0, 0] = 1
    turned = primitives.rotate(corner, torch.tensor([math.pi / 2]))
    assert (turned > 0.99).nonzero()[:, 2:].unique(dim=0).tolist() in ([[7, 0]], [[0, 7]])
    assert torch.allclose(primitives.rotate(turned, torch.tensor([-math.pi / 2])), corner, atol=1e-5)


def test_nothing_moves_by_nothing(pixels: Tensor) -> None:
    none = torch.zeros(2)
    for change in (
        primitives.rotate,
        primitives.shear_x,
        primitives.shear_y,
        primitives.translate_x,
        primitives.translate_y,
    ):
        assert torch.allclose(change(pixels, none), pixels, atol=1e-5), change.__name__
