"""What a recipe says about the model."""

from typing import Any, Literal

from pydantic import Field

from personsearch.config import Config
from personsearch.images import DEFAULT_INTERPOLATION, Interpolation
from personsearch.models.architecture import Activation

Normalisation = Literal["imagenet", "clip", "half"]
MEAN_STD: dict[Normalisation, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
RANDOM = "random"


class ModelConfig(Config):
    """The dual encoder, and where its weights come from."""

    weights: str
    """A bundle's folder, a file (OpenAI, open_clip, safetensors), an open_clip pretrained tag, `hf-hub:owner/name`, or
    `random`.
    """

    image_weights: str | None = None
    """Image tower of a dual transformer, where `weights` is random: timm's name of a model, a file, a folder or
    `hf-hub:owner/name`.
    """

    text_weights: str | None = None
    """Text tower of a dual transformer, where `weights` is random: a transformers folder or `hf-hub:owner/name`."""

    architecture: str | dict[str, Any] | None = None
    """An open_clip name, an open_clip configuration {embed_dim, vision_cfg, text_cfg}, or {kind: dual_transformer, …};
    null when `weights` is a bundle.
    """

    activation: Activation | None = None
    """Activation in CLIP's blocks: `quick_gelu` for weights of OpenAI, MetaCLIP or DFN and what was trained from them,
    `gelu` for most others. Needed for a file that does not say it; null where weights or architecture do.
    """

    adaptation: dict[str, Any] | None = None
    """Small modules trained over a frozen CLIP: {kind: cskt | lora | coop | clip_adapter, …}; null trains the model
    itself.
    """

    image_size: tuple[int, int] = (224, 224)
    """Height and width of the input in pixels."""

    context_length: int | None = Field(default=None, ge=4)
    """Tokens of a caption; null takes the architecture's, 77 for CLIP."""

    vocabulary: int | str = "clip"
    """`clip` (the tokenizer of the architecture), the size of one learnt from the training captions, or a
    tokenizer.json, its folder or `hf-hub:owner/name`. A bundle brings its own.
    """

    pre_caption: bool | None = None
    """Prepare captions and queries as TBPS-CLIP does: lower case, spaces for `.!"()*#:;~`, the first 77 words. The
    bundle keeps it; null keeps what weights from a bundle have, and is false for others.
    """

    normalisation: Normalisation = "imagenet"
    """Mean and standard deviation of pixels: ImageNet's, CLIP's, or 0.5 each. A bundle brings its own."""

    interpolation: Interpolation = DEFAULT_INTERPOLATION
    """How images are resized, in training and in use: `bicubic` or `bilinear`. A bundle brings its own."""

    text_attention_dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout in the text tower's attention while training."""

    frozen: tuple[str, ...] = ("visual.conv1",)
    """Prefixes of parameter names that are not trained; by default the image tower's first layer (TBPS-CLIP)."""

    freeze_text_layers: tuple[int, ...] = ()
    """Layers of the text tower that are not trained, by number from 1 in `architecture`."""

    freeze_image_layers: tuple[int, ...] = ()
    """Layers of the image tower that are not trained, by number from 1 in `architecture`."""

    drop_text_layers: tuple[int, ...] = ()
    """Layers of the text tower left out of the model, by number from 1 in `architecture`."""

    drop_image_layers: tuple[int, ...] = ()
    """Layers of the image tower left out of the model, by number from 1 in `architecture`."""

    initial_logit_scale: float | None = Field(default=None, gt=0, le=100)
    """Factor of the similarities at the start (CLIP's is 100); null keeps that of the weights."""
