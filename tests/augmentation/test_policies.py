"""The three automatic policies: their tables and magnitudes are torchvision's, each image makes its own choice."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms import autoaugment as reference
from torchvision.transforms.v2 import functional

from personsearch.augmentation import policies
from personsearch.augmentation.operations import DRAWS
from personsearch.augmentation.policies import (
    NAMES,
    PRIMITIVES,
    RANDOM_CHOICES,
    autoaugment,
    randaugment,
    trivialaugment,
)

TESTED_ALONE = ("rotate", "translate_x", "translate_y")  # torchvision turns the other way and drops part-pixels
SPELLED = {"colour": "Color", "autocontrast": "AutoContrast"}


def spelled(name: str) -> str:
    """Torchvision's name of a primitive."""
    return SPELLED.get(name) or "".join(part.capitalize() for part in name.split("_"))


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    noise = torch.rand(512, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    return (functional.gaussian_blur(noise, [5, 5]) * 255).round() / 255


@pytest.fixture(scope="module")
def draws() -> Tensor:
    return torch.rand(512, DRAWS, generator=torch.Generator().manual_seed(1))


def middle_of(index: int, count: int) -> float:
    """A number in [0, 1) that chooses `index` of `count`."""
    return (index + 0.5) / count


def test_the_table_is_the_published_one() -> None:
    published = reference.AutoAugment().policies
    ours = [
        tuple((spelled(name), probability, level) for name, probability, level in policy)
        for policy in policies.AUTOAUGMENT
    ]
    plain = {"AutoContrast", "Equalize", "Invert"}  # torchvision writes None for a magnitude without meaning
    for found, given in zip(ours, published, strict=True):
        for (name, probability, level), (other, other_probability, other_level) in zip(found, given, strict=True):
            assert (name, probability) == (other, other_probability)
            assert level == other_level or name in plain


def test_magnitudes_and_signs_are_those_of_torchvision() -> None:
    spaces = (
        (policies._moderate(32, 16), reference.RandAugment()._augmentation_space(31, (32, 16))),
        (policies.WIDE, reference.TrivialAugmentWide()._augmentation_space(31)),
    )
    for ours, theirs in spaces:
        assert [spelled(name) for name in NAMES[:RANDOM_CHOICES]] == list(theirs)
        for name, strongest in ours.items():
            magnitudes, signed = theirs[spelled(name)]
            assert signed == (name not in policies.UNSIGNED)
            reach = abs(float(magnitudes[-1]) - float(magnitudes[0])) / (255 if name == "solarize" else 1)
            assert strongest == pytest.approx(reach, rel=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES[:RANDOM_CHOICES] if name not in TESTED_ALONE])
@pytest.mark.parametrize("sign", [0.25, 0.75])
def test_each_choice_does_what_torchvision_does(name: str, sign: float, pixels: Tensor) -> None:
    draws = torch.tensor([[middle_of(NAMES.index(name), RANDOM_CHOICES), sign, 0, 0, 0, 0]])
    found = randaugment(pixels[:1], draws, operations=1)
    magnitudes, signed = reference.RandAugment()._augmentation_space(31, (32, 16))[spelled(name)]
    magnitude = float(magnitudes[9]) if magnitudes.ndim else 0.0
    expected = reference._apply_op(
        (pixels[:1] * 255).to(torch.uint8), spelled(name), -magnitude if signed and sign > 0.5 else magnitude,
        interpolation=reference.InterpolationMode.BILINEAR, fill=None,
    )  # fmt: skip
    assert (found * 255 - expected.float()).abs().mean() < 1.0


@pytest.mark.parametrize("policy", [autoaugment, randaugment, trivialaugment])
def test_each_image_makes_its_own_choice(policy: object, pixels: Tensor, draws: Tensor) -> None:
    assert callable(policy)
    together = policy(pixels, draws)
    alone = torch.cat([policy(pixels[i : i + 1], draws[i : i + 1]) for i in range(0, 512, 16)])
    assert torch.allclose(together[::16], alone, atol=1e-5)
    assert together.shape == pixels.shape
    assert 0 <= together.min() <= together.max() <= 1 + 1e-6
    unchanged = (together - pixels).abs().amax(dim=(1, 2, 3)) < 1e-6
    assert 0 < unchanged.float().mean() < 0.2


def test_autoaugment_draws_policy_and_probabilities(pixels: Tensor) -> None:
    choose = middle_of(12, 25)  # (equalize, never), (equalize, .8)
    never, always = [[choose, 0.0, 0, 0.8, 0, 0]], [[choose, 0.0, 0, 0.7, 0, 0]]
    assert torch.equal(autoaugment(pixels[:1], torch.tensor(never)), pixels[:1])
    assert torch.equal(autoaugment(pixels[:1], torch.tensor(always)), PRIMITIVES["equalize"](pixels[:1], pixels))


def test_magnitude_none_moves_nothing_and_nonsense_is_refused(pixels: Tensor, draws: Tensor) -> None:
    geometric = (draws * 6).long().float().clamp(max=5) / RANDOM_CHOICES + 0.01  # identity, shears, moves, rotation
    assert torch.allclose(randaugment(pixels, geometric, magnitude=0), pixels, atol=1e-5)
    for wrong in ({"operations": 4}, {"magnitude": 31}):
        with pytest.raises(ValueError, match="expected"):
            randaugment(pixels, draws, **wrong)
