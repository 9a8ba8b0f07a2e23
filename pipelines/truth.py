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
    """The facts known of what a crop shows, and the number of the person, None outside rendered footage."""

    facts: Mapping[str, bool]
    person: str | None = None

    def fits(self, text: str) -> bool:
        """Whether all that a description states can be seen to be true; what is hidden or unclear does not fit.

        What a description only rules out ("a man": no woman) must not be known to be true.
        """
        stated = facts_in(text)
        return bool(stated) and all(
            self._shows(name) if value else self.facts.get(name) is not True for name, value in stated.items()
        )

    def _shows(self, name: str) -> bool:
        """Whether a fact is known to be true; a dark red top is a red top."""
        colour, _, part = name.rpartition(" ")
        named = (name, *(colour_fact(part, shade) for shade in SHADES.get(colour, ())))
        return any(self.facts.get(fact) is True for fact in named)


@dataclass(frozen=True, slots=True)
class Question:
    """A description to search for, in some cameras or all; `person` is the number of the one in the footage."""

    text: str
    cameras: tuple[str, ...] | None = None
    person: str | None = None

    def is_right(self, known: KnownCrop) -> bool:
        """Whether a crop shows the person, or else fits the description."""
        return known.person == self.person if self.person is not None else known.fits(self.text)

    def verdict(self, is_right: Mapping[str, bool], truth: Mapping[str, KnownCrop]) -> str:
        """How many of the candidates of whom the truth is known are right, and how many of the gallery would be."""
        if not is_right:
            return "whether they fit is not known: they are real people"
        counted = f"{sum(is_right.values())} of {len(is_right)}"
        if self.person is not None:
            return f"{counted} show the person described"
        fitting = sum(map(self.is_right, truth.values()))
        return f"{counted} fit; " + (
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
        return KnownCrop({})
    nearest = present[int(overlaps.argmax())]
    number = str(nearest["person"])
    seen = {"facing": nearest.get("facing"), "visible": nearest.get("parts")}
    return KnownCrop(facts_of_attributes({**truth["people"][number]["attributes"], **seen}), number)
