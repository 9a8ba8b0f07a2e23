"""CLIP-Adapter: a small MLP on the image feature, everything else frozen (arXiv 2110.04544), a baseline of TBPS-CLIP.

Shapes: N items, H height, W width, D embedding dimension.
"""

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from personsearch.config import Config
from personsearch.models.adaptation.base import Adaptation


class ClipAdapterConfig(Config):
    """CLIP-Adapter: the image feature becomes `ratio` · MLP(feature) + (1 − `ratio`) · feature."""

    kind: Literal["clip_adapter"]
    """Names this adaptation."""

    ratio: float = Field(default=0.4, ge=0, le=1)
    """Share of the adapted feature."""

    reduction: int = Field(default=4, ge=1)
    """The MLP narrows the feature by this factor."""


class ClipAdapter(Adaptation):
    """A bottleneck of two layers. The second starts at zero: then the features' directions are CLIP's."""

    fits_any_embedding = False

    def __init__(self, config: ClipAdapterConfig, clip: Any) -> None:
        super().__init__()
        dimension = clip.visual.output_dim
        self.ratio = config.ratio
        self.down = nn.Linear(dimension, max(1, dimension // config.reduction), bias=False)
        self.up = nn.Linear(max(1, dimension // config.reduction), dimension, bias=False)
        nn.init.zeros_(self.up.weight)

    def image_features(self, clip: Any, pixels_N3HW: Tensor) -> Tensor:
        feature_ND = super().image_features(clip, pixels_N3HW)
        adapted_ND: Tensor = self.up(self.down(feature_ND).relu())
        return self.ratio * adapted_ND + (1 - self.ratio) * feature_ND
