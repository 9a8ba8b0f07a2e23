"""The changes that operations and policies are made of, first of colour, then of place. Pixels are in [0, 1].

Each image changes by its own amount; an amount of 0 changes nothing. Amounts mean what they mean in Pillow and
torchvision; where those work on bytes, so do these, on 256 levels. Changes of place sample bilinearly, and what comes
from outside the image is black unless they say otherwise.

Shapes: N images, C = 3 channels, H height, W width, L = 256 levels.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample

Change = Callable[[Tensor, Tensor], Tensor]
LEVELS = 256
LUMA = (0.299, 0.587, 0.114)


def grey(pixels_N3HW: Tensor) -> Tensor:
    """The luminance [N, 1, H, W]."""
    red, green, blue = pixels_N3HW.unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def blend(pixels_N3HW: Tensor, other: Tensor, factor_N: Tensor) -> Tensor:
    """`factor` of the pixels plus `1 - factor` of the other; a factor above 1 moves away from it."""
    return (other + (pixels_N3HW - other) * factor_N[:, None, None, None]).clamp(0, 1)


def brightness(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Multiply by 1 + amount."""
    return (pixels_N3HW * (1 + amount_N)[:, None, None, None]).clamp(0, 1)


def contrast(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Move away from the image's mean grey, or towards it for a negative amount."""
    return blend(pixels_N3HW, grey(pixels_N3HW).mean(dim=(1, 2, 3), keepdim=True), 1 + amount_N)


def saturation(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Move away from grey, or towards it for a negative amount."""
    return blend(pixels_N3HW, grey(pixels_N3HW), 1 + amount_N)


def sharpness(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Move away from a 3×3 smoothing with a centre weight of 5/13; the outermost pixels stay."""
    kernel = torch.ones(3, 3, dtype=pixels_N3HW.dtype, device=pixels_N3HW.device)
    kernel[1, 1] = 5
    smooth_N3HW = pixels_N3HW.clone()
    smooth_N3HW[..., 1:-1, 1:-1] = conv2d(pixels_N3HW, (kernel / kernel.sum()).expand(3, 1, 3, 3), groups=3)
    return blend(pixels_N3HW, smooth_N3HW, 1 + amount_N)


def hue(pixels_N3HW: Tensor, turn_N: Tensor) -> Tensor:
    """Rotate the hue (HSV) by a share of the whole circle."""
    value_N1HW, brightest_N1HW = pixels_N3HW.max(dim=1, keepdim=True)
    chroma_N1HW = value_N1HW - pixels_N3HW.amin(dim=1, keepdim=True)
    red, green, blue = pixels_N3HW.unbind(dim=1)
    steps = torch.stack([green - blue, blue - red, red - green], dim=1).gather(1, brightest_N1HW)
    sixth_N1HW = 2 * brightest_N1HW + steps / chroma_N1HW.clamp(min=1e-12) + 6 * turn_N[:, None, None, None]
    channel_3 = torch.tensor([5.0, 3.0, 1.0], device=pixels_N3HW.device)[:, None, None]
    place_N3HW = (channel_3 + sixth_N1HW) % 6
    return value_N1HW - chroma_N1HW * torch.minimum(place_N3HW, 4 - place_N3HW).clamp(0, 1)


def posterize(pixels_N3HW: Tensor, bits_N: Tensor) -> Tensor:
    """Drop this many of the eight bits."""
    step_N = 2 ** bits_N.round()[:, None, None, None]  # PIL masks the low bits; flooring to a step does the same
    return (_levels(pixels_N3HW) / step_N).floor() * step_N / (LEVELS - 1)


def solarize(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Invert pixels of brightness 1 - amount or more; as in Pillow, an amount of 0 still inverts pure white."""
    threshold = (LEVELS - 1) * (1 - amount_N)[:, None, None, None]
    return torch.where(_levels(pixels_N3HW) >= threshold, 1 - pixels_N3HW, pixels_N3HW)


def invert(pixels_N3HW: Tensor) -> Tensor:
    """The negative."""
    return 1 - pixels_N3HW


def autocontrast(pixels_N3HW: Tensor) -> Tensor:
    """Stretch each channel to the whole range; a flat channel stays."""
    low = pixels_N3HW.amin(dim=(2, 3), keepdim=True)
    extent = pixels_N3HW.amax(dim=(2, 3), keepdim=True) - low
    return torch.where(extent > 0, (pixels_N3HW - low) / extent.clamp(min=1e-12), pixels_N3HW)


def equalize(pixels_N3HW: Tensor) -> Tensor:
    """Equalise each channel's histogram by Pillow's integer rule."""
    count, channels, height, width = pixels_N3HW.shape
    level_RP = _levels(pixels_N3HW).long().reshape(count * channels, height * width)
    histogram_RL = torch.zeros(count * channels, LEVELS, dtype=torch.long, device=pixels_N3HW.device)
    histogram_RL.scatter_add_(1, level_RP, torch.ones_like(level_RP))
    brightest_R1 = level_RP.amax(dim=1, keepdim=True)
    step_R1 = (height * width - histogram_RL.gather(1, brightest_R1)) // (LEVELS - 1)
    below_RL = histogram_RL.cumsum(dim=1) - histogram_RL
    table_RL = ((below_RL + step_R1 // 2) // step_R1.clamp(min=1)).clamp(max=LEVELS - 1)
    equal_RP = torch.where(step_R1 > 0, table_RL.gather(1, level_RP), level_RP)
    return (equal_RP.to(pixels_N3HW.dtype) / (LEVELS - 1)).reshape(pixels_N3HW.shape)


def _levels(pixels_N3HW: Tensor) -> Tensor:
    return (pixels_N3HW * (LEVELS - 1)).round()


def warp(pixels_N3HW: Tensor, affine_N23: Tensor, outside: Literal["zeros", "border"] = "zeros") -> Tensor:
    """Read each pixel from the affine image of its place; coordinates run from -1 to 1 along both sides.

    Places outside the image are black, or have the colour of the nearest pixel.
    """
    grid = affine_grid(affine_N23, list(pixels_N3HW.shape), align_corners=False)
    return grid_sample(pixels_N3HW, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def rotate(pixels_N3HW: Tensor, angle_N: Tensor) -> Tensor:
    """Turn about the centre by an angle in radians."""
    height, width = pixels_N3HW.shape[-2:]
    cos, sin, none = angle_N.cos(), angle_N.sin(), torch.zeros_like(angle_N)
    # coordinates are scaled to each side, so a rotation of pixels needs the aspect ratio
    rows = [cos, -sin * height / width, none, sin * width / height, cos, none]
    return warp(pixels_N3HW, torch.stack(rows, dim=1).reshape(-1, 2, 3))


def shear_x(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Shift each row sideways by amount × its distance from the top."""
    height, width = pixels_N3HW.shape[-2:]
    slope = amount_N * height / width
    none, one = torch.zeros_like(slope), torch.ones_like(slope)
    return warp(pixels_N3HW, torch.stack([one, slope, slope, none, one, none], dim=1).reshape(-1, 2, 3))


def shear_y(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Shift each column up or down by amount × its distance from the left."""
    return shear_x(pixels_N3HW.transpose(2, 3), amount_N).transpose(2, 3)


def translate_x(pixels_N3HW: Tensor, distance_N: Tensor) -> Tensor:
    """Shift to the right by a number of pixels."""
    shift = -2 * distance_N / pixels_N3HW.shape[-1]
    none, one = torch.zeros_like(shift), torch.ones_like(shift)
    return warp(pixels_N3HW, torch.stack([one, none, shift, none, one, none], dim=1).reshape(-1, 2, 3))


def translate_y(pixels_N3HW: Tensor, distance_N: Tensor) -> Tensor:
    """Shift down by a number of pixels."""
    return translate_x(pixels_N3HW.transpose(2, 3), distance_N).transpose(2, 3)
