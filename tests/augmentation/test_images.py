"""Image operations on pictures whose result is known, and the pool's statistics."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from personsearch.augmentation.images import PRESETS, TBPS_CLIP_POOL, ImageAugmentationConfig, augment_images
from personsearch.augmentation.operations import DRAWS, OPERATIONS
from personsearch.augmentation.randomness import uniform_rows

PARAMETERS = {
    "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "probability": 0.8},
    "rotation": {"degrees": 30},
    "resized_crop": {"scale": (0.3, 1.0)},
    "grayscale": {"probability": 0.5},
    "horizontal_flip": {"probability": 0.5},
    "vertical_flip": {"probability": 0.5},
    "erasing": {"probability": 1.0, "area": (0.1, 0.2)},
    "gaussian_blur": {"kernel": 7},
    "pad_crop": {"padding": 4},
    "autoaugment": {},
    "randaugment": {"operations": 2, "magnitude": 9},
    "trivialaugment": {},
}


@pytest.fixture
def pixels() -> Tensor:
    return torch.rand(64, 3, 32, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def draws() -> Tensor:
    return torch.rand(64, DRAWS, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_image_does_not_depend_on_its_batch(name: str, pixels: Tensor, draws: Tensor) -> None:
    together = OPERATIONS[name](pixels, draws, **PARAMETERS[name])
    alone = torch.cat([OPERATIONS[name](pixels[i : i + 1], draws[i : i + 1], **PARAMETERS[name]) for i in range(64)])
    assert together.shape == pixels.shape
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.min() >= 0
    assert together.max() <= 1 + 1e-6
    assert not torch.equal(together, pixels)


def test_colours_change_as_in_torchvision(pixels: Tensor) -> None:
    draws = torch.tensor([[0.9, 0.2, 0.7, 0, 0, 0]])
    found = OPERATIONS["color_jitter"](pixels[:1], draws, brightness=0.1, contrast=0.1, saturation=0.1)
    expected = reference.adjust_brightness(pixels[:1], 1.08)
    expected = reference.adjust_saturation(reference.adjust_contrast(expected, 0.94), 1.04)
    assert torch.allclose(found, expected, atol=2e-3)


def test_rotation_turns_as_in_torchvision(pixels: Tensor) -> None:
    smooth = reference.gaussian_blur(pixels[:1], [5, 5])
    found = OPERATIONS["rotation"](smooth, torch.ones(1, DRAWS), degrees=15)
    expected = reference.rotate(smooth, 15, interpolation=reference.InterpolationMode.BILINEAR)
    other = reference.rotate(smooth, -15, interpolation=reference.InterpolationMode.BILINEAR)
    assert min((found - expected).abs().mean(), (found - other).abs().mean()) < 1e-4


def test_a_full_crop_and_no_rotation_change_nothing(pixels: Tensor) -> None:
    half = torch.full((64, DRAWS), 0.5)
    whole = OPERATIONS["resized_crop"](pixels, half, scale=(1.0, 1.0), ratio=(0.5, 0.5))
    assert torch.allclose(whole, pixels, atol=1e-5)
    assert torch.allclose(OPERATIONS["rotation"](pixels, half, degrees=15), pixels, atol=1e-5)


def test_erasing_covers_the_area_it_should(draws: Tensor) -> None:
    erased = OPERATIONS["erasing"](torch.ones(64, 3, 128, 64), draws, probability=0.5, area=(0.1, 0.2))
    share = (erased == 0).float().mean(dim=(1, 2, 3))
    chosen = draws[:, 0] < 0.5
    assert torch.equal(share > 0, chosen)
    assert share[chosen].min() > 0.09
    assert share[chosen].max() < 0.21


def test_pad_crop_shifts_by_whole_pixels_to_anywhere(draws: Tensor) -> None:
    dot = torch.zeros(64, 3, 9, 9)
    dot[:, :, 4, 4] = 1
    shifted = OPERATIONS["pad_crop"](dot, draws, padding=2)
    places = shifted[:, 0].nonzero()[:, 1:]
    assert len(places) == 64
    assert places.amin(0).tolist() == [2, 2]
    assert places.amax(0).tolist() == [6, 6]
    assert torch.equal(OPERATIONS["pad_crop"](dot, draws, padding=0), dot)


def test_jitter_spares_its_share_and_turns_the_hue(pixels: Tensor, draws: Tensor) -> None:
    jittered = OPERATIONS["color_jitter"](pixels, draws, hue=0.1, probability=0.5)
    changed = (jittered != pixels).flatten(1).any(dim=1)
    assert torch.equal(changed, draws[:, 4] < 0.5)
    expected = reference.adjust_hue(pixels[:1], (draws[0, 3].item() * 2 - 1) * 0.1)
    assert torch.allclose(OPERATIONS["color_jitter"](pixels[:1], draws[:1], hue=0.1), expected, atol=1e-4)


def test_flips_mirror(pixels: Tensor, draws: Tensor) -> None:
    for name, axis in (("horizontal_flip", -1), ("vertical_flip", -2)):
        assert torch.equal(OPERATIONS[name](pixels, draws, probability=1.0), pixels.flip(axis))
        assert torch.equal(OPERATIONS[name](pixels, draws, probability=0.0), pixels)


def test_the_pool_draws_two_of_six_with_replacement() -> None:
    """With only the sure operations, an image stays itself when both draws fall on others or cancel."""
    pool = ImageAugmentationConfig(
        operations=(
            {"name": "horizontal_flip", "probability": 1.0},
            *({"name": "color_jitter"} for _ in range(5)),
        )
    )
    uniform = torch.from_numpy(uniform_rows(0, 0, range(4000), pool.draws))
    picture = torch.rand(1, 3, 4, 4).expand(4000, -1, -1, -1)
    unchanged = (augment_images(pool, picture, uniform) - picture).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert unchanged.float().mean().item() == pytest.approx((5 / 6) ** 2 + (1 / 6) ** 2, abs=0.03)


def test_the_default_is_the_published_pool() -> None:
    names = [operation["name"] for operation in TBPS_CLIP_POOL]
    assert names == ["color_jitter", "rotation", "resized_crop", "grayscale", "horizontal_flip", "erasing"]
    assert ImageAugmentationConfig().draws == 2 * (DRAWS + 1)


def test_a_stack_applies_all_and_an_empty_list_none(pixels: Tensor) -> None:
    both = ImageAugmentationConfig(
        policy="stack",
        operations=({"name": "horizontal_flip", "probability": 1.0}, {"name": "vertical_flip", "probability": 1.0}),
    )
    uniform = torch.zeros(64, both.draws)
    assert torch.equal(augment_images(both, pixels, uniform), pixels.flip(-1).flip(-2))
    none = ImageAugmentationConfig(operations=())
    assert augment_images(none, pixels, torch.zeros(64, none.draws)) is pixels


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_named_alone_and_written_out_in_full(name: str, pixels: Tensor) -> None:
    config = ImageAugmentationConfig.model_validate(name)
    assert ImageAugmentationConfig.model_validate(config.model_dump(mode="json")).draws == config.draws
    augmented = augment_images(config, pixels, torch.from_numpy(uniform_rows(0, 0, range(64), config.draws)))
    assert augmented.shape == pixels.shape
    assert 0 <= augmented.min() <= augmented.max() <= 1 + 1e-6


def test_presets_are_the_published_ones() -> None:
    assert ImageAugmentationConfig.model_validate("tbps_clip_pool") == ImageAugmentationConfig()
    names = {name: [operation["name"] for operation in preset["operations"]] for name, preset in PRESETS.items()}
    assert names["simclr"] == ["resized_crop", "color_jitter", "grayscale", "gaussian_blur", "horizontal_flip"]
    assert names["cskt"] == ["horizontal_flip", "pad_crop", "erasing"]
    with pytest.raises(ValidationError, match="'moco' is not a preset; known: tbps_clip_pool, simclr, cskt"):
        ImageAugmentationConfig.model_validate("moco")


def test_two_views_of_an_image_share_no_numbers() -> None:
    views = [uniform_rows(5, 2, range(500), 4, stream) for stream in range(6)]
    for view, other in combinations(views, 2):
        assert abs(np.corrcoef(view.ravel(), other.ravel())[0, 1]) < 0.1
    assert np.array_equal(views[0], uniform_rows(5, 2, range(500), 4))


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"name": "sharpen"}, "'sharpen' is not an operation"),
        ({"name": "rotation", "degree": 3}, "augmentation rotation"),
        ({"name": "gaussian_blur", "kernel": 4}, "augmentation gaussian_blur: kernel=4: an odd number expected"),
        ({"name": "randaugment", "operations": 4}, "augmentation randaugment: operations=4"),
    ],
)
def test_wrong_operations_are_refused(operation: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ImageAugmentationConfig(operations=(operation,))


def test_random_numbers_belong_to_the_sample() -> None:
    rows = uniform_rows(5, 2, [7, 8, 9], 14)
    assert np.array_equal(rows[[2, 0]], uniform_rows(5, 2, [9, 7], 14))
    others = [uniform_rows(6, 2, [7], 14), uniform_rows(5, 3, [7], 14), rows[1:2]]
    assert not any(np.array_equal(rows[:1], other) for other in others)
    assert abs(uniform_rows(0, 0, range(2000), 14).mean() - 0.5) < 0.01


def test_importing_the_training_runs_no_operation() -> None:
    """Defaults are built at import; only an operation that someone wrote is tried."""
    code = """
from personsearch.augmentation.operations import OPERATIONS
tried = []
OPERATIONS.update({name: lambda *_, name=name, **__: tried.append(name) for name in OPERATIONS})
import personsearch.training.train
from personsearch.augmentation.images import ImageAugmentationConfig
ImageAugmentationConfig(operations=({"name": "rotation", "degrees": 3},))
print(tried)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['rotation']\n"
