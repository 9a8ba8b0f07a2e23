"""The named image operations: batched, each image by its own uniform numbers, pixels in [0, 1].

Ranges and distributions are those of torchvision's transforms of the same names; sampling is bilinear.

Shapes: N images, H height, W width, K = DRAWS random numbers of an image.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from personsearch.augmentation import primitives
from personsearch.augmentation.policies import autoaugment, randaugment, trivialaugment

DRAWS = 6
Operation = Callable[..., Tensor]
Range = tuple[float, float]


def color_jitter(
    pixels_N3HW: Tensor,
    draws_NK: Tensor,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    probability: float = 1.0,
) -> Tensor:
    """Scale brightness, contrast (about the mean grey) and saturation, in this order, by factors in 1 ± their amounts.

    Then rotate the hue by up to ± `hue`, a share of the circle (at most 0.5).
    """
    pixels = (pixels_N3HW * _factor(draws_NK[:, 0], brightness)[:, None, None, None]).clamp(0, 1)
    mean = primitives.grey(pixels).mean(dim=(1, 2, 3), keepdim=True)
    pixels = primitives.blend(pixels, mean, _factor(draws_NK[:, 1], contrast))
    pixels = primitives.blend(pixels, primitives.grey(pixels), _factor(draws_NK[:, 2], saturation))
    if hue > 0:
        pixels = primitives.hue(pixels, _between(draws_NK[:, 3], -hue, hue))
    return torch.where(_chosen(draws_NK[:, 4], probability), pixels, pixels_N3HW) if probability < 1 else pixels


def rotation(pixels_N3HW: Tensor, draws_NK: Tensor, *, degrees: float) -> Tensor:
    """Rotate about the centre by an angle within ±`degrees`; what comes from outside is black."""
    return primitives.rotate(pixels_N3HW, (draws_NK[:, 0] * 2 - 1) * math.radians(degrees))


def resized_crop(pixels_N3HW: Tensor, draws_NK: Tensor, *, scale: Range, ratio: Range = (3 / 4, 4 / 3)) -> Tensor:
    """Enlarge a random box to the whole image: its share of the area is within `scale`, its width:height in `ratio`.

    If the box does not fit, its longer side is cut to the image's.
    """
    height, width = pixels_N3HW.shape[-2:]
    area_N = _between(draws_NK[:, 0], *scale) * height * width
    ratio_N = _between(draws_NK[:, 1], math.log(ratio[0]), math.log(ratio[1])).exp()
    across_N = ((area_N * ratio_N).sqrt() / width).clamp(max=1)
    down_N = ((area_N / ratio_N).sqrt() / height).clamp(max=1)
    x_N = (draws_NK[:, 2] * 2 - 1) * (1 - across_N)
    y_N = (draws_NK[:, 3] * 2 - 1) * (1 - down_N)
    none = torch.zeros_like(x_N)
    rows = [across_N, none, x_N, none, down_N, y_N]
    return primitives.warp(pixels_N3HW, torch.stack(rows, dim=1).reshape(-1, 2, 3))


def pad_crop(pixels_N3HW: Tensor, draws_NK: Tensor, *, padding: int) -> Tensor:
    """Pad with black and crop back at a random place: a shift by up to `padding` whole pixels."""
    height, width = pixels_N3HW.shape[-2:]
    places = 2 * padding + 1
    top_N, left_N = ((draws_NK[:, axis] * places).long().clamp(max=places - 1) for axis in (0, 1))
    rows_NH = top_N[:, None] + torch.arange(height, device=pixels_N3HW.device)
    columns_NW = left_N[:, None] + torch.arange(width, device=pixels_N3HW.device)
    image_N11 = torch.arange(len(pixels_N3HW), device=pixels_N3HW.device)[:, None, None]
    padded_NHW3 = pad(pixels_N3HW, [padding] * 4).permute(0, 2, 3, 1)
    return padded_NHW3[image_N11, rows_NH[:, :, None], columns_NW[:, None, :]].permute(0, 3, 1, 2).contiguous()


def grayscale(pixels_N3HW: Tensor, draws_NK: Tensor, *, probability: float) -> Tensor:
    """Replace all channels by the luminance."""
    return torch.where(_chosen(draws_NK[:, 0], probability), primitives.grey(pixels_N3HW), pixels_N3HW)


def horizontal_flip(pixels_N3HW: Tensor, draws_NK: Tensor, *, probability: float) -> Tensor:
    """Mirror left and right."""
    return torch.where(_chosen(draws_NK[:, 0], probability), pixels_N3HW.flip(-1), pixels_N3HW)


def vertical_flip(pixels_N3HW: Tensor, draws_NK: Tensor, *, probability: float) -> Tensor:
    """Mirror top and bottom."""
    return torch.where(_chosen(draws_NK[:, 0], probability), pixels_N3HW.flip(-2), pixels_N3HW)


def erasing(
    pixels_N3HW: Tensor, draws_NK: Tensor, *, probability: float, area: Range, ratio: Range = (0.3, 3.3)
) -> Tensor:
    """Blacken a random box: its share of the image is within `area`, its height:width within `ratio`."""
    height, width = pixels_N3HW.shape[-2:]
    area_N = _between(draws_NK[:, 1], *area) * height * width
    ratio_N = _between(draws_NK[:, 2], math.log(ratio[0]), math.log(ratio[1])).exp()
    down_N = (area_N * ratio_N).sqrt().clamp(max=height - 1)
    across_N = (area_N / ratio_N).sqrt().clamp(max=width - 1)
    inside = _inside(draws_NK[:, 3], down_N, height)[:, :, None] & _inside(draws_NK[:, 4], across_N, width)[:, None, :]
    erased = inside[:, None] & _chosen(draws_NK[:, 0], probability)
    return pixels_N3HW.masked_fill(erased, 0.0)


def gaussian_blur(
    pixels_N3HW: Tensor, draws_NK: Tensor, *, kernel: int, sigma: Range = (0.1, 2.0), probability: float = 1.0
) -> Tensor:
    """Blur with an odd kernel and a standard deviation within `sigma` pixels."""
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel={kernel}: an odd number expected")
    count, channels = pixels_N3HW.shape[:2]
    sigma_N = _between(draws_NK[:, 1], *sigma)[:, None]
    offset_K = torch.arange(kernel, device=pixels_N3HW.device) - kernel // 2
    # the softmax of the exponents is a Gaussian that sums to 1; one group per image and channel blurs each by its own
    weight_NK = torch.softmax(-(offset_K**2) / (2 * sigma_N**2), dim=1).repeat_interleave(channels, dim=0)
    padded = pad(pixels_N3HW, [kernel // 2] * 4, mode="reflect").flatten(0, 1)[None]
    rows = conv2d(padded, weight_NK[:, None, None, :], groups=count * channels)
    blurred = conv2d(rows, weight_NK[:, None, :, None], groups=count * channels)
    return torch.where(_chosen(draws_NK[:, 0], probability), blurred.reshape(pixels_N3HW.shape), pixels_N3HW)


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (
        color_jitter, rotation, resized_crop, pad_crop, grayscale, horizontal_flip, vertical_flip, erasing,
        gaussian_blur, autoaugment, randaugment, trivialaugment,
    )
}  # fmt: skip


def _between(draw_N: Tensor, low: float, high: float) -> Tensor:
    return low + draw_N * (high - low)


def _factor(draw_N: Tensor, amount: float) -> Tensor:
    return _between(draw_N, max(0.0, 1 - amount), 1 + amount)


def _chosen(draw_N: Tensor, probability: float) -> Tensor:
    return (draw_N < probability)[:, None, None, None]


def _inside(draw_N: Tensor, length_N: Tensor, limit: int) -> Tensor:
    """Which of `limit` places lie in an interval of this length at a random start, [N, limit]."""
    start_N = (draw_N * (limit - length_N)).floor()
    place = torch.arange(limit, device=draw_N.device)
    return (place >= start_N[:, None]) & (place < (start_N + length_N.round())[:, None])
