"""Distillation from a frozen teacher: its features of each batch, and the student's losses against them.

Shapes: N pairs of this process, H height, W width, L tokens, D embedding dimension.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from personsearch.bundle import Bundle, Preprocessing
from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.losses.distillation import feature_distance, relation_divergence
from personsearch.models.build import BuiltModel, load_bundle_model
from personsearch.training.objective import IMAGE, TEXT, Features

DistillationLoss = Literal["features", "relations"]


class DistillationConfig(Config):
    """Losses that pull the model towards a frozen teacher. Pairs that `noise` distrusts are taught like all others."""

    teacher: Path
    """Folder of the teacher's torch bundle."""

    weight: float = Field(default=1.0, gt=0)
    """Weight of the sum of `losses` beside the objective's."""

    losses: tuple[DistillationLoss, ...] = Field(default=("features", "relations"), min_length=1)
    """`features` pulls each vector to the teacher's, which must have the same dimension; `relations` the similarities
    within the batch.
    """

    temperature: float | None = Field(default=None, gt=0)
    """Divides the cosines of `relations`; null takes one over the teacher's logit scale."""

    def identity(self) -> dict[str, object]:
        """The part of a run's identity that comes from here: the teacher's fingerprint stands in for its path.

        Raises:
            UserError: the teacher is not a bundle.
        """
        return self.model_dump(mode="json") | {"teacher": Bundle.open(self.teacher).fingerprint}


@dataclass(frozen=True, slots=True)
class Teacher:
    """A bundle's model without gradient or dropout. It takes the student's pixels and standardises them its own way."""

    config: DistillationConfig
    built: BuiltModel
    student_preprocessing: Preprocessing

    @torch.no_grad()
    def __call__(self, pixels_N3HW: Tensor, ids_NL: Tensor, *, at_a_time: int | None = None) -> Features:
        """The teacher's features of a batch: the student's images, the captions in the teacher's own tokens."""
        model, size = self.built.model, at_a_time or len(pixels_N3HW)
        images = [model.encode_image(self._restandardised(part)) for part in torch.split(pixels_N3HW, size)]
        texts = [model.encode_text_by_length(part) for part in torch.split(ids_NL, size)]
        return Features({IMAGE: torch.cat(images)}, {TEXT: torch.cat(texts)}, model.logit_scale())

    def losses(self, student: Features, teacher: Features) -> dict[str, Tensor]:
        """Each loss of the global batch by name, unweighted."""
        values: dict[DistillationLoss, Callable[[], Tensor]] = {
            "features": lambda: _both_towers(student, teacher),
            "relations": lambda: relation_divergence(
                student.cosines(), teacher.cosines(), temperature=self.temperature(teacher)
            ),
        }
        return {f"distil_{name}": values[name]() for name in self.config.losses}

    def temperature(self, teacher: Features) -> float | Tensor:
        """The divisor of the batch's cosines."""
        return 1 / teacher.logit_scale if self.config.temperature is None else self.config.temperature

    def _restandardised(self, pixels_N3HW: Tensor) -> Tensor:
        own, given = self.built.preprocessing, self.student_preprocessing
        if (own.mean, own.std) == (given.mean, given.std):
            return pixels_N3HW
        old_mean, old_std, mean, std = (
            torch.tensor(values, device=pixels_N3HW.device)[:, None, None]
            for values in (given.mean, given.std, own.mean, own.std)
        )
        return (pixels_N3HW * old_std + old_mean - mean) / std


def load_teacher(config: DistillationConfig, student: BuiltModel, out_dir: Path, device: torch.device) -> Teacher:
    """Load the teacher of a student that is trained into `out_dir`.

    Raises:
        UserError: the teacher is not a torch bundle, lies in the student's own output, takes images of another size,
            or has another embedding dimension while `features` is among the losses.
    """
    if config.teacher.resolve().is_relative_to(out_dir.resolve()):
        raise UserError(f"distillation.teacher: {config.teacher} is inside the student's own output {out_dir}")
    built = load_bundle_model(Bundle.open(config.teacher))
    own, given = built.preprocessing, student.preprocessing
    if (own.height, own.width) != (given.height, given.width):
        raise UserError(
            f"distillation.teacher: {config.teacher} takes images of {own.height}×{own.width},"
            f" expected the student's {given.height}×{given.width}"
        )
    dims = built.model.embedding_dim, student.model.embedding_dim
    if "features" in config.losses and dims[0] != dims[1]:
        raise UserError(
            f"distillation.losses: features: {config.teacher} has vectors of {dims[0]} numbers,"
            f" the student of {dims[1]}; use losses [relations], which allows that"
        )
    built.model.to(device).requires_grad_(False)
    return Teacher(config, built, given)


def _both_towers(student: Features, teacher: Features) -> Tensor:
    image = feature_distance(student.images[IMAGE], teacher.images[IMAGE])
    return (image + feature_distance(student.texts[TEXT], teacher.texts[TEXT])) / 2
