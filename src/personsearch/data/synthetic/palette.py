"""The colours people name, as clouds in CIE Lab, and the words for them."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""An array of real numbers, in single precision where it is large."""


@dataclass(frozen=True, slots=True)
class NamedColour:
    """A cloud of cloth colours that one name covers: its Lab centre, its spread (standard deviations), its words."""

    lab: tuple[float, float, float]
    spread: tuple[float, float, float]
    words: tuple[str, ...]


PALETTE: dict[str, NamedColour] = {
    "black": NamedColour((13, 0, -1), (7, 1.2, 1.8), ("black", "black", "black", "dark")),
    "dark grey": NamedColour((37, 0, -1), (4, 1, 2), ("dark grey", "dark gray", "charcoal", "dark grey")),
    "grey": NamedColour((55, 0, -1), (5, 1, 2), ("grey", "gray")),
    "light grey": NamedColour((74, 0, -1), (4, 1, 2), ("light grey", "light gray", "pale grey")),
    "white": NamedColour((93, 0, 1), (3, 1, 2), ("white",)),
    "red": NamedColour((41, 58, 34), (5, 6, 7), ("red", "red", "bright red")),
    "dark red": NamedColour((26, 33, 15), (4, 5, 5), ("dark red", "maroon", "burgundy")),
    "pink": NamedColour((71, 29, 2), (6, 7, 5), ("pink",)),
    "orange": NamedColour((64, 42, 56), (5, 6, 7), ("orange",)),
    "yellow": NamedColour((84, 2, 62), (5, 4, 10), ("yellow",)),
    "green": NamedColour((49, -37, 27), (6, 7, 7), ("green",)),
    "dark green": NamedColour((29, -17, 9), (4, 4, 4), ("dark green",)),
    "olive": NamedColour((42, -4, 17), (7, 2.5, 5), ("olive", "khaki", "olive green")),
    "light blue": NamedColour((73, -7, -19), (5, 3, 5), ("light blue", "pale blue", "light blue")),
    "blue": NamedColour((42, 3, -40), (6, 6, 7), ("blue",)),
    "dark blue": NamedColour((21, 4, -22), (4, 3, 4), ("dark blue", "navy", "navy blue")),
    "teal": NamedColour((42, -22, -10), (8, 5, 5), ("teal", "turquoise", "blue-green")),
    "purple": NamedColour((36, 34, -33), (6, 6, 6), ("purple", "violet")),
    "brown": NamedColour((33, 10, 15), (6, 4, 5), ("brown", "brown", "dark brown")),
    "beige": NamedColour((75, 3, 14), (6, 2, 4), ("beige", "tan", "cream")),
}
DENIM: dict[str, NamedColour] = {
    "light blue": NamedColour((63, -4, -16), (5, 2, 4), PALETTE["light blue"].words),
    "blue": NamedColour((44, -2, -22), (4, 2, 4), PALETTE["blue"].words),
    "dark blue": NamedColour((25, 0, -14), (4, 2, 3), PALETTE["dark blue"].words),
    "black": PALETTE["black"],
    "grey": PALETTE["grey"],
}
HIGH_VISIBILITY: dict[str, NamedColour] = {
    "yellow": NamedColour((92, -26, 82), (3, 5, 8), ("yellow", "fluorescent yellow", "bright yellow", "neon yellow")),
    "orange": NamedColour((70, 52, 66), (3, 5, 6), ("orange", "bright orange", "neon orange", "orange")),
}
HAIR_LAB: dict[str, tuple[float, float, float]] = {
    "black": (10, 1, 1),
    "brown": (24, 8, 11),
    "blond": (64, 6, 30),
    "red": (38, 24, 28),
    "grey": (60, 0, 2),
}
SKIN_LAB: dict[str, tuple[float, float, float]] = {"light": (74, 13, 18), "tan": (60, 15, 22), "dark": (34, 12, 16)}


def draw_colour(colour: NamedColour, rng: np.random.Generator) -> tuple[float, float, float]:
    """One Lab colour of the cloud, cut at two standard deviations so that a name stays true."""
    offset = np.clip(rng.standard_normal(3), -2, 2) * colour.spread
    lightness, a, b = np.asarray(colour.lab) + offset
    return float(np.clip(lightness, 3, 97)), float(a), float(b)


@lru_cache(maxsize=4096)
def neighbouring_name(lab: tuple[float, float, float], name: str) -> str:
    """The name another person might give: the nearest other centre if nearly as near as its own, else `name`."""
    distances = {other: math.dist(lab, colour.lab) for other, colour in PALETTE.items() if other != name}
    nearest = min(distances, key=distances.__getitem__)
    own = math.dist(lab, PALETTE[name].lab)
    return nearest if distances[nearest] < max(1.2 * own, 8.0) else name


def lab_to_linear(lab: tuple[float, float, float]) -> Floats:
    """Linear RGB in 0..1 of a Lab colour."""
    srgb = cv2.cvtColor(np.array([[lab]], np.float32), cv2.COLOR_LAB2RGB)[0, 0]
    return np.asarray(np.clip(srgb, 0, 1) ** 2.2, np.float32)
