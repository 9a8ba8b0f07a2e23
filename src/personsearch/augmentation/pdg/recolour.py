"""The generator without weights: the garment's region found by colour and place, its colour changed under its light."""

from dataclasses import dataclass

from personsearch.augmentation.pdg.garments import Part
from personsearch.augmentation.pdg.generator import Change, Pixels
from personsearch.augmentation.pdg.region import find_region, where_worn
from personsearch.augmentation.pdg.repaint import repaint

ALGORITHM = "recolour-1"  # raise it when the same input gives another image


@dataclass(frozen=True, slots=True)
class Recolour:
    """Changes clothes only: bags, shoes and hats are too small to be found by colour and place alone."""

    parts: frozenset[Part] = frozenset({"upper", "lower", "whole"})

    def generate(self, image: Pixels, caption: str, change: Change) -> Pixels:
        """The garment in its new colour.

        Raises:
            GenerationRefused: the garment cannot be told apart.
        """
        region = find_region(image, where_worn(change.part, change.garment), change.cloth, shared=change.shared)
        return repaint(image, region, change.new_colour)
