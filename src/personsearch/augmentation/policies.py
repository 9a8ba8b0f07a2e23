"""AutoAugment, RandAugment and TrivialAugment: each image draws its own primitives from one set.

Shapes: N images, H height, W width, K random numbers of an image, P primitives, S sub-policies.
"""

import math

import torch
from torch import Tensor

from personsearch.augmentation import primitives

PRIMITIVES: dict[str, primitives.Change] = {
    "identity": lambda pixels, _: pixels,
    "shear_x": primitives.shear_x,
    "shear_y": primitives.shear_y,
    "translate_x": primitives.translate_x,
    "translate_y": primitives.translate_y,
    "rotate": lambda pixels, degrees: primitives.rotate(pixels, degrees * (math.pi / 180)),
    "brightness": primitives.brightness,
    "colour": primitives.saturation,
    "contrast": primitives.contrast,
    "sharpness": primitives.sharpness,
    "posterize": primitives.posterize,
    "solarize": primitives.solarize,
    "autocontrast": lambda pixels, _: primitives.autocontrast(pixels),
    "equalize": lambda pixels, _: primitives.equalize(pixels),
    "invert": lambda pixels, _: primitives.invert(pixels),
}
NAMES = tuple(PRIMITIVES)
UNSIGNED = ("posterize", "solarize")
RANDOM_CHOICES = len(NAMES) - 1  # all but invert, which only AutoAugment uses
RAND_LEVELS, TRIVIAL_LEVELS, AUTO_LEVELS = 30, 30, 9  # the highest of 31 or 10 magnitudes, counted from 0

# The policy that Cubuk et al. (CVPR 2019) found on ImageNet; each row is (primitive, probability, magnitude) twice.
AUTOAUGMENT: tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("colour", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("colour", 1.0, 2)),
    (("colour", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("colour", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)


def autoaugment(pixels_N3HW: Tensor, draws_NK: Tensor) -> Tensor:
    """Apply one of AutoAugment's 25 sub-policies for ImageNet: two primitives, each with its own probability."""
    policy_N = _choice(draws_NK[:, 0], len(AUTOAUGMENT))
    strongest = _moderate(*pixels_N3HW.shape[-2:])
    for half in range(2):
        chosen_draw_N, sign_draw_N = draws_NK[:, 1 + 2 * half], draws_NK[:, 2 + 2 * half]
        index, probability, level = zip(*(_entry(policy[half]) for policy in AUTOAUGMENT), strict=True)
        table_3S = torch.tensor([index, probability, level], device=pixels_N3HW.device)
        index_N, probability_N, level_N = table_3S[:, policy_N]
        primitive_N = torch.where(chosen_draw_N < probability_N, index_N, 0).long()
        pixels_N3HW = _apply(pixels_N3HW, primitive_N, level_N / AUTO_LEVELS, sign_draw_N, strongest)
    return pixels_N3HW


def randaugment(pixels_N3HW: Tensor, draws_NK: Tensor, *, operations: int = 2, magnitude: int = 9) -> Tensor:
    """RandAugment (Cubuk et al. 2020): up to 3 primitives one after another, all at one magnitude from 0 to 30."""
    if not 0 <= operations <= 3 or not 0 <= magnitude <= RAND_LEVELS:
        raise ValueError(f"operations={operations}, magnitude={magnitude}: 0 to 3 and 0 to {RAND_LEVELS} expected")
    strongest = _moderate(*pixels_N3HW.shape[-2:])
    share_N = torch.full_like(draws_NK[:, 0], magnitude / RAND_LEVELS)
    for number in range(operations):
        primitive_N = _choice(draws_NK[:, 2 * number], RANDOM_CHOICES)
        pixels_N3HW = _apply(pixels_N3HW, primitive_N, share_N, draws_NK[:, 2 * number + 1], strongest)
    return pixels_N3HW


def trivialaugment(pixels_N3HW: Tensor, draws_NK: Tensor) -> Tensor:
    """TrivialAugment, wide (Müller and Hutter 2021): one primitive at one of 31 magnitudes."""
    share_N = _choice(draws_NK[:, 1], TRIVIAL_LEVELS + 1) / TRIVIAL_LEVELS
    return _apply(pixels_N3HW, _choice(draws_NK[:, 0], RANDOM_CHOICES), share_N, draws_NK[:, 2], WIDE)


WIDE = {
    "shear_x": 0.99, "shear_y": 0.99, "translate_x": 32.0, "translate_y": 32.0, "rotate": 135.0, "brightness": 0.99,
    "colour": 0.99, "contrast": 0.99, "sharpness": 0.99, "posterize": 6.0, "solarize": 1.0,
}  # fmt: skip


def _moderate(height: int, width: int) -> dict[str, float]:
    """The strongest amount of each primitive in AutoAugment and RandAugment."""
    moved = 150 / 331  # the papers shift by up to 150 pixels of a 331-pixel image
    return {
        "shear_x": 0.3, "shear_y": 0.3, "translate_x": moved * width, "translate_y": moved * height, "rotate": 30.0,
        "brightness": 0.9, "colour": 0.9, "contrast": 0.9, "sharpness": 0.9, "posterize": 4.0, "solarize": 1.0,
    }  # fmt: skip


def _apply(
    pixels_N3HW: Tensor, primitive_N: Tensor, share_N: Tensor, sign_draw_N: Tensor, strongest: dict[str, float]
) -> Tensor:
    """Apply each image's primitive at a share of its strongest amount, with a random sign if it has one."""
    result_N3HW = pixels_N3HW.clone()
    for index in sorted(set(primitive_N.tolist())):
        rows, name = (primitive_N == index).nonzero().flatten(), NAMES[index]
        amount = share_N[rows] * strongest.get(name, 0.0)
        signed = amount if name in UNSIGNED else torch.where(sign_draw_N[rows] < 0.5, amount, -amount)
        result_N3HW[rows] = PRIMITIVES[name](pixels_N3HW[rows], signed)
    return result_N3HW


def _choice(draw_N: Tensor, count: int) -> Tensor:
    return (draw_N * count).long().clamp(max=count - 1)


def _entry(entry: tuple[str, float, int]) -> tuple[float, float, float]:
    name, probability, level = entry
    return float(NAMES.index(name)), probability, float(level)
