"""What a recipe says about the model."""

from typing import Any, Literal

from pydantic import Field

from personsearch.config import Config

Normalisation = Literal["imagenet", "clip", "half"]
MEAN_STD: dict[Normalisation, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
RANDOM = "random"


class ModelConfig(Config):
    """The dual encoder, and where its weights come from.

    `architecture` is an open_clip name, an open_clip configuration (embed_dim, vision_cfg, text_cfg), or absent when
    `weights` is a bundle. `weights` is a bundle's folder, a file (OpenAI, open_clip, safetensors), an open_clip
    pretrained tag, `hf-hub:owner/name`, or `random`, which must be said. `vocabulary` is CLIP's (or the one that the
    open_clip name asks for), the size of one learnt from the training captions, or a tokenizer.json, its folder or
    hf-hub:owner/name; a bundle brings its own. `frozen` are prefixes of parameter names (METHODS: locking the bottom
    layer); `freeze_*_layers` are whole layers out of training and `drop_*_layers` are left out of the model, both by
    their numbers in `architecture`, from 1 (METHODS: compression). `initial_logit_scale` replaces the loaded one, as
    a factor (100 is CLIP's). `adaptation` trains small modules over a frozen CLIP: {kind: cskt | lora | coop |
    clip_adapter, …}. A dual transformer (architecture {kind: dual_transformer, …}) may take each tower's weights from
    its own place.
    """

    weights: str
    image_weights: str | None = None
    text_weights: str | None = None
    architecture: str | dict[str, Any] | None = None
    adaptation: dict[str, Any] | None = None
    image_size: tuple[int, int] = (224, 224)
    context_length: int | None = Field(default=None, ge=4)
    vocabulary: int | str = "clip"
    normalisation: Normalisation = "imagenet"
    text_attention_dropout: float = Field(default=0.05, ge=0, lt=1)
    frozen: tuple[str, ...] = ("visual.conv1",)
    freeze_text_layers: tuple[int, ...] = ()
    freeze_image_layers: tuple[int, ...] = ()
    drop_text_layers: tuple[int, ...] = ()
    drop_image_layers: tuple[int, ...] = ()
    initial_logit_scale: float | None = Field(default=None, gt=0, le=100)
