"""AdamW and its learning rate per iteration."""

import math

from pydantic import Field
from torch import nn
from torch.optim import AdamW

from personsearch.config import Config


class OptimiserConfig(Config):
    """TBPS-CLIP's AdamW. Weight decay spares biases, norms and other one-dimensional parameters."""

    lr: float = Field(default=1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)


class ScheduleConfig(Config):
    """Linear from `start_lr` to the optimiser's lr over `warmup_epochs`, then a cosine to `end_lr`."""

    start_lr: float = Field(default=1e-6, ge=0)
    end_lr: float = Field(default=5e-6, ge=0)
    warmup_epochs: float = Field(default=1.0, ge=0)


def make_optimiser(config: OptimiserConfig, model: nn.Module) -> AdamW:
    """One group that decays and one that does not, over the parameters that are trained."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps)


def learning_rate(schedule: ScheduleConfig, peak: float, step: int, *, steps_per_epoch: int, epochs: int) -> float:
    """The learning rate of step `step` (from 0) of a run of `epochs`."""
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return schedule.start_lr + (peak - schedule.start_lr) * step / warmup
    progress = (step - warmup) / max(1, steps_per_epoch * epochs - warmup)
    return schedule.end_lr + (peak - schedule.end_lr) * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimiser: AdamW, value: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = value
