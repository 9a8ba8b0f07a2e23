"""Image operations on pictures whose result is known, and the pool's statistics."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torchvision import transforms
from torchvision.transforms.v2 import functional as reference

from personsearch.augmentation.images import CSKT, PRESETS, TBPS_CLIP_POOL, ImageAugmentationConfig, augment_images
from personsearch.augmentation.operations import DRAWS, FIRST_DRAWS, OPERATIONS, crop_boxes, erased_boxes
from personsearch.augmentation.randomness import uniform_rows
from personsearch.models.config import MEAN_STD

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
    whole = OPERATIONS["resized_crop"](pixels, half, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert torch.allclose(whole, pixels, atol=1e-5)
    assert torch.allclose(OPERATIONS["rotation"](pixels, half, degrees=15), pixels, atol=1e-5)


SAMPLES = 4000


def boxes(found: tuple[Tensor, ...]) -> np.ndarray:
    """Boxes as rows of top, left, height, width."""
    return torch.stack(found, dim=1).double().numpy()


def assert_same_distribution(found: np.ndarray, expected: np.ndarray) -> None:
    """Tops, lefts, heights, widths, areas and shapes, each by the Kolmogorov–Smirnov distance of two samples."""
    for ours, theirs in zip(*(_measures(rows) for rows in (found, expected)), strict=True):
        places = np.unique(np.concatenate([ours, theirs]))
        shares = [np.searchsorted(np.sort(each), places, side="right") / len(each) for each in (ours, theirs)]
        assert np.abs(shares[0] - shares[1]).max() < 0.05  # two equal ones of 4,000 are beyond it once in 10,000


def _measures(rows: np.ndarray) -> list[np.ndarray]:
    return [*rows.T, rows[:, 2] * rows[:, 3], rows[:, 3] / np.maximum(rows[:, 2], 1)]


@pytest.mark.parametrize("scale", [(0.9, 1.0), (0.6, 1.0), (0.2, 1.0)])
@pytest.mark.parametrize("size", [(224, 224), (384, 128), (128, 64)])
def test_crops_are_distributed_as_in_torchvision(size: tuple[int, int], scale: tuple[float, float]) -> None:
    """The ratio here is relative to the image's own, which is 1 where TBPS-CLIP crops."""
    torch.manual_seed(0)
    shape, ratio = size[1] / size[0], (3 / 4, 4 / 3)
    theirs = [
        transforms.RandomResizedCrop.get_params(torch.empty(3, *size), list(scale), [part * shape for part in ratio])
        for _ in range(SAMPLES)
    ]
    found = boxes(crop_boxes(torch.rand(SAMPLES, DRAWS), *size, scale=scale, ratio=ratio))
    assert_same_distribution(found, np.array(theirs))
    area = found[:, 2] * found[:, 3] / (size[0] * size[1])
    assert (area > scale[0] - 0.02).all()


def test_a_crop_that_never_fits_is_the_largest_central_one() -> None:
    """A square box cannot be 90 % of an image three times as high as wide."""
    square = (3.0, 3.0)
    found = boxes(crop_boxes(torch.rand(50, DRAWS), 384, 128, scale=(0.9, 1.0), ratio=square))
    expected = transforms.RandomResizedCrop.get_params(torch.empty(3, 384, 128), [0.9, 1.0], [1.0, 1.0])
    assert expected == (128, 0, 128, 128)
    assert (found == np.array(expected)).all()


def test_a_crop_is_enlarged_as_in_torchvision(pixels: Tensor) -> None:
    draws = torch.rand(64, DRAWS, generator=torch.Generator().manual_seed(3))
    found = OPERATIONS["resized_crop"](pixels, draws, scale=(0.3, 1.0))
    rows = boxes(crop_boxes(draws, 32, 16, scale=(0.3, 1.0), ratio=(3 / 4, 4 / 3))).astype(int).tolist()
    expected = torch.stack(
        [reference.resized_crop(image, *row, [32, 16]) for image, row in zip(pixels, rows, strict=True)]
    )
    inside = slice(2, -2)  # at its edges torchvision repeats the box's pixels, where these are mixed with the next ones
    assert torch.allclose(found[..., inside, inside], expected[..., inside, inside], atol=1e-4)


