"""AdamW or Adam, and the learning rate per iteration."""

import math
from collections.abc import Iterable
from typing import Literal

from pydantic import Field
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from personsearch.config import Config

LR_FACTOR = "lr_factor"


class OptimiserConfig(Config):
    """TBPS-CLIP's AdamW by default. Weight decay spares biases, norms and other one-dimensional parameters.

    `bias_lr_factor` multiplies the learning rate of biases (2 in CSKT).
    """

    kind: Literal["adamw", "adam"] = "adamw"
    lr: float = Field(default=1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    bias_lr_factor: float = Field(default=1.0, gt=0)
    clip_norm: float | None = Field(default=None, gt=0)


class ScheduleConfig(Config):
    """Linear from `start_lr` to the optimiser's lr over `warmup_epochs`, then a cosine to `end_lr`.

    With `step_epochs` there is no cosine: the rate is multiplied by `step_factor` every so many epochs of the run.
    """

    start_lr: float = Field(default=1e-6, ge=0)
    end_lr: float = Field(default=5e-6, ge=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    step_epochs: int | None = Field(default=None, ge=1)
    step_factor: float = Field(default=0.1, gt=0, le=1)


def make_optimiser(config: OptimiserConfig, parameters: Iterable[tuple[str, nn.Parameter]]) -> Optimizer:
    """One group that decays, one of biases and one of other vectors, over the named parameters that are trained."""
    trained = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    matrices = [parameter for _, parameter in trained if parameter.ndim >= 2]
    biases = [parameter for name, parameter in trained if parameter.ndim < 2 and name.endswith("bias")]
    others = [parameter for name, parameter in trained if parameter.ndim < 2 and not name.endswith("bias")]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay, LR_FACTOR: 1.0},
        {"params": biases, "weight_decay": 0.0, LR_FACTOR: config.bias_lr_factor},
        {"params": others, "weight_decay": 0.0, LR_FACTOR: 1.0},
    ]
    kind = AdamW if config.kind == "adamw" else Adam
    groups = [group for group in groups if group["params"]]
    return kind(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)  # one pass over the weights


def learning_rate(schedule: ScheduleConfig, peak: float, step: int, *, steps_per_epoch: int, epochs: int) -> float:
    """The learning rate of step `step` (from 0) of a run of `epochs`."""
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return schedule.start_lr + (peak - schedule.start_lr) * step / warmup
    if schedule.step_epochs is not None:
        return peak * schedule.step_factor ** (step // (schedule.step_epochs * steps_per_epoch))
    progress = (step - warmup) / max(1, steps_per_epoch * epochs - warmup)
    return schedule.end_lr + (peak - schedule.end_lr) * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimiser: Optimizer, value: float) -> None:
    """Set it in every group, times the group's factor."""
    for group in optimiser.param_groups:
        group["lr"] = value * group[LR_FACTOR]
