"""The interface of what makes proximity images: recolouring or diffusion.

Shapes: H height, W width.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from personsearch.augmentation.pdg.garments import Part

Pixels = NDArray[np.uint8]
"""RGB [H, W, 3]."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one garment's colour: the words before and after, and the caption with the new one.

    `cloth` lists the colours (names in colours.CLOTH) that the old word may stand for. `new_colour` is both a word and
    such a name. `shared` means that the garment has other colours too.
    """

    part: Part
    garment: str
    old_colour: str
    cloth: tuple[str, ...]
    new_colour: str
    caption: str
    shared: bool = False


class GenerationRefused(Exception):
    """No image was made. The message is the reason as a hyphenated word, by which refusals are counted."""


class Generator(Protocol):
    """Edits a real image that fits `caption` so that it fits `change.caption`."""

    @property
    def parts(self) -> frozenset[Part]:
        """The parts of the body whose garments it can change."""
        ...

    def generate(self, image: Pixels, caption: str, change: Change) -> Pixels:
        """The edited image, of the same size.

        Raises:
            GenerationRefused: the edit cannot be done well.
        """
        ...
