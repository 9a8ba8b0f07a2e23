"""The people that are drawn: the ground truth of each, as a viewer would describe it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np

from personsearch.data.synthetic.palette import DENIM, HIGH_VISIBILITY, PALETTE, draw_colour

Lab = tuple[float, float, float]
Gender = Literal["man", "woman", "boy", "girl"]
T = TypeVar("T")

GENDERS: dict[Gender, int] = {"man": 48, "woman": 44, "boy": 4, "girl": 4}
JACKETS = ("jacket", "hooded jacket", "leather jacket", "padded jacket", "suit jacket", "coat", "vest", "cardigan")
UPPER_TYPES = {
    "jacket": 15, "hooded jacket": 10, "leather jacket": 5, "padded jacket": 6, "suit jacket": 5, "coat": 8, "vest": 3,
    "cardigan": 3, "hoodie": 10, "sweater": 9, "shirt": 10, "t-shirt": 16, "polo shirt": 4, "tank top": 3,
}  # fmt: skip
WOMEN_UPPER_TYPES = UPPER_TYPES | {"blouse": 7, "dress": 8, "coat": 12, "cardigan": 6, "suit jacket": 2, "tank top": 5}
LOWER_TYPES = {"jeans": 46, "trousers": 34, "shorts": 10, "tracksuit bottoms": 7}
WOMEN_LOWER_TYPES = {"jeans": 44, "trousers": 20, "skirt": 12, "leggings": 13, "shorts": 8}
UPPER_COLOURS = {
    "black": 28, "dark grey": 9, "grey": 7, "light grey": 4, "white": 10, "red": 8, "dark red": 4, "pink": 4,
    "orange": 3, "yellow": 3, "green": 4, "dark green": 3, "olive": 4, "light blue": 6, "blue": 8, "dark blue": 13,
    "purple": 3, "brown": 6, "beige": 5, "teal": 3,
}  # fmt: skip
LOWER_COLOURS = {
    "black": 30, "dark grey": 12, "grey": 10, "light grey": 3, "white": 4, "dark blue": 14, "blue": 4, "brown": 6,
    "beige": 9, "olive": 5, "dark red": 2, "dark green": 2, "red": 2,
}  # fmt: skip
DENIM_COLOURS = {"blue": 40, "light blue": 20, "dark blue": 25, "black": 10, "grey": 5}
SHOES = {"sneakers": 12, "shoes": 10, "boots": 4, "sandals": 2}
SHOE_COLOURS = {
    "black": 40,
    "white": 22,
    "brown": 12,
    "grey": 10,
    "red": 3,
    "blue": 3,
    "dark blue": 4,
    "beige": 3,
    "pink": 2,
}
BAGS = {"none": 48, "backpack": 17, "shoulder bag": 13, "handbag": 7, "plastic bag": 7, "suitcase": 5, "briefcase": 3}
HANDHELD = {"nothing": 74, "phone": 9, "paper": 9, "bottle": 3, "folder": 5}
PATTERNS = {"plain": 66, "striped": 8, "checked": 6, "logo": 9, "dotted": 2, "two-tone": 9}


@dataclass(frozen=True, slots=True)
class Person:
    """One identity. Strings are words of their group; `labs` are the true colours of the parts that have one.

    `detail_colour` is the second colour of a pattern, of the shirt under an open jacket (`open_front`), a suit or a
    waistcoat, or of the fur on a parka's hood. `hi_vis_colour` is the colour of a high-visibility vest.
    """

    gender: Gender
    build: str
    height: str
    skin: str
    hair_length: str
    hair_style: str
    hair_colour: str
    beard: bool
    headwear: str
    headwear_colour: str
    upper: str
    upper_colour: str
    sleeves: str
    pattern: str
    detail_colour: str
    open_front: bool
    lower: str
    lower_colour: str
    shoes: str
    shoes_colour: str
    bag: str
    bag_colour: str
    eyewear: str
    scarf_colour: str
    umbrella_colour: str
    handheld: str
    labs: dict[str, Lab] = field(repr=False)
    suit: bool = False
    tie_colour: str = "none"
    hi_vis_colour: str = "none"
    vehicle: str = "none"
    vehicle_colour: str = "none"

    @property
    def female(self) -> bool:
        """Whether drawn and described as a woman or girl."""
        return self.gender in ("woman", "girl")

    @property
    def child(self) -> bool:
        """Whether drawn at a child's size."""
        return self.gender in ("boy", "girl")

    def ground_truth(self) -> dict[str, str | bool]:
        """What is known about the person, without the exact colours."""
        return {key: value for key, value in asdict(self).items() if key != "labs"}


