"""The colours that captions name: which words stand for which cloth, and which name a pixel deserves.

Shapes: ... any leading dimensions, C colour names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personsearch.augmentation.pdg.oklab import Floats, to_oklab

CLOTH = {
    "black": (30, 30, 34), "dark grey": (72, 72, 75), "grey": (122, 122, 125), "light grey": (178, 178, 181),
    "white": (232, 232, 230), "red": (188, 36, 42), "dark red": (98, 26, 36), "pink": (228, 150, 175),
    "orange": (222, 112, 38), "yellow": (228, 200, 62), "green": (50, 138, 66), "dark green": (34, 68, 46),
    "light green": (150, 205, 132), "olive": (108, 108, 62), "teal": (34, 128, 130), "light blue": (150, 186, 220),
    "blue": (46, 86, 178), "dark blue": (30, 38, 76), "denim": (78, 98, 130), "purple": (108, 60, 146),
    "lavender": (180, 156, 212), "brown": (96, 66, 46), "beige": (204, 184, 150), "magenta": (214, 48, 130),
}  # fmt: skip
"""sRGB of cloth in ordinary light."""


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
"""Two words that name one colour, and another way to say it."""
LIGHT, DARK, PLAIN = {"light", "pale", "pastel", "faded", "lighter"}, {"dark", "deep", "darker"}, {"bright", "vivid"}
TARGETS = (
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "light blue", "dark blue", "purple", "pink",
    "brown", "beige",
)  # fmt: skip
"""What a garment may become: names of CLOTH that are also what people say."""

LAB_OF_CLOTH = {name: to_oklab(np.array(rgb, np.uint8)) for name, rgb in CLOTH.items()}
LIGHTNESS_WEIGHT = 0.6  # light falls unevenly on cloth: a difference of lightness says less than one of hue
SPREAD = 0.055


def cloth_named(written: str) -> tuple[str, ...]:
    """The names of CLOTH that a colour as written ("Light  blue", "navy blue", "grey") may stand for; () for none."""
    words = written.lower().replace("-", " ").split()
    if (pair := " ".join(words[-2:])) in COMPOUNDS:
        words[-2:] = COMPOUNDS[pair].split()
    if not words or words[-1] not in WORDS:
        return ()
    modifier, shades = " ".join(words[-2:-1]), WORDS[words[-1]]
    return shades.light if modifier in LIGHT else shades.dark if modifier in DARK else shades.plain


def distance(lab: Floats, other: Floats) -> Floats:
    """How unlike two colours [..., 3] look, lightness counting less."""
    difference = (lab - other) * np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32)
    return np.asarray(np.sqrt((difference**2).sum(axis=-1)), np.float32)


def agreement(lab: Floats, names: Sequence[str]) -> Floats:
    """The probability [...] that a colour [..., 3] has one of `names`, if all of CLOTH are as common."""
    squared = np.stack([distance(lab, centre) for centre in LAB_OF_CLOTH.values()], axis=-1) ** 2
    likelihood = np.exp(-(squared - squared.min(axis=-1, keepdims=True)) / (2 * SPREAD**2))
    mine = [name in names for name in LAB_OF_CLOTH]
    return np.asarray(likelihood[..., mine].sum(axis=-1) / likelihood.sum(axis=-1), np.float32)


def unlike(names: Sequence[str], others: Sequence[str]) -> float:
    """The smallest distance between the cloths of two groups of names."""
    return min(float(distance(LAB_OF_CLOTH[one], LAB_OF_CLOTH[other])) for one in names for other in others)
