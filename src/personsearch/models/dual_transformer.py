"""CTLG's dual Transformer (Wu et al., 2023): an overlapping-patch ViT and a BERT, compared at a fixed temperature.

Shapes: N items, H height, W width, L tokens, D embedding dimension.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from personsearch.config import Config, describe_validation_error
from personsearch.errors import UserError
from personsearch.models.architecture import Architecture
from personsearch.models.bert import Bert, BertSettings, read_settings
from personsearch.models.encoder import PersonEncoder, TextGroup
from personsearch.models.mixing import Mixing
from personsearch.models.overlap_vit import OverlapViT, OverlapViTConfig
from personsearch.models.position import Grid
from personsearch.models.pretrained import bert_folder

IMAGE_PROJECTION, TEXT_PROJECTION = "image_projection.weight", "text_projection.weight"


class DualTransformerConfig(Config):
    """ViT-B/16 with stride 12 and BERT-base by default, which meet at 768 without a projection."""

    kind: Literal["dual_transformer"] = "dual_transformer"
    """Names this architecture."""

    embed_dim: int = Field(default=768, ge=1)
    """Length of the embeddings; a tower of another width gets a linear projection."""

    temperature: float = Field(default=0.005, gt=0)
    """Divides similarities; the paper's low value is what weights hard negatives."""

    vision_cfg: OverlapViTConfig = OverlapViTConfig()
    """The image tower."""

    text_cfg: BertSettings = BertSettings()
    """The text tower."""


class DualTransformer(PersonEncoder):
    """`visual`, `text` and, where widths differ, their projections; the architecture is kept with its defaults."""

    scale: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        config = _parse(architecture)
        self.architecture = Architecture(config.model_dump(mode="json"))
        self.context_length = config.text_cfg.context_length
        self.embedding_dim = config.embed_dim
        self.visual = OverlapViT(config.vision_cfg)
        self.text = Bert(config.text_cfg)
        self.image_projection = _projection(config.vision_cfg.width, config.embed_dim)
        self.text_projection = _projection(config.text_cfg.hidden_size, config.embed_dim)
        # A constant of the architecture: it moves with the model but is no weight of the bundle.
        self.register_buffer("scale", torch.tensor(1 / config.temperature), persistent=False)

    def image_features(self, pixels_N3HW: Tensor, mixing: Mixing | None = None) -> Tensor:
        features_ND: Tensor = self.image_projection(self.visual(pixels_N3HW, mixing))
        return features_ND.float()

    def text_features(self, ids_NL: Tensor, mixing: Mixing | None = None) -> Tensor:
        """Padding changes nothing: attention masks it."""
        features_ND: Tensor = self.text_projection(self.text(ids_NL, mixing))
        return features_ND.float()

    def text_features_in_groups(self, ids_NL: Tensor, groups: Sequence[TextGroup]) -> Tensor:
        features_ND: Tensor = self.text_projection(self.text.forward_groups(ids_NL, groups))
        return features_ND.float()

    def named_weights(self) -> dict[str, Tensor]:
        return dict(self.state_dict(keep_vars=True))

    def load_named_weights(self, state: Mapping[str, Tensor]) -> None:
        self.load_state_dict(state)

    def mixed_features(self, pixels_N3HW: Tensor, ids_NL: Tensor, mixing: Mixing) -> tuple[Tensor, Tensor]:
        return self.image_features(pixels_N3HW, mixing), self.text_features(ids_NL, mixing)

    @property
    def token_embedding_name(self) -> str:
        return "text.bert.embeddings.word_embeddings.weight"

    def _projections(self, state: Mapping[str, Tensor], basis_DR: Tensor) -> dict[str, Tensor]:
        widths = {
            IMAGE_PROJECTION: self.architecture["vision_cfg"]["width"],
            TEXT_PROJECTION: self.architecture["text_cfg"]["hidden_size"],
        }
        projected = {}
        for name, width in widths.items():
            if width == basis_DR.shape[1]:  # then the smaller model has no projection in which to put the basis
                raise UserError(f"embedding: {width} numbers are what a tower gives without a projection")
            projected[name] = basis_DR.T @ state.get(name, torch.eye(width))
        return projected

    def load_pretrained(self, image_weights: str | None, text_weights: str | None) -> None:
        """Each tower's weights from its own place (`timm_state`, `bert_folder`); None leaves it as it is.

        Raises:
            UserError: nothing is there, it cannot be read, or it does not fit.
        """
        if image_weights is not None:
            self.visual.load_pretrained(image_weights)
        if text_weights is not None:
            self.text.load_pretrained(bert_folder(text_weights))

    def logit_scale(self) -> Tensor:
        """1 / temperature: fixed, and above CLIP's 100."""
        return self.scale

    def set_text_attention_dropout(self, probability: float) -> None:
        self.text.set_attention_dropout(probability)


def complete_architecture(
    architecture: Architecture, *, image_size: Grid, context_length: int | None, text_weights: str | None
) -> Architecture:
    """The architecture at a recipe's sizes; its text tower is like the BERT at `text_weights`, if that is given.

    Raises:
        UserError: there is no BERT, or text_cfg asks for another one.
    """
    text = dict(architecture.section("text"))
    if context_length is not None:
        text["context_length"] = context_length
    if text_weights is not None:
        text = _like_bert(text, text_weights)
    return architecture.with_section("image", image_size=image_size).with_section("text", **text)


def _like_bert(text: dict[str, Any], text_weights: str) -> dict[str, Any]:
    """The settings of its config.json, except dropout that the recipe sets itself."""
    settings = read_settings(bert_folder(text_weights), text.get("context_length"))
    for key, value in text.items():
        if not key.endswith("_dropout_prob") and settings.get(key, value) != value:
            raise UserError(f"model.architecture.text_cfg.{key}: {value!r}, but {text_weights} has {settings[key]!r}")
    return settings | text


def _parse(architecture: Architecture) -> DualTransformerConfig:
    try:
        return DualTransformerConfig.model_validate(architecture.to_dict())
    except ValidationError as error:
        raise UserError(f"model.architecture: {describe_validation_error(error, DualTransformerConfig)}") from error


def _projection(width: int, embedding_dim: int) -> nn.Module:
    return nn.Identity() if width == embedding_dim else nn.Linear(width, embedding_dim, bias=False)
