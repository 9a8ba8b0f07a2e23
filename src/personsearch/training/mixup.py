"""Mixup of pairs (CTLG): of pixels with joined captions, as its released code does, or of features, as its paper says.

Shapes: N pairs.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from personsearch.config import Config
from personsearch.models.mixing import Mixing


class MixupConfig(Config):
    """Mixing of each pair with another one of the batch (CTLG)."""

    level: Literal["none", "pixels", "features"] = "none"
    """`pixels` mixes images and joins captions, `features` mixes what the first block of each tower gives."""

    probability: float = Field(default=0.5, ge=0, le=1)
    """Share of the pairs that are mixed."""

    ratio: float = Field(default=0.5, ge=0, le=1)
    """Share of itself that a mixed pair keeps."""


def draw_mixing(config: MixupConfig, uniform_N2: NDArray[np.float32]) -> Mixing:
    """Draw each pair's partner: the first number in [0, 1) decides whether it is mixed, the second with which pair."""
    pairs_N = np.arange(len(uniform_N2))
    others = len(uniform_N2) - 1
    # The partner is 1 to N − 1 places further round the batch, so that no pair is mixed with itself.
    steps_N = 1 + np.minimum(uniform_N2[:, 1].astype(np.float64) * others, max(0, others - 1)).astype(np.int64)
    mixed_N = (uniform_N2[:, 0] < config.probability) & (others > 0)
    partner_N = np.where(mixed_N, (pairs_N + steps_N) % len(pairs_N), pairs_N)
    ratio_N = np.where(mixed_N, config.ratio, 1.0).astype(np.float32)
    return Mixing(torch.from_numpy(partner_N), torch.from_numpy(ratio_N))


def join_captions(captions: Sequence[str], mixing: Mixing) -> list[str]:
    """Append the partner's caption to a mixed pair's; a side whose share is zero loses its caption."""
    joined = []
    for caption, partner, ratio in zip(captions, mixing.partner_N.tolist(), mixing.ratio_N.tolist(), strict=True):
        shares = ((caption, ratio), (captions[partner], 1 - ratio))
        joined.append(" ".join(text for text, share in shares if share > 0))
    return joined
