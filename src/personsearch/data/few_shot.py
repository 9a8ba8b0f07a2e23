"""A share of the training data, drawn by identities, for few-shot experiments.

TBPS-CLIP reports 1, 5 and 10 % without saying how they are drawn. Here every image and caption of a seeded choice of
identities is taken, and smaller shares lie within larger ones of the same seed: 1 % ⊂ 5 % ⊂ 10 %.

Shapes: K rows that are kept.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.data.records import ImageRecord


def few_shot_rows(records: Sequence[ImageRecord], fraction: float, seed: int) -> NDArray[np.int64]:
    """The rows of `fraction` of the identities (rounded, at least one), ascending [K].

    Raises:
        ValueError: `fraction` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction {fraction}: a number above 0 and up to 1 expected")
    person_ids = np.array([record.person_id for record in records], dtype=np.int64)
    identities = np.unique(person_ids)
    order = np.random.default_rng(seed).permutation(identities)
    kept = order[: max(1, round(fraction * len(identities)))]
    return np.flatnonzero(np.isin(person_ids, kept))
