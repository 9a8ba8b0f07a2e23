"""Recovers what cuts cost: trains the cut model on the data, with the whole model as its teacher."""

import hashlib
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from personsearch.augmentation.images import ImageAugmentationConfig
from personsearch.augmentation.text import TextAugmentationConfig
from personsearch.bundle import Bundle
from personsearch.compression.torch_bundle import weights_dtype
from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.models.config import ModelConfig
from personsearch.training.config import TrainConfig
from personsearch.training.distillation import DistillationConfig, DistillationLoss
from personsearch.training.objective import ObjectiveConfig
from personsearch.training.optimiser import OptimiserConfig, ScheduleConfig
from personsearch.training.train import run_identity, train_on

KEY_LENGTH = 12


class RecoverConfig(Config):
    """A short training of a cut model, with the whole model as its teacher. Weights keep the bundle's precision; fields
    without an explanation are as in a recipe.
    """

    distillation_weight: float = Field(default=1.0, gt=0)
    """Weight of the teacher's losses beside the objective's."""

    distillation_losses: tuple[DistillationLoss, ...] | None = Field(default=None, min_length=1)
    """Losses against the teacher; null takes `features` and `relations`, or `relations` alone where the dimensions
    differ.
    """

    temperature: float | None = Field(default=None, gt=0)
    """Divides the cosines of `relations`; null takes one over the teacher's logit scale."""

    frozen: tuple[str, ...] = ()
    """Prefixes of the names of parameters that are not trained."""

    objective: ObjectiveConfig = ObjectiveConfig(soft_label_alpha=0)
    """Losses on the data. Labels are hard by default: the teacher says what soft ones would."""

    image_augmentation: ImageAugmentationConfig = ImageAugmentationConfig()
    """What happens to each image."""

    text_augmentation: TextAugmentationConfig = TextAugmentationConfig()
    """What happens to each caption."""

    optimiser: OptimiserConfig = OptimiserConfig(clip_norm=1.0)
    """AdamW or Adam."""

    schedule: ScheduleConfig = ScheduleConfig(warmup_epochs=0.5)
    """How the learning rate rises and falls."""

    epochs: int = Field(default=3, ge=1)
    """Passes over the training pairs."""

    batch_size: int = Field(default=96, ge=2)
    """Pairs per optimiser step."""

    chunk_size: int | None = Field(default=None, ge=1)
    """Pairs in memory at once (gradient caching); null for the whole batch."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the computation; a CPU computes fp16 in fp32."""

    seed: int = Field(default=0, ge=0)
    """Seed of batches, augmentation and dropout."""

    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`."""

    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves torch's choice."""

    cache: Path | None = None
    """Folder of decoded images; in the user's cache folder when null."""


SHARED_WITH_A_RECIPE = RecoverConfig.model_fields.keys() & TrainConfig.model_fields.keys()


def recover(bundle: Bundle, teacher: Bundle, dataset: Dataset, out_dir: Path, config: RecoverConfig) -> Bundle:
    """Train a cut torch bundle beside the whole one; returns the recovered bundle.

    Each run has a folder of its own below `out_dir`, named by what it starts from and how it is trained: a finished
    run is found again, one that was killed resumes, and another model or setting starts a new one.

    Raises:
        UserError: one of them is not a torch bundle, they read images of different sizes, or the data set cannot be
            trained on.
    """
    recipe = recovery_recipe(bundle, teacher, config)
    # A recipe's identity has the path of the weights that it starts from, not their content.
    key = hashlib.sha256(f"{run_identity(recipe, dataset)} {bundle.fingerprint}".encode()).hexdigest()
    run = out_dir / key[:KEY_LENGTH]
    train_on(recipe, dataset, run)
    return Bundle.open(run / "bundle")


def check_recovery(config: RecoverConfig, dataset: Dataset, place: str) -> None:
    """Refuse what would stop a recovery, before the work that comes first. `place` is where its settings stand.

    Raises:
        UserError: there are fewer training captions than one batch takes, or no images to validate on.
    """
    captions = sum(len(record.captions) for record in dataset.records("train"))
    if captions < config.batch_size:
        raise UserError(
            f"{place}.batch_size={config.batch_size}: {dataset} has {captions} training captions; at most that many "
            "expected"
        )
    if not dataset.records("val"):
        raise UserError(f"{place}: {dataset}: split val has no images; the best epoch is chosen on it")


def recovery_recipe(bundle: Bundle, teacher: Bundle, config: RecoverConfig) -> TrainConfig:
    """The training that a recovery is."""
    spec = bundle.spec
    size = (spec.preprocessing.height, spec.preprocessing.width)
    same_dim = spec.embedding_dim == teacher.spec.embedding_dim
    losses: tuple[DistillationLoss, ...] = ("features", "relations") if same_dim else ("relations",)
    return TrainConfig(
        method=spec.method,
        model=ModelConfig(weights=str(bundle.folder), image_size=size, frozen=config.frozen, text_attention_dropout=0),
        distillation=DistillationConfig(
            teacher=teacher.folder,
            weight=config.distillation_weight,
            losses=config.distillation_losses or losses,
            temperature=config.temperature,
        ),
        weights_dtype="float16" if weights_dtype(bundle) == torch.float16 else "float32",
        **{name: getattr(config, name) for name in SHARED_WITH_A_RECIPE},
    )
