"""The configuration of one training run, as a recipe holds it."""

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

# Fields that change where and how a run computes but not its weights: they stay out of its identity.
WHERE_NOT_WHAT = {"device", "threads", "cache", "checkpoint_every", "log_every"}


class TrainConfig(Config):
    """A recipe: all that decides a training run."""

    method: str = "tbps-clip-simplified"
    """Name of the method, for the model card and the registry."""

    model: ModelConfig
    """The model, and where its weights come from."""

    objective: ObjectiveConfig = ObjectiveConfig()
    """What training minimises."""

    image_augmentation: ImageAugmentationConfig = ImageAugmentationConfig()
    """What happens to each image in each epoch."""

    text_augmentation: TextAugmentationConfig = TextAugmentationConfig()
    """What happens to each caption in each epoch."""

    mixup: MixupConfig = MixupConfig()
    """Mixing of pairs (CTLG)."""

    noise: NoiseConfig | None = None
    """Before each epoch, weigh every pair by how much image and caption seem to belong together (docs/noise.md); `{}`
    for the defaults, null trusts all.
    """

    distillation: DistillationConfig | None = None
    """Losses against a frozen teacher (docs/distillation.md); null for none."""

    optimiser: OptimiserConfig = OptimiserConfig()
    """AdamW or Adam."""

    schedule: ScheduleConfig = ScheduleConfig()
    """How the learning rate rises and falls."""

    epochs: int = Field(default=5, ge=0)
    """Passes over the training pairs; 0 makes a bundle of the start as it is (zero-shot)."""

    batch_size: int = Field(default=320, ge=2)
    """Pairs per optimiser step, over all processes together."""

    chunk_size: int | None = Field(default=None, ge=1)
    """Pairs in memory at once: below `batch_size` it turns on gradient caching, with the same gradient. Lower it when
    memory is full.
    """

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the computation; a CPU computes fp16 in fp32."""

    validate_every: int = Field(default=1, ge=1)
    """Epochs between validations; the last epoch is always validated."""

    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better validation R@1, or mAP at the same R@1, after which training stops; null trains all."""

    weights_dtype: Literal["float32", "float16"] = "float32"
    """Precision of the weights in the bundle; float16 halves its size."""

    train_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the training identities, drawn by the seed (few-shot)."""

    caption_noise: float = Field(default=0.0, ge=0, lt=1)
    """For experiments: share of the training captions assigned to wrong images."""

    seed: int = Field(default=0, ge=0)
    """Seed of the start, batches, augmentation and dropout; the same seed gives the same weights."""

    checkpoint_every: int = Field(default=200, ge=1)
    """Steps between checkpoints within an epoch; a killed run resumes from the last one."""

    log_every: int = Field(default=10, ge=1)
    """Steps between logged losses."""

    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`."""

    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves torch's choice."""

    cache: Path | None = None
    """Folder of decoded images; in the user's cache folder when null."""

    @model_validator(mode="after")
    def _mixed_features_go_alone(self) -> "TrainConfig":
        if self.mixup.level == "features":
            views = (*self.objective.image_views, *self.objective.text_views)
            if self.chunk_size is not None or views != (IMAGE, TEXT):
                raise ValueError(
                    "mixup.level features: needs chunk_size null and losses that read one image view and one text view"
                )
        return self

    @model_validator(mode="after")
    def _parts_stay_in_their_cells(self) -> "TrainConfig":
        augmentation = self.image_augmentation
        if self.objective.reads_patches and (augmentation.policy == "pool" or augmentation.operations):
            raise ValueError(
                "objective.losses.layout: needs image_augmentation: {policy: stack, operations: []}, because a layout "
                "says where each part is"
            )
        return self

    @model_validator(mode="after")
    def _a_teacher_reads_the_plain_pairs(self) -> "TrainConfig":
        if self.distillation is not None:
            if self.mixup.level == "features":
                raise ValueError(
                    "distillation: does not work with mixup.level features, which the teacher does not see"
                )
            if IMAGE not in self.objective.image_views or TEXT not in self.objective.text_views:
                raise ValueError("distillation: needs losses that read the image and the text, such as n_itc")
        return self
