"""The colours that captions name: which words stand for which cloth, and which name fits a pixel.

Colours are compared in Björn Ottosson's OKLab, in which equal distances look about equally large and a scaled colour is
the same cloth in other light: because of its cube root, (L, a, b)·s is linear RGB times s³.

Shapes: ... any leading dimensions, the last holds L, a, b or R, G, B; C colour names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Single-precision numbers."""

LMS_OF_RGB = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
LAB_OF_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
RGB_OF_LMS, LMS_OF_LAB = np.linalg.inv(LMS_OF_RGB), np.linalg.inv(LAB_OF_LMS)
BYTES = np.arange(256, dtype=np.float32) / 255
LINEAR_OF_BYTE = np.where(BYTES <= 0.04045, BYTES / 12.92, ((BYTES + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_oklab(rgb: NDArray[np.uint8]) -> Floats:
    """OKLab of sRGB bytes [..., 3]: L in 0..1, a and b within about ±0.35."""
    lms = LINEAR_OF_BYTE[rgb] @ LMS_OF_RGB.T
    return np.asarray(np.cbrt(lms) @ LAB_OF_LMS.T, np.float32)


def from_oklab(lab: Floats) -> NDArray[np.uint8]:
    """The nearest sRGB bytes [..., 3]; colours outside sRGB are clipped."""
    linear = np.clip((np.asarray(lab, np.float32) @ LMS_OF_LAB.T) ** 3 @ RGB_OF_LMS.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(srgb * 255), np.uint8)


CLOTH = {
    "black": (30, 30, 34), "dark grey": (72, 72, 75), "grey": (122, 122, 125), "light grey": (178, 178, 181),
    "white": (232, 232, 230), "red": (188, 36, 42), "dark red": (98, 26, 36), "pink": (228, 150, 175),
    "orange": (222, 112, 38), "yellow": (228, 200, 62), "green": (50, 138, 66), "dark green": (34, 68, 46),
    "light green": (150, 205, 132), "olive": (108, 108, 62), "teal": (34, 128, 130), "light blue": (150, 186, 220),
    "blue": (46, 86, 178), "dark blue": (30, 38, 76), "denim": (78, 98, 130), "purple": (108, 60, 146),
    "lavender": (180, 156, 212), "brown": (96, 66, 46), "beige": (204, 184, 150), "magenta": (214, 48, 130),
}  # fmt: skip
"""Cloth in ordinary light, in sRGB."""


@dataclass(frozen=True, slots=True)
class Shades:
    """The cloth that a word may stand for: alone, after "light", after "dark"."""

    plain: tuple[str, ...]
    light: tuple[str, ...]
    dark: tuple[str, ...]


def _only(*names: str) -> Shades:
    return Shades(names, names, names)


GREY = Shades(("grey", "dark grey", "light grey"), ("light grey",), ("dark grey",))
WORDS = {
    "black": _only("black"), "white": _only("white"), "grey": GREY, "gray": GREY,
    "red": Shades(("red", "dark red"), ("red", "pink"), ("dark red",)),
    "pink": Shades(("pink", "magenta"), ("pink",), ("magenta",)),
    "orange": Shades(("orange",), ("orange",), ("orange", "brown")),
    "yellow": Shades(("yellow",), ("yellow",), ("yellow", "olive")),
    "green": Shades(("green", "dark green", "light green"), ("light green",), ("dark green",)),
    "blue": Shades(("blue", "dark blue", "light blue", "denim"), ("light blue",), ("dark blue",)),
    "purple": Shades(("purple", "lavender"), ("lavender",), ("purple",)),
    "brown": Shades(("brown",), ("brown", "beige"), ("brown",)),
    "beige": _only("beige"), "tan": _only("beige"), "cream": _only("beige", "white"), "khaki": _only("olive", "beige"),
    "olive": _only("olive"), "lime": _only("light green"), "teal": _only("teal"), "aqua": _only("teal", "light blue"),
    "turquoise": _only("teal", "light blue"), "cyan": _only("teal", "light blue"), "navy": _only("dark blue"),
    "maroon": _only("dark red"), "burgundy": _only("dark red"), "crimson": _only("red"), "violet": _only("purple"),
    "lavender": _only("lavender"), "lilac": _only("lavender"), "magenta": _only("magenta"),
    "silver": _only("light grey"), "charcoal": _only("dark grey"),
    "offwhite": _only("white", "beige"), "peach": _only("pink", "beige"),
}  # fmt: skip
COMPOUNDS = {
    "navy blue": "navy", "olive green": "olive", "lime green": "lime", "sky blue": "light blue",
    "baby blue": "light blue", "powder blue": "light blue", "forest green": "dark green", "army green": "olive",
    "hot pink": "magenta", "charcoal grey": "charcoal", "charcoal gray": "charcoal", "off white": "offwhite",
    "royal blue": "blue", "baby pink": "light pink", "wine red": "maroon", "blood red": "dark red",
    "silver grey": "silver", "silver gray": "silver", "maroon red": "maroon", "lime yellow": "lime",
}  # fmt: skip
"""Two words that name one colour, and a shorter way to say it."""
LIGHT, DARK, PLAIN = {"light", "pale", "pastel", "faded", "lighter"}, {"dark", "deep", "darker"}, {"bright", "vivid"}
TARGETS = (
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "light blue", "dark blue", "purple", "pink",
    "brown", "beige",
)  # fmt: skip
"""The colours that a garment can be given: names of CLOTH that people also say."""

LAB_OF_CLOTH = {name: to_oklab(np.array(rgb, np.uint8)) for name, rgb in CLOTH.items()}
LIGHTNESS_WEIGHT = 0.6  # light falls unevenly on cloth, so a difference in lightness says less than one in hue
SPREAD = 0.055


def cloth_named(written: str) -> tuple[str, ...]:
    """The names of CLOTH that a written colour ("Light  blue", "navy blue", "grey") may stand for; () if none."""
    words = written.lower().replace("-", " ").split()
    if (pair := " ".join(words[-2:])) in COMPOUNDS:
        words[-2:] = COMPOUNDS[pair].split()
    if not words or words[-1] not in WORDS:
        return ()
    modifier, shades = " ".join(words[-2:-1]), WORDS[words[-1]]
    return shades.light if modifier in LIGHT else shades.dark if modifier in DARK else shades.plain


def distance(lab: Floats, other: Floats) -> Floats:
    """How different two colours [..., 3] look; lightness counts less."""
    difference = (lab - other) * np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32)
    return np.asarray(np.sqrt((difference**2).sum(axis=-1)), np.float32)


def agreement(lab: Floats, names: Sequence[str]) -> Floats:
    """The probability [...] that a colour [..., 3] has one of `names`, if all of CLOTH are equally common."""
    squared = np.stack([distance(lab, centre) for centre in LAB_OF_CLOTH.values()], axis=-1) ** 2
    likelihood = np.exp(-(squared - squared.min(axis=-1, keepdims=True)) / (2 * SPREAD**2))
    mine = [name in names for name in LAB_OF_CLOTH]
    return np.asarray(likelihood[..., mine].sum(axis=-1) / likelihood.sum(axis=-1), np.float32)


def unlike(names: Sequence[str], others: Sequence[str]) -> float:
    """The smallest distance between the cloths of two groups of names."""
    return min(float(distance(LAB_OF_CLOTH[one], LAB_OF_CLOTH[other])) for one in names for other in others)
