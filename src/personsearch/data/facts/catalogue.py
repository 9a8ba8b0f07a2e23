"""The facts that can be known of a person in an image: what is worn, carried and held, hair, gender, colours."""

from dataclasses import dataclass

NEAR_COLOURS: dict[str, tuple[str, ...]] = {
    "black": ("dark grey", "dark blue", "brown"),
    "dark grey": ("black", "grey"),
    "grey": ("dark grey", "light grey"),
    "light grey": ("grey", "white", "beige"),
    "white": ("light grey", "beige"),
    "red": ("dark red", "pink", "orange"),
    "dark red": ("red", "brown", "purple"),
    "pink": ("red", "purple"),
    "orange": ("red", "yellow", "brown"),
    "yellow": ("orange", "beige"),
    "green": ("dark green", "olive", "teal"),
    "dark green": ("green", "olive", "black"),
    "olive": ("green", "dark green", "brown", "beige"),
    "teal": ("green", "blue", "dark green", "light blue"),
    "light blue": ("blue", "teal", "light grey"),
    "blue": ("light blue", "dark blue", "teal", "purple"),
    "dark blue": ("blue", "black"),
    "purple": ("dark red", "pink", "blue"),
    "brown": ("olive", "dark red", "beige", "black"),
    "beige": ("white", "light grey", "brown", "yellow"),
}
"""Names of colours, each with those that another viewer might use for it."""

COLOURED_PARTS = ("upper", "lower", "bag", "headwear", "shoes")
TYPES: dict[str, dict[str, tuple[str, ...]]] = {
    "bag": {
        "backpack": ("backpack",),
        "shoulder bag": ("shoulder bag",),
        "handbag": ("handbag",),
        "plastic bag": ("plastic bag",),
        "suitcase": ("suitcase",),
        "briefcase": ("briefcase",),
    },
    "headwear": {
        "cap": ("cap",),
        "beanie": ("beanie",),
        "brimmed hat": ("hat", "straw hat", "wide-brimmed hat"),
        "hood": ("hood",),
        "helmet": ("helmet", "hard hat"),
        "hard hat": ("hard hat",),
        "headscarf": ("headscarf",),
        "wide-brimmed hat": ("straw hat", "wide-brimmed hat"),
        "straw hat": ("straw hat",),
    },
    "upper": {
        "coat": ("coat", "fur coat"),
        "jacket": ("jacket", "hooded jacket", "leather jacket", "padded jacket", "parka"),
        "suit jacket": ("suit jacket",),
        "hooded top": ("hoodie", "hooded jacket", "parka"),
        "sweater": ("sweater",),
        "shirt": ("shirt",),
        "t-shirt": ("t-shirt",),
        "polo shirt": ("polo shirt",),
        "tank top": ("tank top",),
        "vest": ("vest", "waistcoat"),
        "blouse": ("blouse",),
        "cardigan": ("cardigan",),
        "leather jacket": ("leather jacket",),
        "padded jacket": ("padded jacket",),
        "dress": ("dress",),
        "fur coat": ("fur coat",),
        "parka": ("parka",),
        "waistcoat": ("waistcoat",),
    },
    "lower": {
        "jeans": ("jeans",),
        "trousers": ("trousers", "tracksuit bottoms"),
        "shorts": ("shorts",),
        "skirt": ("skirt",),
        "leggings": ("leggings",),
    },
    "sleeves": {"long sleeves": ("long",), "short sleeves": ("short",), "no sleeves": ("none",)},
    "pattern": {"stripes": ("striped",), "checks": ("checked",), "dots": ("dotted",), "a print": ("logo",)},
    "shoes": {"boots": ("boots",), "sandals": ("sandals",)},
    "handheld": {"phone": ("phone",), "paper": ("paper",), "bottle": ("bottle",), "folder": ("folder",)},
    "hair": {
        "bald": ("bald",),
        "short hair": ("short",),
        "long hair": ("long",),
        "ponytail": ("ponytail",),
        "bun": ("bun",),
        "curly hair": ("curly",),
    },
    "hair colour": {
        "blond hair": ("blond",),
        "grey hair": ("grey",),
        "red hair": ("red",),
        "dark hair": ("black", "brown"),
    },
    "eyewear": {"glasses": ("glasses",), "sunglasses": ("sunglasses",)},
    "vehicle": {
        "bicycle": ("bicycle", "ridden bicycle"),
        "pushchair": ("pushchair",),
        "shopping trolley": ("shopping trolley",),
    },
}  # fmt: skip
"""Part → fact → the values of the attribute that make it true."""

