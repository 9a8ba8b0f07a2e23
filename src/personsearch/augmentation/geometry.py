"""Changes of place, each image by its own amount; bilinear, and what comes from outside is black.

Shapes: N images, H height, W width.
"""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def warp(pixels_N3HW: Tensor, affine_N23: Tensor) -> Tensor:
    """Look each pixel up at the affine image of its place; places run from -1 to 1 along both sides."""
    grid = affine_grid(affine_N23, list(pixels_N3HW.shape), align_corners=False)
    return grid_sample(pixels_N3HW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def rotate(pixels_N3HW: Tensor, angle_N: Tensor) -> Tensor:
    """Turn about the centre by an angle in radians."""
    height, width = pixels_N3HW.shape[-2:]
    cos, sin, none = angle_N.cos(), angle_N.sin(), torch.zeros_like(angle_N)
    rows = [cos, -sin * height / width, none, sin * width / height, cos, none]
    return warp(pixels_N3HW, torch.stack(rows, dim=1).reshape(-1, 2, 3))


def shear_x(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Shift each row sideways by amount × its distance from the top, in pixels."""
    height, width = pixels_N3HW.shape[-2:]
    slope = amount_N * height / width
    none, one = torch.zeros_like(slope), torch.ones_like(slope)
    return warp(pixels_N3HW, torch.stack([one, slope, slope, none, one, none], dim=1).reshape(-1, 2, 3))


def shear_y(pixels_N3HW: Tensor, amount_N: Tensor) -> Tensor:
    """Shift each column up or down by amount × its distance from the left, in pixels."""
    return shear_x(pixels_N3HW.transpose(2, 3), amount_N).transpose(2, 3)


def translate_x(pixels_N3HW: Tensor, distance_N: Tensor) -> Tensor:
    """Shift to the right by a number of pixels."""
    shift = -2 * distance_N / pixels_N3HW.shape[-1]
    none, one = torch.zeros_like(shift), torch.ones_like(shift)
    return warp(pixels_N3HW, torch.stack([one, none, shift, none, one, none], dim=1).reshape(-1, 2, 3))


def translate_y(pixels_N3HW: Tensor, distance_N: Tensor) -> Tensor:
    """Shift down by a number of pixels."""
    return translate_x(pixels_N3HW.transpose(2, 3), distance_N).transpose(2, 3)