def weighted(weights: Mapping[T, int], rng: np.random.Generator) -> T:
    """One key, drawn by its weight."""
    keys = list(weights)
    shares = np.fromiter(weights.values(), float)
    return keys[int(rng.choice(len(keys), p=shares / shares.sum()))]


def draw_person(rng: np.random.Generator) -> Person:
    """One random identity."""
    gender = weighted(GENDERS, rng)
    female = gender in ("woman", "girl")
    hair_length, hair_style = draw_hair(female, rng)
    upper = weighted(WOMEN_UPPER_TYPES if female else UPPER_TYPES, rng)
    lower = "dress" if upper == "dress" else weighted(WOMEN_LOWER_TYPES if female else LOWER_TYPES, rng)
    upper_colour = weighted(UPPER_COLOURS, rng)
    pattern = draw_pattern(upper, rng)
    person = Person(
        gender=gender,
        build=weighted({"slim": 30, "average": 48, "heavy": 22}, rng),
        height=weighted({"short": 20, "average": 60, "tall": 20}, rng),
        skin=weighted({"light": 60, "tan": 25, "dark": 15}, rng),
        hair_length=hair_length,
        hair_style=hair_style,
        hair_colour=weighted({"black": 42, "brown": 32, "blond": 14, "grey": 8, "red": 4}, rng),
        beard=gender == "man" and bool(rng.random() < 0.2),
        headwear=_draw_headwear(upper, rng),
        headwear_colour=weighted(UPPER_COLOURS, rng),
        upper=upper,
        upper_colour=upper_colour,
        sleeves=draw_sleeves(upper, rng),
        pattern=pattern,
        detail_colour=other_colour(upper_colour, rng),
        open_front=upper in JACKETS and pattern == "plain" and rng.random() < 0.4,
        lower=lower,
        lower_colour=upper_colour if lower == "dress" else _draw_lower_colour(lower, rng),
        shoes=weighted(SHOES, rng),
        shoes_colour=weighted(SHOE_COLOURS, rng),
        bag=weighted(BAGS, rng),
        bag_colour=weighted({**LOWER_COLOURS, "red": 8, "blue": 8, "pink": 4, "green": 3, "yellow": 2}, rng),
        eyewear=weighted({"none": 82, "glasses": 12, "sunglasses": 6}, rng),
        scarf_colour=weighted(UPPER_COLOURS, rng) if rng.random() < 0.06 else "none",
        umbrella_colour=weighted(UPPER_COLOURS, rng) if rng.random() < 0.02 else "none",
        handheld=weighted(HANDHELD, rng),
        labs={},
    )
    return with_colours(person, rng)


def other_colour(colour: str, rng: np.random.Generator) -> str:
    """A colour that is clearly not `colour`; white and black are frequent, as in real clothes."""
    weights = {**UPPER_COLOURS, "white": 22, "light grey": 8}
    centre = PALETTE[colour].lab
    far = {k: w for k, w in weights.items() if math.dist(PALETTE[k].lab, centre) > 28}
    return weighted(far, rng)


