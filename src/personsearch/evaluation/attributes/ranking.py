"""How well scores put the images that have a thing above those that have not.

Shapes: N images of which it is known.
"""

import numpy as np
from numpy.typing import NDArray


def area_under_curve(score_N: NDArray[np.floating], has_it_N: NDArray[np.bool_]) -> float:
    """AUC: the chance that an image that has it scores above one that has not; a tie counts half.

    Raises:
        ValueError: all images have it, or none.
    """
    positives = int(has_it_N.sum())
    negatives = len(has_it_N) - positives
    if positives == 0 or negatives == 0:
        raise ValueError(f"{positives} images that have it and {negatives} that have not; some of both expected")
    from scipy.stats import rankdata  # late: the service starts without it, a second sooner

    ranks_N = rankdata(score_N)
    return float((ranks_N[has_it_N].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def precision_at(k: int, score_N: NDArray[np.floating], has_it_N: NDArray[np.bool_]) -> float:
    """Share of the k best images that have it; of equal scores the first image counts as better."""
    return float(has_it_N[_best_first(score_N)[:k]].mean())


def average_precision(score_N: NDArray[np.floating], has_it_N: NDArray[np.bool_]) -> float:
    """Mean, over the images that have it, of the precision at each; random order gives about the base rate."""
    ranks_P = np.flatnonzero(has_it_N[_best_first(score_N)]) + 1
    return float((np.arange(1, len(ranks_P) + 1) / ranks_P).mean())


def _best_first(score_N: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.argsort(-score_N, kind="stable")
