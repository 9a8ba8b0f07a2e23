"""How far chance may reach into the difference between two models that were asked the same queries.

Shapes: Q queries.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.files import replacing

FIRST_RANKS = "first_ranks.npz"
NORMAL_95 = 1.96  # standard errors on either side of a mean that hold 95 % of a normal distribution
ANYTHING = 100.0


@dataclass(frozen=True)
class FirstRanks:
    """Of each text query [Q]: the 1-based rank of its person's best image, 0 without one, and who the person is."""

    rank: NDArray[np.int64]
    person_id: NDArray[np.int64]

    def write(self, folder: Path) -> None:
        """Keep them as `first_ranks.npz`."""
        with replacing(folder / FIRST_RANKS) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, rank=self.rank, person_id=self.person_id)

    @classmethod
    def read(cls, folder: Path) -> "FirstRanks":
        """Those that an evaluation wrote."""
        with np.load(folder / FIRST_RANKS, allow_pickle=False) as arrays:
            return cls(arrays["rank"], arrays["person_id"])


def r1_margin(one: FirstRanks, other: FirstRanks) -> float:
    """The difference of their R@1 is known to ± so many points (95 %); 100 where fewer than two persons were sought.

    Only queries on which the two disagree count, which makes it far narrower than the margin of either R@1. A person's
    queries fail and succeed together, so the persons are what is sampled and not the queries: the variance of the mean
    is C / (C - 1) · Σ over C persons of (Σ over its queries of d - mean d)² / Q² (Liang and Zeger, Biometrika 1986).

    Raises:
        ValueError: they were not asked the same queries.
    """
    if not np.array_equal(one.person_id, other.person_id):
        raise ValueError(f"{len(one.person_id)} and {len(other.person_id)} queries; the same ones expected")
    sought = one.rank > 0
    difference_Q = (other.rank[sought] == 1).astype(float) - (one.rank[sought] == 1)
    persons, person_Q = np.unique(one.person_id[sought], return_inverse=True)
    if len(persons) < 2:
        return ANYTHING
    apart = np.bincount(person_Q, difference_Q - difference_Q.mean())
    variance = len(persons) / (len(persons) - 1) * (apart**2).sum() / len(difference_Q) ** 2
    return float(100 * NORMAL_95 * np.sqrt(variance))
