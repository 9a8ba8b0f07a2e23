"""Scores detected boxes against hand-drawn ones."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from personsearch.gallery.ingest.boxes import Boxes, overlap


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts over one or more frames: people, detected boxes, and boxes that are right."""

    people: int
    found: int
    right: int

    def __add__(self, other: "Agreement") -> "Agreement":
        """Both together."""
        return Agreement(self.people + other.people, self.found + other.found, self.right + other.right)

    @property
    def recall(self) -> float:
        """Share of the people who were found."""
        return self.right / self.people if self.people else 1.0

    @property
    def precision(self) -> float:
        """Share of the boxes that hold a person."""
        return self.right / self.found if self.found else 1.0


def agreement(people_N4: Boxes, found_M4: Boxes, *, least_overlap: float = 0.4) -> Agreement:
    """Pair people and boxes one to one, as many as overlap enough."""
    shared_NM = overlap(people_N4, found_M4)
    possible_NM = np.where(shared_NM >= least_overlap, 1 + shared_NM, 0.0)
    pairs = linear_sum_assignment(possible_NM, maximize=True)
    right = int((possible_NM[pairs] > 0).sum())
    return Agreement(len(people_N4), len(found_M4), right)
