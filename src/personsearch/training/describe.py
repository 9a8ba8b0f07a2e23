"""Describes a recipe without loading weights: the model is built on the meta device, where tensors hold no data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from personsearch.bundle import Bundle, is_bundle
from personsearch.models.architecture import Architecture
from personsearch.models.build import create_model, resolve_architecture
from personsearch.models.config import RANDOM, ModelConfig
from personsearch.models.encoder import PersonEncoder
from personsearch.models.layers import frozen_prefixes
from personsearch.models.weights import HUB, Weights, refuse_absent_path
from personsearch.training.config import TrainConfig
from personsearch.training.objective import REJECTED, SWAPPED, Objective

PARTS = ("image tower", "text tower", "projections", "logit scale", "adaptation", "heads")
PROJECTIONS = ("visual.proj", "visual.head.proj", "text_projection", "image_projection")


@dataclass(frozen=True, slots=True)
class Count:
    """Numbers of parameters: all, and those that training changes."""

    total: int
    trained: int


@dataclass(frozen=True, slots=True)
class Passes:
    """Forward and backward passes of one pair through each tower in one training step.

    `teacher_forward` counts forward passes through both towers of the distillation teacher.
    """

    image_forward: int
    image_backward: int
    text_forward: int
    text_backward: int
    teacher_forward: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """A recipe in plain values.

    Token counts are what a tower's attention sees, prompts included; None for a tower without tokens, such as a
    ResNet. `caption_tokens` is what remains for a caption with its start and end. CSKT's prompts are keys and values
    only, so they cost less than other tokens: no query, no feed-forward, and one computation for the whole batch.
    `wrong_captions` is the share of the pairs whose caption passes through the text tower a second time, with one thing
    made wrong; `passes` does not count it.
    """

    method: str
    kind: str
    weights: str
    architecture: Mapping[str, Any]
    image_size: tuple[int, int]
    image_tokens: int | None
    text_tokens: int
    caption_tokens: int
    embedding_dim: int
    losses: Mapping[str, float]
    wrong_captions: float
    distillation: Mapping[str, Any] | None
    image_augmentation: Mapping[str, Any]
    text_augmentation: Mapping[str, Any]
    epochs: int
    batch_size: int
    chunk_size: int | None
    parameters: Mapping[str, Count]
    passes: Passes

    def summary(self) -> dict[str, str]:
        """Everything except the counts, one readable line each."""
        augmentation = self.image_augmentation
        operations = ", ".join(operation["name"] for operation in augmentation["operations"]) or "none"
        given = {name: value for name, value in self.text_augmentation.items() if value}
        each, teacher = self.passes, self.distillation
        return {
            "method": self.method,
            "model": f"{self.kind}, weights {self.weights}",
            "image": f"{' × '.join(map(str, self.image_size))} pixels, {self.image_tokens or 'no'} tokens",
            "text": f"{self.text_tokens} tokens, {self.caption_tokens} of them for the caption",
            "embedding": f"{self.embedding_dim} numbers",
            "losses": " + ".join(f"{weight:g} {name}" for name, weight in self.losses.items()),
            "distillation": f"{teacher['weight']:g} ({' + '.join(teacher['losses'])}) of {teacher['teacher']}"
            if teacher
            else "none",
            "image augmentation": f"{augmentation['policy']}: {operations}",
            "text augmentation": ", ".join(f"{name} {value}" for name, value in given.items()) or "none",
            "training": f"{self.epochs} epochs, batches of {self.batch_size}"
            + (f" in chunks of {self.chunk_size}" if self.chunk_size else ""),
            "passes of a pair": f"image {each.image_forward} forward, {each.image_backward} backward; "
            f"text {each.text_forward} forward, {each.text_backward} backward"
            + (f"; wrong captions of up to {self.wrong_captions:.0%} of the pairs" if self.wrong_captions else "")
            + (f"; teacher {each.teacher_forward} forward" if each.teacher_forward else ""),
        }


def describe(config: TrainConfig) -> Description:
    """Describe a recipe. A vocabulary that is not learnt yet counts at its maximum size.

    Raises:
        UserError: the architecture is unknown or cannot be built, or `frozen` matches nothing.
    """
    model = outline(config.model)
    architecture = model.architecture
    return Description(
        method=config.method,
        kind=architecture.kind,
        weights=config.model.weights,
        architecture=architecture.to_dict(),
        image_size=architecture.image_size,
        image_tokens=_image_tokens(model),
        text_tokens=_positions(model, "positional_embedding") or model.context_length,
        caption_tokens=model.context_length,
        embedding_dim=model.embedding_dim,
        losses=config.objective.losses,
        wrong_captions=config.objective.swapped_share if SWAPPED in config.objective.text_views else 0.0,
        distillation=None if config.distillation is None else config.distillation.model_dump(mode="json"),
        image_augmentation=config.image_augmentation.model_dump(mode="json"),
        text_augmentation=config.text_augmentation.model_dump(mode="json"),
        epochs=config.epochs,
        batch_size=config.batch_size,
        chunk_size=config.chunk_size,
        parameters=count_parameters(config, model),
        passes=_passes(config, model),
    )


def passes(config: TrainConfig) -> Passes:
    """The encoder passes of one pair in one training step, derived from the views that the recipe's losses read.

    Validation, and the division of noisy pairs before an epoch, are not counted.
    """
    return _passes(config, outline(config.model))


def outline(config: ModelConfig) -> PersonEncoder:
    """The model without data: names, shapes and what is frozen. Nothing is downloaded, whatever its weights are.

    A BERT from the hub counts as its architecture section says, BERT-base by default.

    Raises:
        UserError: the architecture is unknown or cannot be built, or `frozen` matches nothing.
    """
    folder = Path(config.weights)
    start = Bundle.open(folder) if is_bundle(folder) else None
    weights = Weights({}, config.weights, Architecture(start.spec.architecture), bundle=start) if start else None
    if start is None and config.architecture is None:
        refuse_absent_path(config.weights)
    if config.text_weights is not None and config.text_weights.startswith(HUB):
        config = config.model_copy(update={"text_weights": None})
    architecture = resolve_architecture(config, weights)
    if config.weights == RANDOM and isinstance(config.vocabulary, int):
        architecture = architecture.with_section("text", vocab_size=config.vocabulary)
    with torch.device("meta"):
        model = create_model(architecture)
    model.freeze(frozen_prefixes(config, architecture))
    return model


def count_parameters(config: TrainConfig, model: PersonEncoder) -> dict[str, Count]:
    """Parameters of each part that has any, and in total. A frozen logit scale is a constant and is not counted."""
    with torch.device("meta"):
        objective = Objective(config.objective, model.embedding_dim, model.patch_shape)
    counts = dict.fromkeys(PARTS, Count(0, 0))
    named = [(_part(name), value) for name, value in model.named_parts()]
    for part, parameter in [*named, *(("heads", value) for value in objective.parameters())]:
        if part == "logit scale" and not parameter.requires_grad:
            continue
        trained = parameter.numel() if parameter.requires_grad else 0
        counts[part] = Count(counts[part].total + parameter.numel(), counts[part].trained + trained)
    total = Count(sum(count.total for count in counts.values()), sum(count.trained for count in counts.values()))
    return {part: count for part, count in counts.items() if count.total} | {"total": total}


def _part(name: str) -> str:
    if name.startswith("adaptation."):
        return "adaptation"
    if name == "logit_scale":
        return "logit scale"
    if name.startswith(PROJECTIONS):
        return "projections"
    return "image tower" if name.startswith("visual.") else "text tower"


def _passes(config: TrainConfig, model: PersonEncoder) -> Passes:
    images = len({*config.objective.image_views} - {REJECTED})
    texts = len({*config.objective.text_views} - {SWAPPED})
    image_back, text_back = _crossed(model)
    # Gradient caching first encodes everything without a graph, to get the loss's gradient at the features.
    rounds = 2 if config.chunk_size is not None and config.chunk_size < config.batch_size else 1
    teacher = 0 if config.distillation is None else 1  # needs no graph, so one round is enough
    return Passes(rounds * images, images * image_back, rounds * texts, texts * text_back, teacher)


def _crossed(model: PersonEncoder) -> tuple[bool, bool]:
    """Whether gradients pass back through the image tower, and through the text tower."""
    trained = {_part(name) for name in model.trained_names()}
    image, text = (side in model.crosses or f"{side} tower" in trained for side in ("image", "text"))
    return image, text


def _image_tokens(model: PersonEncoder) -> int | None:
    positions = _positions(model, "visual.positional_embedding")
    return None if positions is None else positions + model.extra_image_tokens


def _positions(model: PersonEncoder, name: str) -> int | None:
    embedding = model.named_weights().get(name)
    return None if embedding is None else len(embedding)
