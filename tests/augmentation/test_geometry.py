"""Changes of place against torchvision's, on smooth pictures, where interpolation does not decide."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from personsearch.augmentation import geometry


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
    assert (geometry.shear_x(pixels, both) - across).abs().mean() < 2e-3
    assert (geometry.shear_y(pixels, both) - down).abs().mean() < 2e-3


def test_translation_moves_whole_pixels_and_leaves_black(pixels: Tensor) -> None:
    right = geometry.translate_x(pixels, torch.tensor([3.0, -3.0]))
    assert torch.allclose(right[0, :, :, 3:], pixels[0, :, :, :-3], atol=1e-5)
    assert torch.allclose(right[1, :, :, :-3], pixels[1, :, :, 3:], atol=1e-5)
    assert right[0, :, :, :3].abs().max() < 1e-5
    assert torch.allclose(geometry.translate_y(pixels, torch.full((2,), 4.0)), moved(pixels, by=(0, 4)), atol=1e-5)


def test_a_quarter_turn_of_a_square_moves_its_corners() -> None:
    corner = torch.zeros(1, 3, 8, 8)
    corner[..., 0, 0] = 1
    turned = geometry.rotate(corner, torch.tensor([math.pi / 2]))
    assert (turned > 0.99).nonzero()[:, 2:].unique(dim=0).tolist() in ([[7, 0]], [[0, 7]])
    assert torch.allclose(geometry.rotate(turned, torch.tensor([-math.pi / 2])), corner, atol=1e-5)


def test_nothing_moves_by_nothing(pixels: Tensor) -> None:
    none = torch.zeros(2)
    for change in (geometry.rotate, geometry.shear_x, geometry.shear_y, geometry.translate_x, geometry.translate_y):
        assert torch.allclose(change(pixels, none), pixels, atol=1e-5), change.__name__
