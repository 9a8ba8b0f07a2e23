"""The words for people, clothes and things."""

SUBJECTS = {
    "man": ("man", "man", "man", "guy", "male", "gentleman", "male pedestrian"),
    "woman": ("woman", "woman", "woman", "lady", "female", "girl", "female pedestrian"),
    "boy": ("boy", "boy", "child", "kid", "young boy"),
    "girl": ("girl", "girl", "child", "kid", "young girl"),
}
NEUTRAL_SUBJECTS = ("person", "person", "pedestrian", "someone", "individual")
UPPER_WORDS = {
    "jacket": ("jacket", "jacket", "jacket", "zip-up jacket", "coat"),
    "hooded jacket": ("hooded jacket", "jacket with a hood", "hooded coat", "jacket", "parka", "anorak"),
    "leather jacket": ("leather jacket", "jacket", "shiny jacket"),
    "padded jacket": ("padded jacket", "puffer jacket", "down jacket", "jacket", "quilted jacket", "winter jacket"),
    "suit jacket": ("suit jacket", "blazer", "jacket"),
    "coat": ("coat", "long coat", "overcoat", "coat", "long jacket", "trench coat", "raincoat"),
    "vest": ("vest", "sleeveless jacket", "body warmer", "waistcoat", "gilet"),
    "cardigan": ("cardigan", "knitted cardigan", "sweater"),
    "hoodie": ("hoodie", "hooded sweatshirt", "hooded top", "sweatshirt"),
    "sweater": ("sweater", "jumper", "pullover", "top", "knitted sweater"),
    "shirt": ("shirt", "shirt", "button-up shirt", "dress shirt"),
    "t-shirt": ("t-shirt", "tshirt", "tee", "shirt", "top"),
    "polo shirt": ("polo shirt", "polo", "shirt"),
    "tank top": ("tank top", "sleeveless top", "sleeveless shirt", "top", "singlet"),
    "blouse": ("blouse", "top", "shirt"),
    "dress": ("dress", "dress", "gown"),
    "fur coat": ("fur coat", "fur coat", "fluffy coat", "furry coat", "faux fur coat", "fluffy jacket", "fur jacket"),
}
LOWER_WORDS = {
    "jeans": ("jeans", "jeans", "jeans", "denim jeans", "pants", "denim trousers"),
    "trousers": ("trousers", "pants", "pants", "slacks", "trousers", "chinos"),
    "shorts": ("shorts", "shorts", "short pants"),
    "tracksuit bottoms": ("tracksuit bottoms", "sweatpants", "track pants", "jogging pants", "trousers"),
    "skirt": ("skirt",),
    "leggings": ("leggings", "tights", "tight pants"),
}
SHOE_WORDS = {
    "sneakers": ("sneakers", "trainers", "sports shoes", "shoes", "running shoes"),
    "shoes": ("shoes", "shoes", "leather shoes"),
    "boots": ("boots", "boots", "shoes"),
    "sandals": ("sandals", "shoes"),
}
BAG_WORDS = {
    "backpack": ("backpack", "backpack", "rucksack", "bag on the back"),
    "shoulder bag": ("shoulder bag", "bag over the shoulder", "messenger bag", "bag with a strap", "bag"),
    "handbag": ("handbag", "purse", "bag"),
    "plastic bag": ("plastic bag", "shopping bag", "carrier bag", "bag"),
    "suitcase": ("suitcase", "rolling suitcase", "trolley case"),
    "briefcase": ("briefcase", "case", "bag"),
}
HIGH_VISIBILITY_WORDS = (
    "high-visibility vest", "high visibility vest", "hi-vis vest", "hi-viz vest", "high-vis vest", "reflective vest",
    "safety vest", "reflective safety vest", "hi-vis jacket", "high-visibility jacket", "reflective work vest",
)  # fmt: skip
UNCOMMON_HEADWEAR_WORDS = {
    "helmet": ("helmet", "bike helmet", "bicycle helmet", "cycling helmet"),
    "hard hat": ("hard hat", "helmet", "safety helmet", "construction helmet", "hard hat"),
    "headscarf": ("headscarf", "headscarf", "hijab", "head scarf", "scarf over the head", "shawl over the head"),
    "straw hat": ("straw hat", "straw hat", "sun hat", "wide-brimmed hat", "hat", "summer hat"),
    "wide-brimmed hat": ("wide-brimmed hat", "hat with a wide brim", "wide hat", "brimmed hat", "hat"),
}
VEHICLE_WORDS = {
    "bicycle": ("bicycle", "bike", "bike", "push bike"),
    "ridden bicycle": ("bicycle", "bike", "bike", "bicycle"),
    "pushchair": ("pushchair", "stroller", "pram", "buggy", "baby carriage", "baby stroller"),
    "shopping trolley": ("shopping trolley", "shopping cart", "trolley", "supermarket trolley"),
}
HANDHELD_WORDS = {
    "phone": ("a phone", "a mobile phone", "a cell phone"),
    "paper": ("a sheet of paper", "a white paper", "some papers"),
    "bottle": ("a bottle", "a water bottle"),
    "folder": ("a folder", "a brown folder", "a notebook"),
}
PATTERN_WORDS = {
    "striped": ("striped", "horizontally striped"),
    "checked": ("checked", "plaid", "checkered"),
    "dotted": ("dotted", "polka dot", "spotted"),
}
DARK = {"black", "dark grey", "dark blue", "dark green", "brown", "dark red"}
LIGHT = {"white", "light grey", "beige", "light blue", "pink", "yellow"}
CASUAL_DARK = {"black", "dark grey", "dark blue"}
CASUAL_LIGHT = {"white", "light grey", "beige", "light blue"}