NEAR_TYPES: dict[str, tuple[str, ...]] = {
    "coat": ("jacket", "padded jacket", "hooded jacket", "parka", "suit jacket", "cardigan", "dress"),
    "jacket": ("coat", "suit jacket", "vest", "cardigan", "hoodie"),
    "suit jacket": ("jacket", "leather jacket", "coat", "cardigan"),
    "hooded top": ("sweater",),
    "sweater": ("cardigan", "hoodie"),
    "shirt": ("blouse", "polo shirt", "t-shirt"),
    "t-shirt": ("polo shirt", "tank top", "shirt", "blouse"),
    "polo shirt": ("t-shirt", "shirt"),
    "tank top": ("t-shirt", "vest"),
    "vest": ("padded jacket", "tank top"),
    "blouse": ("shirt", "t-shirt", "sweater"),
    "cardigan": ("sweater", "jacket"),
    "leather jacket": ("jacket", "padded jacket"),
    "padded jacket": ("vest", "jacket", "leather jacket", "parka"),
    "parka": ("hooded jacket",),
    "waistcoat": ("vest",),
    "trousers": ("jeans", "leggings"),
    "jeans": ("trousers", "leggings", "tracksuit bottoms"),
    "leggings": ("jeans", "trousers", "tracksuit bottoms"),
    "handbag": ("shoulder bag", "plastic bag", "briefcase"),
    "shoulder bag": ("handbag",),
    "plastic bag": ("handbag",),
    "briefcase": ("handbag",),
    "cap": ("beanie",),
    "beanie": ("cap",),
    "hood": ("headscarf",),
    "hard hat": ("helmet",),
    "headscarf": ("hood",),
    "wide-brimmed hat": ("hat",),
    "straw hat": ("wide-brimmed hat",),
    "short hair": ("medium",),
    "long hair": ("medium",),
}
"""Fact → values that another viewer might call so: the fact is then unknown."""

ANY = {"a bag": "bag", "headwear": "headwear", "something held": "handheld", "eyewear": "eyewear"}
GENDERS = {"man": ("man",), "woman": ("woman",), "child": ("boy", "girl")}
OTHERS = (
    "beard", "scarf", "umbrella", "open jacket", "skirt or dress", "suit", "tie", "high-visibility vest", "riding",
)  # fmt: skip
NOTHING = {"", "none", "nothing", "no", "false"}
ALWAYS_THERE = ("upper", "lower", "sleeves", "hair", "hair colour", "shoes")
"""Parts that everybody has, seen or not."""
UNDERNEATH = ("shirt", "t-shirt", "polo shirt", "tank top", "blouse", "sweater")
"""What may show below an open jacket or a cardigan; there it is unknown."""
HIDDEN_FROM_BEHIND = ("eyewear", "beard", "tie")


def colour_fact(part: str, colour: str) -> str:
    """The fact that a part has a colour: "red upper"."""
    return f"{colour} {part}"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: its name, and the kind of thing that it says, by which results are grouped."""

    name: str
    kind: str


def _all_facts() -> tuple[Fact, ...]:
    facts = [Fact(name, "gender") for name in GENDERS]
    facts += [Fact(name, part) for part, types in TYPES.items() for name in types]
    facts += [Fact(name, part) for name, part in ANY.items()]
    facts += [Fact(name, "lower" if name == "skirt or dress" else name) for name in OTHERS]
    facts += [Fact(colour_fact(part, c), f"{part} colour") for part in COLOURED_PARTS for c in NEAR_COLOURS]
    return tuple(facts)


FACTS: tuple[Fact, ...] = _all_facts()
FACT_INDEX: dict[str, int] = {fact.name: index for index, fact in enumerate(FACTS)}
