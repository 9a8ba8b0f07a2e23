"""Image augmentation on whole batches of tensors, each image with its own random numbers.

An operation is looked up by name; it takes pixels in [0, 1] and DRAWS uniform numbers for each image and returns
pixels. Two policies apply operations: `pool` draws two for each image, with replacement; `stack` applies all in order.
A preset is such a list, named after the method that chose it (docs/methods.md).

Shapes: N images, C channels, H height, W width, K random numbers of an image.
"""

from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from personsearch.augmentation.operations import DRAWS, FIRST_DRAWS, OPERATIONS
from personsearch.config import Config, nearest

POOL_DRAWS = 2
TRIAL_SIZE = (64, 32)
TBPS_CLIP_POOL: tuple[dict[str, Any], ...] = (
    {"name": "color_jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1},
    {"name": "rotation", "degrees": 15},
    {"name": "resized_crop", "scale": (0.9, 1.0)},
    {"name": "grayscale", "probability": 0.1},
    {"name": "horizontal_flip", "probability": 0.5},
    {"name": "erasing", "probability": 0.5, "area": (0.1, 0.2)},
)
SIMCLR: tuple[dict[str, Any], ...] = (
    {"name": "resized_crop", "scale": (0.2, 1.0)},
    {"name": "color_jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "probability": 0.8},
    {"name": "grayscale", "probability": 0.2},
    {"name": "gaussian_blur", "kernel": 13, "sigma": (0.1, 2.0), "probability": 0.5},
    {"name": "horizontal_flip", "probability": 0.5},
)
CTLG: tuple[dict[str, Any], ...] = (
    {"name": "pad_crop", "padding": 10},
    {"name": "horizontal_flip", "probability": 0.5},
)
# CSKT erases standardised pixels with CLIP's mean (.481, .458, .408): mean + standard deviation × mean in pixels.
CSKT_FILL = (0.6108, 0.5775, 0.5208)
CSKT: tuple[dict[str, Any], ...] = (
    {"name": "horizontal_flip", "probability": 0.5},
    {"name": "pad_crop", "padding": 10},
    {"name": "erasing", "probability": 0.5, "area": (0.02, 0.4), "fill": CSKT_FILL},
)
PUBLISHED = (*TBPS_CLIP_POOL, *SIMCLR, *CSKT, *CTLG)
PRESETS: dict[str, dict[str, Any]] = {
    "tbps_clip_pool": {"policy": "pool", "operations": TBPS_CLIP_POOL},
    "simclr": {"policy": "stack", "operations": SIMCLR},
    "cskt": {"policy": "stack", "operations": CSKT},
    "ctlg": {"policy": "stack", "operations": CTLG},
}


class ImageAugmentationConfig(Config):
    """Named operations with their parameters, or one name of `tbps_clip_pool`, `simclr`, `cskt` and `ctlg`."""

    policy: Literal["pool", "stack"] = "pool"
    """`pool` draws two operations for each image, with replacement; `stack` applies all of them in order."""

    operations: tuple[dict[str, Any], ...] = Field(default=TBPS_CLIP_POOL)
    """Operations as {name, parameters …}, see docs/augmentation.md; TBPS-CLIP's pool by default, `[]` for none."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value not in PRESETS:
            raise ValueError(f"{value!r} is not a preset; {nearest(value, PRESETS)}")
        return PRESETS[value]

    @model_validator(mode="after")
    def _known(self) -> "ImageAugmentationConfig":
        for operation in self.operations:
            if "name" not in operation:
                raise ValueError(f"{operation!r}: the name is missing; one of {', '.join(OPERATIONS)} expected")
            if (name := operation["name"]) not in OPERATIONS:
                raise ValueError(f"{name!r} is not an operation; {nearest(str(name), OPERATIONS)}")
            if operation in PUBLISHED:  # they are the defaults of settings: importing those must run no operation
                continue
            try:
                _apply(operation, torch.zeros(1, 3, *TRIAL_SIZE), torch.zeros(1, DRAWS))
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(f"augmentation {operation['name']}: {error}") from error
        return self

    @property
    def rounds(self) -> int:
        """Operations that are applied to each image, one after another."""
        return POOL_DRAWS if self.policy == "pool" else len(self.operations)

    @property
    def draws(self) -> int:
        """Random numbers that one image needs."""
        return self.rounds * (DRAWS + 1)


def augment_images(config: ImageAugmentationConfig, pixels_N3HW: Tensor, uniform_NK: Tensor) -> Tensor:
    """Augment float pixels in [0, 1] by uniform numbers [N, config.draws]; the result has the same shape and range.

    The numbers must be on the CPU wherever the pixels are: the pool then sorts images by operation without waiting for
    the GPU.
    """
    if not config.operations:
        return pixels_N3HW
    draws_NK = uniform_NK.to(pixels_N3HW.device)
    for number in range(config.rounds):
        own_NK = _draws_of(number, config.rounds, draws_NK)
        if config.policy == "stack":
            pixels_N3HW = _apply(config.operations[number], pixels_N3HW, own_NK)
        else:
            choice_draw_N = uniform_NK[:, number * (FIRST_DRAWS + 1)]
            pixels_N3HW = _apply_one_each(config.operations, pixels_N3HW, choice_draw_N, own_NK)
    return pixels_N3HW


def _draws_of(number: int, rounds: int, draws_NK: Tensor) -> Tensor:
    """The numbers of one operation: what its first attempt needs, and those of further attempts from the row's end.

    Those are last, so that the first ones stay the same however many attempts there may be.
    """
    start, more = number * (FIRST_DRAWS + 1) + 1, DRAWS - FIRST_DRAWS
    first_NK = draws_NK[:, start : start + FIRST_DRAWS]
    end = rounds * (FIRST_DRAWS + 1) + number * more
    return torch.cat([first_NK, draws_NK[:, end : end + more]], dim=1)


def _apply_one_each(
    operations: tuple[dict[str, Any], ...], pixels_N3HW: Tensor, choice_draw_N: Tensor, draws_NK: Tensor
) -> Tensor:
    choice_N = (choice_draw_N * len(operations)).long().clamp(max=len(operations) - 1)
    result_N3HW = pixels_N3HW.clone()
    for index, operation in enumerate(operations):
        rows = (choice_N == index).nonzero().flatten()
        if len(rows):
            rows = rows.to(pixels_N3HW.device)
            result_N3HW[rows] = _apply(operation, pixels_N3HW[rows], draws_NK[rows])
    return result_N3HW


def _apply(operation: dict[str, Any], pixels_N3HW: Tensor, draws_NK: Tensor) -> Tensor:
    parameters = {key: value for key, value in operation.items() if key != "name"}
    return OPERATIONS[operation["name"]](pixels_N3HW, draws_NK, **parameters)


SIMCLR_VIEW = ImageAugmentationConfig.model_validate("simclr")
"""Both views of the loss SS-I, whatever the recipe's own image augmentation."""
