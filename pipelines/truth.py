"""What is true of the demo's invented people, so that it can say whether an answer is right.

The truth of a crop is known where its image was drawn: from the `attributes` of the data set, or from the ground truth
beside rendered footage. Nothing is known of real people.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personsearch.data.facts.attributes import facts_of_attributes
from personsearch.data.facts.catalogue import colour_fact
from personsearch.data.facts.known import known_facts
from personsearch.data.facts.words import facts_in
from personsearch.data.records import read_manifest
from personsearch.gallery.add_dataset import crop_id_of
from personsearch.gallery.ingest.boxes import overlap
from personsearch.search.crop import Crop

LEAST_OVERLAP = 0.3
SHADES = {
    "red": ("dark red",),
    "green": ("dark green",),
    "blue": ("light blue", "dark blue"),
    "grey": ("light grey", "dark grey"),
}


@dataclass(frozen=True, slots=True)
class KnownCrop:
    """The facts known of what a crop shows, None if it shows nobody, and the person's number in rendered footage."""

    facts: Mapping[str, bool] | None
    person: str | None = None

    def fits(self, text: str) -> bool | None:
        """Whether all that a description states is true; None if the crop does not tell: hidden, or between two words.

        What a description only rules out ("a man": no woman) must not be known to be true.
        """
        if self.facts is None:
            return False
        stated = facts_in(text)
        told = [self._shows(name) if value else self.facts.get(name) is not True for name, value in stated.items()]
        if False in told:
            return False
        return True if told and None not in told else None

    def _shows(self, name: str) -> bool | None:
        """Whether a fact is known to be true or not; a dark red top is a red top."""
        assert self.facts is not None
        colour, _, part = name.rpartition(" ")
        told = [
            self.facts.get(fact) for fact in (name, *(colour_fact(part, shade) for shade in SHADES.get(colour, ())))
        ]
        return True if True in told else None if None in told else False


@dataclass(frozen=True, slots=True)
class Question:
    """A description to search for, in some cameras or all; `person` is the number of the one in the footage."""

    text: str
    cameras: tuple[str, ...] | None = None
    person: str | None = None

    def is_right(self, known: KnownCrop) -> bool | None:
        """Whether a crop shows the person, or else fits the description; None where the crop does not tell."""
        return known.person == self.person if self.person is not None else known.fits(self.text)

    def verdict(self, is_right: Mapping[str, bool | None], truth: Mapping[str, KnownCrop]) -> str:
        """How many of the candidates of whom the truth is known are right, and how many of the gallery would be."""
        if not is_right:
            return "whether they fit is not known: they are real people"
        told = list(is_right.values())
        counted = f"{told.count(True)} of {len(told)}"
        if self.person is not None:
            return f"{counted} show the person described"
        untold = f", {told.count(None)} cannot be told" if None in told else ""
        fitting = [self.is_right(known) for known in truth.values()].count(True)
        return f"{counted} fit{untold}; " + (
            f"of the whole gallery {fitting / len(truth):.1%} would" if fitting else "nobody in the gallery would"
        )


def truth_of_dataset(dataset: Path) -> dict[str, KnownCrop]:
    """What is known of the test images of a prepared data set, by the id of their crops."""
    return {crop_id_of(record): KnownCrop(known_facts(record)) for record in read_manifest(dataset, "test")}


def truth_of_footage(ground_truth: Path, crops: Iterable[Crop]) -> dict[str, KnownCrop]:
    """What is known of the crops of rendered footage, by id; a crop of nobody fits no description."""
    truth = json.loads(ground_truth.read_text(encoding="utf-8"))
    return {crop.crop_id: _shown(truth, crop) for crop in crops}


def _shown(truth: Mapping[str, Any], crop: Crop) -> KnownCrop:
    """The person whose box the crop overlaps most."""
    present = truth["frames"][int(crop.frame_uri.rpartition("=")[2])]
    box = crop.bbox
    taken = np.array([[box.x, box.y, box.x + box.width, box.y + box.height]], dtype=float)
    overlaps = overlap(taken, np.array([one["box"] for one in present], dtype=float).reshape(-1, 4))[0]
    if not len(overlaps) or overlaps.max() < LEAST_OVERLAP:
        return KnownCrop(None)
    nearest = present[int(overlaps.argmax())]
    number = str(nearest["person"])
    seen = {"facing": nearest.get("facing"), "visible": nearest.get("parts")}
    return KnownCrop(facts_of_attributes({**truth["people"][number]["attributes"], **seen}), number)
