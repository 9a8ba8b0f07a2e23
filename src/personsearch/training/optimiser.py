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
    """TBPS-CLIP's AdamW by default. Weight decay spares biases and, unless asked, other one-dimensional parameters."""

    kind: Literal["adamw", "adam"] = "adamw"
    """`adamw` or `adam`."""

    lr: float = Field(default=1e-4, gt=0)
    """Peak learning rate."""

    betas: tuple[float, float] = (0.9, 0.98)
    """Decay rates of the two moments."""

    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator of an update."""

    weight_decay: float = Field(default=0.02, ge=0)
    """Weight decay."""

    decay_vectors: bool = False
    """Whether one-dimensional parameters decay too, such as the weights of norms; biases never do (CSKT: true)."""

    bias_lr_factor: float = Field(default=1.0, gt=0)
    """Multiplies the learning rate of biases (2 in CSKT)."""

    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient; null does not clip."""


class ScheduleConfig(Config):
    """A linear warm-up, then a cosine or steps."""

    start_lr: float = Field(default=1e-6, ge=0)
    """Learning rate of the first step."""

    end_lr: float = Field(default=5e-6, ge=0)
    """Learning rate at the end of the cosine."""

    warmup_epochs: float = Field(default=1.0, ge=0)
    """Epochs in which the rate rises linearly from `start_lr` to the optimiser's `lr`."""

    step_epochs: int | None = Field(default=None, ge=1)
    """Instead of the cosine, multiply the rate by `step_factor` every this many epochs; null for the cosine.
    """

    step_factor: float = Field(default=0.1, gt=0, le=1)
    """Factor of each such step."""

    per_epoch: bool = False
    """Whether the rate stays the same within an epoch, as in CSKT and CTLG; false changes it at every step."""


def make_optimiser(config: OptimiserConfig, parameters: Iterable[tuple[str, nn.Parameter]]) -> Optimizer:
    """An optimiser of the trained parameters in three groups: matrices (with weight decay), biases, other vectors."""
    trained = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    matrices = [parameter for _, parameter in trained if parameter.ndim >= 2]
    biases = [parameter for name, parameter in trained if parameter.ndim < 2 and name.endswith("bias")]
    others = [parameter for name, parameter in trained if parameter.ndim < 2 and not name.endswith("bias")]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay, LR_FACTOR: 1.0},
        {"params": biases, "weight_decay": 0.0, LR_FACTOR: config.bias_lr_factor},
        {"params": others, "weight_decay": config.weight_decay if config.decay_vectors else 0.0, LR_FACTOR: 1.0},
    ]
    kind = AdamW if config.kind == "adamw" else Adam
    groups = [group for group in groups if group["params"]]
    return kind(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)  # one pass over the weights


def learning_rate(schedule: ScheduleConfig, peak: float, step: int, *, steps_per_epoch: int, epochs: int) -> float:
    """The learning rate at `step` (from 0) of a run of `epochs`."""
    if schedule.per_epoch:
        step -= step % steps_per_epoch
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return schedule.start_lr + (peak - schedule.start_lr) * step / warmup
    if schedule.step_epochs is not None:
        return peak * schedule.step_factor ** (step // (schedule.step_epochs * steps_per_epoch))
    progress = (step - warmup) / max(1, steps_per_epoch * epochs - warmup)
    return schedule.end_lr + (peak - schedule.end_lr) * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimiser: Optimizer, value: float) -> None:
    """Set the rate of every group, multiplied by the group's factor."""
    for group in optimiser.param_groups:
        group["lr"] = value * group[LR_FACTOR]
