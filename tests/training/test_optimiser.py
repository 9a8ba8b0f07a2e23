"""Learning rate by hand, weight decay where it belongs."""

import pytest
import torch
from torch import nn

from personsearch.training.objective import ObjectiveConfig
from personsearch.training.optimiser import (
    OptimiserConfig,
    ScheduleConfig,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)


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


@pytest.mark.parametrize(("epoch", "alpha"), [(0.0, 0.0), (0.5, 0.25), (1.0, 0.5), (4.0, 0.5)])
def test_soft_labels_rise_over_the_first_epoch(epoch: float, alpha: float) -> None:
    assert ObjectiveConfig().alpha(epoch) == alpha


def test_unknown_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="'mvs' is not a loss; did you mean mvs_"):
        ObjectiveConfig(losses={"mvs": 1.0})
