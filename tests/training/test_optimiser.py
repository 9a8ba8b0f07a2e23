"""Learning rate by hand and as released, weight decay where it belongs."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from personsearch.augmentation.images import ImageAugmentationConfig
from personsearch.training.objective import ObjectiveConfig
from personsearch.training.optimiser import (
    OptimiserConfig,
    ScheduleConfig,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)
from personsearch.training.recipe import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes" / "paper"


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 1e-6), (5, (1e-6 + 1e-4) / 2), (10, 1e-4), (30, (1e-4 + 5e-6) / 2), (50, 5e-6)],
)
def test_warm_up_is_linear_then_cosine(step: int, rate: float) -> None:
    assert learning_rate(ScheduleConfig(), 1e-4, step, steps_per_epoch=10, epochs=5) == pytest.approx(rate)


def test_without_warm_up_the_peak_comes_first() -> None:
    schedule = ScheduleConfig(warmup_epochs=0)
    assert learning_rate(schedule, 1e-4, 0, steps_per_epoch=10, epochs=1) == pytest.approx(1e-4)


def test_biases_norms_and_scalars_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    model.scale = nn.Parameter(torch.ones([]))
    frozen = nn.Linear(2, 2)
    model.frozen = frozen.requires_grad_(False)
    optimiser = make_optimiser(OptimiserConfig(weight_decay=0.02, bias_lr_factor=2), model.named_parameters())
    decayed, biases, others = optimiser.param_groups
    assert [parameter.shape for parameter in decayed["params"]] == [(3, 4)]
    assert [len(group["params"]) for group in (biases, others)] == [2, 2]
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.02, 0, 0]
    set_learning_rate(optimiser, 1e-3)
    assert [group["lr"] for group in optimiser.param_groups] == [1e-3, 2e-3, 1e-3]


@pytest.mark.parametrize(("step", "rate"), [(5, 0.55e-4), (10, 1e-4), (199, 1e-4), (200, 1e-5), (400, 1e-6)])
def test_steps_instead_of_a_cosine(step: int, rate: float) -> None:
    """CTLG: ten warm-up epochs, then a tenth every twenty."""
    schedule = ScheduleConfig(start_lr=1e-5, warmup_epochs=1, step_epochs=20)
    assert learning_rate(schedule, 1e-4, step, steps_per_epoch=10, epochs=70) == pytest.approx(rate)


def test_vectors_but_no_biases_decay_where_a_recipe_asks() -> None:
    """CSKT's released code: the weights of ln_3 decay."""
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    config = OptimiserConfig(kind="adam", weight_decay=4e-5, decay_vectors=True)
    decays = {
        id(parameter): group["weight_decay"]
        for group in make_optimiser(config, model.named_parameters()).param_groups
        for parameter in group["params"]
    }
    assert [decays[id(p)] for p in (model[0].weight, model[1].weight)] == [4e-5, 4e-5]
    assert [decays[id(p)] for p in (model[0].bias, model[1].bias)] == [0, 0]


def released_cskt_rate(epoch: int) -> float:
    """IRRA's scheduler, which CSKT uses, at the epoch from 0."""
    if epoch < 5:
        return 3e-4 * (0.1 * (1 - epoch / 5) + epoch / 5)
    return 0.5 * 3e-4 * (1 + math.cos(math.pi * (epoch - 5) / 55))


def released_ctlg_rate(epoch: int) -> float:
    """`gradual_warmup` in the first ten epochs, and StepLR."""
    return 1e-4 * (epoch + 1) / 10 if epoch < 10 else 1e-4 * 0.1 ** (epoch // 20)


@pytest.mark.parametrize(
    ("recipe", "released", "epochs"), [("cskt", released_cskt_rate, 60), ("ctlg", released_ctlg_rate, 70)]
)
def test_a_paper_recipe_has_the_released_rate_of_each_epoch(
    recipe: str, released: Callable[[int], float], epochs: int
) -> None:
    config = read_recipe(RECIPES / f"{recipe}.yaml")
    assert config.epochs == epochs
    for step in range(7 * epochs):
        rate = learning_rate(config.schedule, config.optimiser.lr, step, steps_per_epoch=7, epochs=epochs)
        assert rate == pytest.approx(released(step // 7), rel=1e-9, abs=1e-15), step


def test_ctlg_is_trained_as_released() -> None:
    """What the paper leaves open and its code says."""
    config = read_recipe(RECIPES / "ctlg.yaml")
    assert config.model.normalisation == "imagenet"
    assert config.image_augmentation == ImageAugmentationConfig.model_validate("ctlg")
    assert (config.optimiser.kind, config.optimiser.weight_decay) == ("adam", 0)
    assert config.text_augmentation.approximate_text == 0.5
    assert (config.mixup.level, config.mixup.probability, config.mixup.ratio) == ("pixels", 0.5, 0.5)


def test_cskt_is_trained_as_released() -> None:
    config = read_recipe(RECIPES / "cskt.yaml")
    assert (config.model.normalisation, config.model.interpolation) == ("clip", "bilinear")
    assert config.image_augmentation == ImageAugmentationConfig.model_validate("cskt")
    assert (config.optimiser.weight_decay, config.optimiser.decay_vectors) == (4e-5, True)


@pytest.mark.parametrize(("epoch", "alpha"), [(0.0, 0.0), (0.5, 0.25), (1.0, 0.5), (4.0, 0.5)])
def test_soft_labels_rise_over_the_first_epoch(epoch: float, alpha: float) -> None:
    assert ObjectiveConfig().alpha(epoch) == alpha


def test_unknown_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="'mvs' is not a loss; did you mean mvs_"):
        ObjectiveConfig(losses={"mvs": 1.0})