def draw_hair(female: bool, rng: np.random.Generator) -> tuple[str, str]:
    """Length and style."""
    lengths = {"short": 18, "medium": 30, "long": 52} if female else {"bald": 9, "short": 81, "medium": 7, "long": 3}
    length = weighted(lengths, rng)
    tied = length == "long" and female
    styles = {"loose": 60, "ponytail": 26, "bun": 14} if tied else {"straight": 80, "curly": 20}
    return length, weighted(styles, rng)


def _draw_headwear(upper: str, rng: np.random.Generator) -> str:
    if upper in ("hoodie", "hooded jacket") and rng.random() < 0.25:
        return "hood"
    return weighted({"none": 70, "cap": 13, "beanie": 9, "hat": 8}, rng)


def draw_sleeves(upper: str, rng: np.random.Generator) -> str:
    """Sleeves that this upper garment can have."""
    if upper in ("vest", "tank top"):
        return "none"
    if upper in ("t-shirt", "polo shirt"):
        return "short" if rng.random() < 0.88 else "long"
    if upper in ("shirt", "blouse", "dress"):
        return weighted({"long": 5, "short": 4, "none": 2 if upper == "dress" else 0}, rng)
    return "long"


def draw_pattern(upper: str, rng: np.random.Generator) -> str:
    """A pattern that this upper garment can have."""
    banned = {
        "shirt": (), "sweater": ("checked",), "hoodie": ("checked", "dotted"), "t-shirt": ("checked",),
        "dress": ("logo",), "blouse": ("logo",),
    }.get(upper, ("checked", "striped", "dotted"))  # fmt: skip
    if upper in ("suit jacket", "leather jacket", "cardigan"):
        return "plain"
    boosts = {"shirt": {"checked": 18, "striped": 10}, "t-shirt": {"logo": 18, "striped": 10}, "dress": {"dotted": 8}}
    weights = {**PATTERNS, **boosts.get(upper, {})}
    return weighted({k: w for k, w in weights.items() if k not in banned}, rng)


def _draw_lower_colour(lower: str, rng: np.random.Generator) -> str:
    if lower == "jeans":
        return weighted(DENIM_COLOURS, rng)
    if lower == "skirt":
        return weighted({**LOWER_COLOURS, "red": 6, "pink": 5, "yellow": 2}, rng)
    return weighted(LOWER_COLOURS, rng)


def with_colours(person: Person, rng: np.random.Generator) -> Person:
    """The person with a true colour for each part, drawn where the name of its colour is new."""
    lower = DENIM if person.lower == "jeans" else PALETTE
    clouds = {
        f"upper:{person.upper_colour}": PALETTE[person.upper_colour],
        f"detail:{person.detail_colour}": PALETTE[person.detail_colour],
        f"lower:{person.lower_colour}": lower.get(person.lower_colour, PALETTE[person.lower_colour]),
        f"shoes:{person.shoes_colour}": PALETTE[person.shoes_colour],
        f"bag:{person.bag_colour}": PALETTE[person.bag_colour],
        f"headwear:{person.headwear_colour}": PALETTE[person.headwear_colour],
        f"scarf:{person.scarf_colour}": PALETTE.get(person.scarf_colour, PALETTE["red"]),
        f"umbrella:{person.umbrella_colour}": PALETTE.get(person.umbrella_colour, PALETTE["black"]),
    }
    clouds |= {
        f"{part}:{name}": cloud[name]
        for part, name, cloud in (
            ("tie", person.tie_colour, PALETTE),
            ("hi-vis", person.hi_vis_colour, HIGH_VISIBILITY),
            ("vehicle", person.vehicle_colour, PALETTE),
        )
        if name != "none"
    }
    kept = {key: person.labs.get(key) or draw_colour(cloud, rng) for key, cloud in clouds.items()}
    return replace(person, labs=kept)


def true_lab(person: Person, part: str) -> Lab:
    """The true colour of a part: "upper", "detail", "lower", "shoes", "bag", "headwear", "scarf", "umbrella", "tie",
    "hi-vis" or "vehicle".
    """
    return next(lab for key, lab in person.labs.items() if key.startswith(f"{part}:"))
