"""Assigns captions to wrong images on purpose, to study training under noise ("noisy correspondence").

Shapes: P pairs of the data set, K of them noisy.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from personsearch.data.records import ImageRecord


def shuffle_captions(records: Sequence[ImageRecord], share: float, seed: int) -> list[ImageRecord]:
    """`share` of all captions, with their back-translations, shuffled among their places; the rest stay.

    A shuffled caption falls back to its own person by chance only, about once in as many as there are persons. The
    places follow from the seed, and those of smaller shares lie within those of larger ones. The protocol of RDE
    (Qin et al., CVPR 2024).
    """
    wordings_P = [
        wording
        for record in records
        for wording in zip(record.captions, record.captions_bt or record.captions, strict=True)
    ]
    generator, source_P = np.random.default_rng(seed), np.arange(len(wordings_P))
    noisy_K = generator.permutation(len(wordings_P))[: round(share * len(wordings_P))]
    source_P[noisy_K] = generator.permutation(noisy_K)
    shuffled_P = iter([wordings_P[source] for source in source_P])
    return [_with_wordings(record, [next(shuffled_P) for _ in record.captions]) for record in records]


def _with_wordings(record: ImageRecord, wordings: Sequence[tuple[str, str]]) -> ImageRecord:
    return replace(record, captions=[first for first, _ in wordings], captions_bt=[second for _, second in wordings])