@pytest.mark.parametrize("size", [(224, 224), (384, 128)])
@pytest.mark.parametrize("area", [(0.02, 0.4), (0.1, 0.2), (0.6, 0.9)])
def test_erased_boxes_are_distributed_as_in_torchvision(size: tuple[int, int], area: tuple[float, float]) -> None:
    torch.manual_seed(1)
    picture = torch.zeros(3, *size)
    drawn = [transforms.RandomErasing.get_params(picture, area, (0.3, 3.3), [0.0]) for _ in range(SAMPLES)]
    theirs = np.array([each[:4] for each in drawn])
    whole = (theirs[:, 2] == size[0]) & (theirs[:, 3] == size[1])  # what torchvision returns for no box
    found = boxes(erased_boxes(torch.rand(SAMPLES, DRAWS), *size, area=area, ratio=(0.3, 3.3)))
    empty = found[:, 2] == 0
    assert empty.mean() == pytest.approx(whole.mean(), abs=0.03)
    assert_same_distribution(found[~empty], theirs[~whole])


def test_erasing_paints_the_colour_that_it_is_given(draws: Tensor) -> None:
    fill = (0.2, 0.4, 0.6)
    painted = OPERATIONS["erasing"](torch.ones(64, 3, 64, 32), draws, probability=1.0, area=(0.1, 0.2), fill=fill)
    colours = painted.permute(0, 2, 3, 1).flatten(0, 2).unique(dim=0)
    assert torch.allclose(colours, torch.tensor([fill, (1.0, 1.0, 1.0)]))


def test_cskt_erases_with_clips_mean_after_standardising() -> None:
    """Its released code standardises first and then fills with CLIP's mean as if that were pixels."""
    mean, std = (torch.tensor(values) for values in MEAN_STD["clip"])
    (erasing,) = (operation for operation in CSKT if operation["name"] == "erasing")
    assert torch.allclose((torch.tensor(erasing["fill"]) - mean) / std, mean, atol=1e-3)


def test_further_attempts_leave_the_first_numbers_alone(pixels: Tensor) -> None:
    """Each operation reads its first numbers from the front of the row, those of further attempts from the end."""
    config = ImageAugmentationConfig.model_validate("simclr")
    uniform = torch.from_numpy(uniform_rows(0, 0, range(64), config.draws))
    changed = uniform.clone()
    changed[:, config.rounds * (FIRST_DRAWS + 1) :] = 0.5
    flips = ImageAugmentationConfig(policy="stack", operations=({"name": "horizontal_flip", "probability": 0.5},) * 5)
    assert torch.equal(augment_images(flips, pixels, uniform), augment_images(flips, pixels, changed))
    assert not torch.equal(augment_images(config, pixels, uniform), augment_images(config, pixels, changed))


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
    assert names["ctlg"] == ["pad_crop", "horizontal_flip"]
    with pytest.raises(ValidationError, match=r"'simclr2' is not a preset; did you mean simclr\?"):
        ImageAugmentationConfig.model_validate("simclr2")
    with pytest.raises(ValidationError, match="'moco' is not a preset; known: tbps_clip_pool, simclr, cskt, ctlg"):
        ImageAugmentationConfig.model_validate("moco")


def test_two_views_of_an_image_share_no_numbers() -> None:
    views = [uniform_rows(5, 2, range(500), 4, stream) for stream in range(6)]
    for view, other in combinations(views, 2):
        assert abs(np.corrcoef(view.ravel(), other.ravel())[0, 1]) < 0.1
    assert np.array_equal(views[0], uniform_rows(5, 2, range(500), 4))


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"name": "sharpen"}, "'sharpen' is not an operation; known: "),
        ({"name": "colour_jitter"}, r"'colour_jitter' is not an operation; did you mean color_jitter\?"),
        ({"probability": 0.5}, "the name is missing; one of color_jitter, "),
        ({"name": "rotation", "degree": 3}, "augmentation rotation"),
        ({"name": "gaussian_blur", "kernel": 4}, "augmentation gaussian_blur: kernel=4: an odd number expected"),
        ({"name": "randaugment", "operations": 4}, "augmentation randaugment: operations=4"),
        ({"name": "erasing", "probability": 1, "area": [0.1, 0.2], "fill": [0]}, r"fill=\[0\]: three numbers"),
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
