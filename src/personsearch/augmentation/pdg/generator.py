"""What makes a proximity image, whatever is underneath: recolouring or diffusion.

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
    """One garment's colour, changed: the words as written before and after, and the caption that says the new one.

    `cloth` are the colours (names of colours.CLOTH) that the old word may stand for, `new_colour` is both a word and
    such a name; `shared` when the garment has other colours too.
    """

    part: Part
    garment: str
    old_colour: str
    cloth: tuple[str, ...]
    new_colour: str
    caption: str
    shared: bool = False


class GenerationRefused(Exception):
    """No image was made; the message is the reason, a word with hyphens to count by."""


class Generator(Protocol):
    """Edits one real image so that it fits `change.caption` where it fitted `caption`."""

    @property
    def parts(self) -> frozenset[Part]:
        """The garments that it can change."""
        ...

    def generate(self, image: Pixels, caption: str, change: Change) -> Pixels:
        """The edited image, of the same size.

        Raises:
            GenerationRefused: it cannot be done well.
        """
        ...
