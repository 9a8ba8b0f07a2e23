"""The whole recipe of one training run."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from personsearch.augmentation.images import ImageAugmentationConfig
from personsearch.augmentation.text import TextAugmentationConfig
from personsearch.config import Config
from personsearch.models.config import ModelConfig
from personsearch.training.distillation import DistillationConfig
from personsearch.training.mixup import MixupConfig
from personsearch.training.noise import NoiseConfig
from personsearch.training.objective import IMAGE, TEXT, ObjectiveConfig
from personsearch.training.optimiser import OptimiserConfig, ScheduleConfig

WHERE_NOT_WHAT = {"device", "threads", "cache", "checkpoint_every", "log_every"}


class TrainConfig(Config):
    """`batch_size` is global, over all processes; a `chunk_size` below it turns on gradient caching.

    `patience` epochs without a better validation R@1 stop a run. `threads` 0 leaves torch's choice.
    `cache` holds decoded images, by default in the user's cache folder. `train_fraction` draws that share of the
    training identities (few-shot); 0 `epochs` make a bundle of the start as it is (zero-shot). `noise` weighs each
    epoch's pairs by how much they seem to belong together; `distillation` adds what a frozen teacher asks.
    `caption_noise`, for experiments, puts that share of the training captions to wrong images. A CPU computes in fp32
    where fp16 is asked for.
    """

    method: str = "tbps-clip-simplified"
    model: ModelConfig
    objective: ObjectiveConfig = ObjectiveConfig()
    image_augmentation: ImageAugmentationConfig = ImageAugmentationConfig()
    text_augmentation: TextAugmentationConfig = TextAugmentationConfig()
    mixup: MixupConfig = MixupConfig()
    noise: NoiseConfig | None = None
    distillation: DistillationConfig | None = None
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    epochs: int = Field(default=5, ge=0)
    batch_size: int = Field(default=320, ge=2)
    chunk_size: int | None = Field(default=None, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    validate_every: int = Field(default=1, ge=1)
    patience: int | None = Field(default=None, ge=1)
    weights_dtype: Literal["float32", "float16"] = "float32"
    train_fraction: float = Field(default=1.0, gt=0, le=1)
    caption_noise: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)
    checkpoint_every: int = Field(default=200, ge=1)
    log_every: int = Field(default=10, ge=1)
    device: str = "auto"
    threads: int = Field(default=0, ge=0)
    cache: Path | None = None

    @model_validator(mode="after")
    def _mixed_features_go_alone(self) -> "TrainConfig":
        if self.mixup.level == "features":
            views = (*self.objective.image_views, *self.objective.text_views)
            if self.chunk_size is not None or views != (IMAGE, TEXT):
                raise ValueError("mixup.level features: takes no chunk_size and losses of one image and one text view")
        return self

    @model_validator(mode="after")
    def _a_teacher_reads_the_plain_pairs(self) -> "TrainConfig":
        if self.distillation is not None:
            if self.mixup.level == "features":
                raise ValueError("distillation: takes no mixup.level features, which a teacher does not see")
            if IMAGE not in self.objective.image_views or TEXT not in self.objective.text_views:
                raise ValueError("distillation: takes losses that read the image and the text, such as n_itc")
        return self
