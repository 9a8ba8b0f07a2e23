"""The words for what people wear, carry and hold, for hair and gender, and words that make a sentence wrong."""

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "black": ("black",),
    "dark grey": ("dark grey", "dark gray", "charcoal"),
    "grey": ("grey", "gray"),
    "light grey": ("light grey", "light gray", "pale grey", "silver"),
    "white": ("white",),
    "red": ("red", "bright red", "scarlet"),
    "dark red": ("dark red", "maroon", "burgundy", "wine red"),
    "pink": ("pink", "rose"),
    "orange": ("orange",),
    "yellow": ("yellow",),
    "green": ("green",),
    "dark green": ("dark green",),
    "olive": ("olive", "khaki", "olive green"),
    "teal": ("teal", "turquoise", "blue-green", "cyan"),
    "light blue": ("light blue", "pale blue", "sky blue"),
    "blue": ("blue",),
    "dark blue": ("dark blue", "navy", "navy blue"),
    "purple": ("purple", "violet", "lilac"),
    "brown": ("brown", "dark brown"),
    "beige": ("beige", "tan", "cream"),
}
FUR_COATS = (
    "fur coat", "fluffy coat", "furry coat", "faux fur coat", "fluffy jacket", "fur jacket", "furry jacket",
)  # fmt: skip
WAISTCOATS = ("waistcoat", "suit vest", "dress vest")
HARD_HATS = ("hard hat", "safety helmet", "construction helmet")
WIDE_HATS = ("straw hat", "sun hat", "wide-brimmed hat", "hat with a wide brim")
RIDDEN = ("riding a bicycle", "riding a bike", "on a bicycle", "on a bike", "cyclist", "cycling")
NOUNS: dict[str, dict[str, tuple[str, ...]]] = {
    "gender": {
        "man": ("man", "guy", "male", "gentleman", "boy", "he", "his"),
        "woman": ("woman", "lady", "female", "girl", "she", "her"),
        "child": ("child", "kid", "boy", "young girl", "little girl", "toddler"),
    },
    "upper": {
        "coat": ("coat", "long coat", "overcoat", "trench coat", "raincoat", "hooded coat", "winter coat", *FUR_COATS),
        "jacket": ("jacket", "zip-up jacket", "anorak", "windbreaker", "parka", "hooded jacket", "jacket with a hood"),
        "suit jacket": ("suit jacket", "blazer", "suit", "business suit", "two-piece suit"),
        "hooded top": (
            "hoodie", "hooded sweatshirt", "hooded top", "hooded jacket", "hooded coat", "jacket with a hood",
        ),
        "sweater": ("sweater", "jumper", "pullover", "sweatshirt"),
        "shirt": ("shirt", "button-up shirt", "dress shirt"),
        "t-shirt": ("t-shirt", "tshirt", "tee", "t shirt"),
        "polo shirt": ("polo shirt", "polo"),
        "tank top": ("tank top", "sleeveless top", "sleeveless shirt", "singlet", "vest top"),
        "vest": ("vest", "sleeveless jacket", "body warmer", "gilet", *WAISTCOATS),
        "blouse": ("blouse",),
        "cardigan": ("cardigan",),
        "leather jacket": ("leather jacket",),
        "padded jacket": ("padded jacket", "puffer jacket", "down jacket", "quilted jacket", "winter jacket"),
        "dress": ("dress", "gown"),
        "fur coat": FUR_COATS,
        "parka": ("parka",),
        "waistcoat": WAISTCOATS,
        "": ("top", "upper body", "clothes", "clothing", "outfit"),
    },
    "lower": {
        "jeans": ("jeans", "denim jeans", "denim trousers"),
        "trousers": ("trousers", "pants", "slacks", "chinos", "sweatpants", "track pants", "tracksuit bottoms"),
        "shorts": ("shorts", "short pants"),
        "skirt": ("skirt",),
        "leggings": ("leggings", "tights", "tight pants"),
    },
    "bag": {
        "backpack": ("backpack", "rucksack", "bag on the back", "knapsack"),
        "shoulder bag": ("shoulder bag", "bag over the shoulder", "messenger bag", "bag with a strap", "satchel"),
        "handbag": ("handbag", "purse"),
        "plastic bag": ("plastic bag", "shopping bag", "carrier bag"),
        "suitcase": ("suitcase", "rolling suitcase", "trolley case", "luggage"),
        "briefcase": ("briefcase",),
        "": ("bag", "case"),
    },
    "headwear": {
        "cap": ("cap", "baseball cap"),
        "beanie": ("beanie", "knitted hat", "woolly hat"),
        "brimmed hat": ("brimmed hat", *WIDE_HATS),
        "hood": ("hood over the head", "hood up"),
        "helmet": ("helmet", "bike helmet", "bicycle helmet", "cycling helmet", "crash helmet", *HARD_HATS),
        "hard hat": HARD_HATS,
        "headscarf": (
            "headscarf", "head scarf", "hijab", "scarf over the head", "shawl over the head", "scarf around the head",
        ),
        "wide-brimmed hat": WIDE_HATS,
        "straw hat": ("straw hat",),
        "": ("hat",),
    },
    "shoes": {
        "boots": ("boots",),
        "sandals": ("sandals", "flip-flops"),
        "": ("shoes", "sneakers", "trainers", "sports shoes", "running shoes", "leather shoes"),
    },
    "handheld": {
        "phone": ("phone", "mobile phone", "cell phone", "smartphone"),
        "paper": ("paper", "sheet of paper", "papers"),
        "bottle": ("bottle", "water bottle"),
        "folder": ("folder", "notebook"),
    },
    "eyewear": {
        "sunglasses": ("sunglasses", "dark glasses"),
        "glasses": ("glasses", "eyeglasses", "spectacles"),
    },
    "beard": {"beard": ("beard", "facial hair", "bearded")},
    "scarf": {"scarf": ("scarf", "shawl")},
    "umbrella": {"umbrella": ("umbrella", "parasol")},
    "suit": {"suit": ("suit", "business suit", "two-piece suit")},
    "tie": {"tie": ("tie", "necktie")},
    "high-visibility vest": {
        "high-visibility vest": (
            "high-visibility vest", "high visibility vest", "hi-vis vest", "hi-viz vest", "high-vis vest",
            "reflective vest", "safety vest", "reflective safety vest", "reflective work vest", "fluorescent vest",
            "high-visibility jacket", "high visibility jacket", "hi-vis jacket", "hi-viz jacket", "reflective jacket",
            "hi-vis", "hi-viz",
        ),
    },
    "vehicle": {
        "bicycle": ("bicycle", "bike", "push bike"),
        "pushchair": ("pushchair", "stroller", "pram", "buggy", "baby carriage", "baby stroller"),
        "shopping trolley": ("shopping trolley", "shopping cart", "supermarket trolley", "trolley"),
    },
    "riding": {
        "riding": ("riding", "rides", *RIDDEN),
        "bicycle": RIDDEN,
    },
    "hair": {
        "bald": ("bald", "bald head", "balding", "balding head", "receding hair"),
        "ponytail": ("ponytail",),
        "bun": ("bun",),
        "long hair": ("long hair", "long-haired"),
        "short hair": ("short hair", "short-haired"),
        "curly hair": ("curly hair",),
        "": ("hair",),
    },
    "pattern": {
        "stripes": ("striped", "stripes", "stripy"),
        "checks": ("checked", "plaid", "checkered", "chequered", "tartan"),
        "dots": ("dotted", "polka dot", "spotted"),
        "a print": ("logo", "print", "writing"),
    },
    "sleeves": {
        "long sleeves": ("long-sleeved", "long sleeved", "long sleeves", "long-sleeve"),
        "short sleeves": ("short-sleeved", "short sleeved", "short sleeves", "short-sleeve"),
        "no sleeves": ("sleeveless",),
    },
}  # fmt: skip
"""Part → fact → its words; those of "" name the part without saying of which type it is."""
HAIR = {
    "long": "long hair", "short": "short hair", "curly": "curly hair", "blond": "blond hair", "blonde": "blond hair",
    "fair": "blond hair", "grey": "grey hair", "gray": "grey hair", "red": "red hair", "ginger": "red hair",
    "dark": "dark hair", "black": "dark hair", "brown": "dark hair",
}  # fmt: skip
"""Adjective of hair → the fact that it states."""
WRONG_NOUNS: dict[str, dict[str, str]] = {
    "bag": {
        "backpack": "suitcase", "shoulder bag": "backpack", "handbag": "backpack", "plastic bag": "backpack",
        "suitcase": "backpack", "briefcase": "backpack",
    },
    "headwear": {
        "cap": "brimmed hat", "beanie": "brimmed hat", "brimmed hat": "beanie", "helmet": "beanie",
        "hard hat": "beanie", "headscarf": "cap", "wide-brimmed hat": "beanie", "straw hat": "beanie", "": "hood",
    },
    "upper": {
        "coat": "t-shirt", "jacket": "t-shirt", "suit jacket": "t-shirt", "hooded top": "shirt", "sweater": "coat",
        "shirt": "coat", "t-shirt": "coat", "polo shirt": "jacket", "tank top": "jacket", "vest": "t-shirt",
        "blouse": "jacket", "cardigan": "t-shirt", "leather jacket": "t-shirt", "padded jacket": "t-shirt",
        "dress": "jacket", "fur coat": "t-shirt", "parka": "t-shirt", "waistcoat": "t-shirt",
    },
    "lower": {
        "jeans": "shorts", "trousers": "shorts", "shorts": "trousers", "skirt": "trousers", "leggings": "shorts",
    },
    "eyewear": {"glasses": "scarf", "sunglasses": "scarf"},
    "vehicle": {"bicycle": "pushchair", "pushchair": "bicycle", "shopping trolley": "bicycle"},
}  # fmt: skip
"""Part → fact → another noun of that part that nobody would use for it. Glasses become what is seen elsewhere."""
WRONG_COLOURS = {
    "black": "white", "dark grey": "red", "grey": "red", "light grey": "green", "white": "black", "red": "green",
    "dark red": "light blue", "pink": "dark green", "orange": "blue", "yellow": "purple", "green": "red",
    "dark green": "pink", "olive": "red", "teal": "brown", "light blue": "brown", "blue": "yellow",
    "dark blue": "orange", "purple": "yellow", "brown": "light blue", "beige": "purple",
}  # fmt: skip
WRONG_SLEEVES = {"long": "short", "short": "long", "sleeveless": "long-sleeved"}
WRONG_HAIR = {"long": "short", "short": "long"}
WRONG_GENDER = {
    "man": "woman", "he": "she", "him": "her", "his": "her", "woman": "man", "she": "he", "her": "his",
    "lady": "gentleman", "gentleman": "lady", "girl": "boy", "boy": "girl", "female": "male", "male": "female",
    "guy": "lady", "himself": "herself", "herself": "himself", "hers": "his",
}  # fmt: skip
KINDS = {
    "bag": "bag", "headwear": "headwear", "upper": "upper garment", "lower": "lower garment", "sleeves": "sleeves",
    "hair": "hair", "eyewear": "eyewear", "vehicle": "vehicle",
}  # fmt: skip
