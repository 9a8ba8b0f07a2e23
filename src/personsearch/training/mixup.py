"""Mixup of pairs (CTLG): of pixels with joined captions, as its released code does, or of features, as its paper says.

Shapes: N pairs of a batch, K of them mixed, P pairs of the data set.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from personsearch.config import Config
from personsearch.models.mixing import Mixing


class MixupConfig(Config):
    """Mixing of pairs (CTLG)."""

    level: Literal["none", "pixels", "features"] = "none"
    """`pixels` mixes images and joins captions with any pair of the training split, `features` mixes what the first
    block of each tower gives with another pair of the batch.
    """

    probability: float = Field(default=0.5, ge=0, le=1)
    """Share of the pairs that are mixed."""

    ratio: float = Field(default=0.5, ge=0, le=1)
    """Share of itself that a mixed pair keeps."""


def draw_mixing(config: MixupConfig, uniform_N2: NDArray[np.float32]) -> Mixing:
    """Draw partners from the batch: the first number in [0, 1) decides whether a pair is mixed, the second how."""
    pairs_N = np.arange(len(uniform_N2))
    others = len(uniform_N2) - 1
    # The partner is 1 to N − 1 places further round the batch, so that no pair is mixed with itself.
    steps_N = 1 + np.minimum(uniform_N2[:, 1].astype(np.float64) * others, max(0, others - 1)).astype(np.int64)
    mixed_N = (uniform_N2[:, 0] < config.probability) & (others > 0)
    partner_N = np.where(mixed_N, (pairs_N + steps_N) % len(pairs_N), pairs_N)
    ratio_N = np.where(mixed_N, config.ratio, 1.0).astype(np.float32)
    return Mixing(torch.from_numpy(partner_N), torch.from_numpy(ratio_N))


@dataclass(frozen=True, slots=True)
class Partners:
    """The mixed pairs of a batch by their rows [K], and what pairs of the data set they are mixed with [K]."""

    rows_K: NDArray[np.int64]
    pairs_K: NDArray[np.int64]
    ratio: float

    def blend(self, images_N3HW: Tensor, others_K3HW: Tensor) -> Tensor:
        """The images, those at `rows_K` with their share of the others."""
        rows_K = torch.from_numpy(self.rows_K).to(images_N3HW.device)
        mixed_K3HW = self.ratio * images_N3HW[rows_K] + (1 - self.ratio) * others_K3HW
        return images_N3HW.index_copy(0, rows_K, mixed_K3HW)

    def join(self, caption: str, other: str) -> str:
        """Both captions; a side whose share is zero loses its own."""
        return " ".join(text for text, share in ((caption, self.ratio), (other, 1 - self.ratio)) if share > 0)


def draw_partners(config: MixupConfig, uniform_N2: NDArray[np.float32], pairs: int) -> Partners:
    """Draw partners from all `pairs`: the first number in [0, 1) decides whether a pair is mixed, the second how.

    Of the whole data set, as in the released code: a partner from the batch would also be there on its own, and its own
    caption would count as a negative of an image that shows half of it.
    """
    rows_K = np.flatnonzero(uniform_N2[:, 0] < config.probability)
    pairs_K = (uniform_N2[rows_K, 1].astype(np.float64) * pairs).astype(np.int64)
    return Partners(rows_K, np.minimum(pairs_K, pairs - 1), config.ratio)
