"""What training minimises: named losses of one forward pass, summed by their weights.

Shapes: N pairs of the global batch, D embedding dimension.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, field_validator
from torch import Tensor

from personsearch.config import Config
from personsearch.losses.n_itc import n_itc
from personsearch.losses.r_itc import r_itc
from personsearch.losses.soft_labels import identity_targets
from personsearch.models.clip import Features

LOSSES = ("n_itc", "r_itc")
TOTAL = "loss"


class ObjectiveConfig(Config):
    """Weights of the losses by name, and the soft labels' share α of the model's own prediction.

    α rises linearly from 0 to `soft_label_alpha` over the first `soft_label_ramp_epochs`.
    """

    losses: dict[str, float] = Field(default={"n_itc": 1.0, "r_itc": 1.0}, min_length=1)
    soft_label_alpha: float = Field(default=0.5, ge=0, lt=1)
    soft_label_ramp_epochs: float = Field(default=1.0, ge=0)

    @field_validator("losses")
    @classmethod
    def _known(cls, losses: dict[str, float]) -> dict[str, float]:
        for name in losses:
            if name not in LOSSES:
                raise ValueError(f"{name!r} is no loss; known: {', '.join(LOSSES)}")
        return losses

    def alpha(self, epoch: float) -> float:
        """α at a fractional epoch."""
        if self.soft_label_ramp_epochs == 0:
            return self.soft_label_alpha
        return self.soft_label_alpha * min(1.0, epoch / self.soft_label_ramp_epochs)


@dataclass(frozen=True, slots=True)
class Objective:
    """The weighted sum of named losses."""

    weights: Mapping[str, float]

    def __call__(self, features: Features, person_ids_N: Tensor, alpha: float) -> dict[str, Tensor]:
        """Each loss by name, unweighted, and their weighted sum as `loss`."""
        logits_NN = features.logit_scale * features.image_ND @ features.text_ND.T
        targets_NN = identity_targets(person_ids_N)
        values = {name: _loss(name, logits_NN, targets_NN, alpha) for name in self.weights}
        total = sum((weight * values[name] for name, weight in self.weights.items()), start=logits_NN.new_zeros(()))
        return {TOTAL: total, **values}


def _loss(name: str, logits_NN: Tensor, targets_NN: Tensor, alpha: float) -> Tensor:
    if name == "n_itc":
        return n_itc(logits_NN, targets_NN, alpha=alpha)
    return r_itc(logits_NN, targets_NN)
