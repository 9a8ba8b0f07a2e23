"""The named image operations: batched, each image by its own uniform numbers, pixels in [0, 1].

Ranges and distributions are those of torchvision's transforms of the same names; sampling is bilinear.

Shapes: N images, H height, W width, K = DRAWS random numbers of an image, A attempts at a box.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from personsearch.augmentation import primitives
from personsearch.augmentation.policies import autoaugment, randaugment, trivialaugment

ATTEMPTS = 10  # torchvision's, at a box that fits
FIRST_DRAWS = 6  # what an operation needs where its first attempt fits
DRAWS = FIRST_DRAWS + 2 * (ATTEMPTS - 1)
Operation = Callable[..., Tensor]
Range = tuple[float, float]
Colour = tuple[float, float, float]
Boxes = tuple[Tensor, Tensor, Tensor, Tensor]
BLACK: Colour = (0.0, 0.0, 0.0)


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
    """Enlarge a random box to the whole image: its share of the area is within `scale`, its shape within `ratio`.

    `ratio` is the box's width:height over the image's, so that a person in a tall image is no more squeezed than in a
    square one. On a square image all of it is torchvision's RandomResizedCrop.
    """
    height, width = pixels_N3HW.shape[-2:]
    top_N, left_N, down_N, across_N = crop_boxes(draws_NK, height, width, scale=scale, ratio=ratio)
    down_N, across_N = down_N / height, across_N / width
    x_N, y_N = 2 * left_N / width + across_N - 1, 2 * top_N / height + down_N - 1
    none = torch.zeros_like(x_N)
    rows = [across_N, none, x_N, none, down_N, y_N]
    affine_N23 = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    return primitives.warp(pixels_N3HW, affine_N23, outside="border")  # a box at the edge must not fade to black


def crop_boxes(draws_NK: Tensor, height: int, width: int, *, scale: Range, ratio: Range) -> Boxes:
    """Top, left, height and width [N] of the box of each image, in whole pixels.

    A box that does not fit is drawn again. Where no attempt fits, it is the largest central box whose shape is within
    `ratio`.
    """
    shape = width / height
    ratio = ratio[0] * shape, ratio[1] * shape
    down_NA, across_NA = _attempts(draws_NK[:, :2], draws_NK, scale, ratio, height * width)
    fits_NA = (across_NA > 0) & (across_NA <= width) & (down_NA > 0) & (down_NA <= height)
    down_N, across_N, fits_N = _first_that_fits(down_NA, across_NA, fits_NA)
    top_N, left_N = _place(draws_NK[:, 3], height - down_N), _place(draws_NK[:, 2], width - across_N)
    whole = min(height, round(width / ratio[0])), min(width, round(height * ratio[1]))
    centre = (height - whole[0]) // 2, (width - whole[1]) // 2
    drawn = top_N, left_N, down_N, across_N
    top_N, left_N, down_N, across_N = (
        torch.where(fits_N, own_N, float(other)) for own_N, other in zip(drawn, (*centre, *whole), strict=True)
    )
    return top_N, left_N, down_N, across_N


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
    pixels_N3HW: Tensor,
    draws_NK: Tensor,
    *,
    probability: float,
    area: Range,
    ratio: Range = (0.3, 3.3),
    fill: Colour = BLACK,
) -> Tensor:
    """Paint a random box: its share of the image is within `area`, its height:width within `ratio`."""
    if len(fill) != 3:
        raise ValueError(f"fill={list(fill)}: three numbers expected, for red, green and blue")
    height, width = pixels_N3HW.shape[-2:]
    top_N, left_N, down_N, across_N = erased_boxes(draws_NK, height, width, area=area, ratio=ratio)
    inside = _inside(top_N, down_N, height)[:, :, None] & _inside(left_N, across_N, width)[:, None, :]
    erased = inside[:, None] & _chosen(draws_NK[:, 0], probability)
    colour_311 = torch.tensor(fill, dtype=pixels_N3HW.dtype, device=pixels_N3HW.device)[:, None, None]
    return torch.where(erased, colour_311, pixels_N3HW)


def erased_boxes(draws_NK: Tensor, height: int, width: int, *, area: Range, ratio: Range) -> Boxes:
    """Top, left, height and width [N] of the box of each image, in whole pixels.

    A box that is as high or as wide as the image is drawn again. Where no attempt fits, it is empty.
    """
    across_NA, down_NA = _attempts(draws_NK[:, 1:3], draws_NK, area, ratio, height * width)
    fits_NA = (across_NA < width) & (down_NA < height)
    down_N, across_N, fits_N = _first_that_fits(down_NA, across_NA, fits_NA)
    down_N, across_N = down_N * fits_N, across_N * fits_N
    return _place(draws_NK[:, 3], height - down_N), _place(draws_NK[:, 4], width - across_N), down_N, across_N


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


def _inside(start_N: Tensor, length_N: Tensor, limit: int) -> Tensor:
    """Which of `limit` places lie in an interval, [N, limit]."""
    place = torch.arange(limit, device=start_N.device)
    return (place >= start_N[:, None]) & (place < (start_N + length_N)[:, None])


def _attempts(first_N2: Tensor, draws_NK: Tensor, area: Range, ratio: Range, pixels: int) -> tuple[Tensor, Tensor]:
    """Sides [N, A] of each attempt's box in whole pixels: √(area / ratio), then √(area · ratio)."""
    draws_NA2 = torch.cat([first_N2, draws_NK[:, FIRST_DRAWS:]], dim=1).reshape(-1, ATTEMPTS, 2)
    area_NA = _between(draws_NA2[..., 0], *area) * pixels
    ratio_NA = _between(draws_NA2[..., 1], math.log(ratio[0]), math.log(ratio[1])).exp()
    return (area_NA / ratio_NA).sqrt().round(), (area_NA * ratio_NA).sqrt().round()


def _first_that_fits(down_NA: Tensor, across_NA: Tensor, fits_NA: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sides [N] of each image's first fitting box, and whether it has one."""
    first_N1 = fits_NA.int().argmax(dim=1, keepdim=True)
    return down_NA.gather(1, first_N1)[:, 0], across_NA.gather(1, first_N1)[:, 0], fits_NA.any(dim=1)


def _place(draw_N: Tensor, room_N: Tensor) -> Tensor:
    """A whole number from 0 to `room_N`, all equally likely."""
    return torch.minimum((draw_N * (room_N + 1)).floor(), room_N)
