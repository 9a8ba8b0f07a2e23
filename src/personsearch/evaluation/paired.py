"""The margin of chance in the difference between two models that answered the same queries.

Shapes: Q queries.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.files import replacing

FIRST_RANKS = "first_ranks.npz"
NORMAL_95 = 1.96  # standard errors either side of the mean that cover 95 % of a normal distribution
ANYTHING = 100.0


@dataclass(frozen=True)
class FirstRanks:
    """For each text query [Q], the 1-based rank of its person's best image (0 without one), and the person."""

    rank: NDArray[np.int64]
    person_id: NDArray[np.int64]

    def write(self, folder: Path) -> None:
        """Save them as `first_ranks.npz`."""
        with replacing(folder / FIRST_RANKS) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, rank=self.rank, person_id=self.person_id)

    @classmethod
    def read(cls, folder: Path) -> "FirstRanks":
        """Read what an evaluation wrote."""
        with np.load(folder / FIRST_RANKS, allow_pickle=False) as arrays:
            return cls(arrays["rank"], arrays["person_id"])


def r1_margin(one: FirstRanks, other: FirstRanks) -> float:
    """Half the 95 % confidence interval of the difference in R@1, in percentage points; 100 with fewer than two people.

    Only queries on which the two models disagree count, so this is far narrower than the interval of either R@1. The
    queries about one person tend to fail or succeed together; the sample therefore consists of people, not of queries.
    The variance of the mean is C / (C - 1) · Σ over C people of (Σ over the person's queries of d - mean d)² / Q²
    (Liang and Zeger, Biometrika 1986).

    Raises:
        ValueError: the models were not asked the same queries.
    """
    if not np.array_equal(one.person_id, other.person_id):
        raise ValueError(f"{len(one.person_id)} and {len(other.person_id)} queries; the same ones expected")
    sought = one.rank > 0  # a query whose person is not in the gallery tells nothing about either model
    difference_Q = (other.rank[sought] == 1).astype(float) - (one.rank[sought] == 1)
    persons, person_Q = np.unique(one.person_id[sought], return_inverse=True)
    if len(persons) < 2:
        return ANYTHING
    apart = np.bincount(person_Q, difference_Q - difference_Q.mean())
    variance = len(persons) / (len(persons) - 1) * (apart**2).sum() / len(difference_Q) ** 2
    return float(100 * NORMAL_95 * np.sqrt(variance))
