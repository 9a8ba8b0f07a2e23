"""The words for what people wear and carry, by the part of the body where it is."""

from typing import Literal

Part = Literal["upper", "lower", "whole", "shoes", "bag", "headwear"]

WORDS_OF_PART: dict[Part, str] = {
    "upper": "shirt shirts t-shirt tshirt tee top blouse sweater sweatshirt jumper pullover cardigan hoodie hoody "
    "jacket jackets coat overcoat raincoat parka blazer vest waistcoat polo windbreaker anorak tunic jersey turtleneck",
    "lower": "pants pant trousers jeans jean shorts skirt leggings tights slacks sweatpants joggers bottoms capris "
    "chinos miniskirt",
    "whole": "dress gown suit jumpsuit tracksuit uniform outfit overalls robe sundress",
    "shoes": "shoes shoe sneakers trainers boots sandals heels flats loafers slippers footwear flip-flops",
    "bag": "bag bags backpack rucksack handbag purse suitcase briefcase satchel tote knapsack luggage schoolbag pack "
    "bookbag",
    "headwear": "hat cap beanie helmet",
}
PART_OF_WORD: dict[str, Part] = {word: part for part, words in WORDS_OF_PART.items() for word in words.split()}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LONG = _words("coat overcoat raincoat parka tunic")
"""Words of the upper part for garments that may reach to the knees."""
NOT_OF_A_PHRASE = _words(
    "a an the this that these those his her their its he she they it who which is are was were be been has have had "
    "wears wearing worn wore dressed carries carrying holding holds with without in on over under of at by from to "
    "into and or but while as for both some other another one two hair haired eyes skin glasses sunglasses rimmed "
    "stripes stripe dots logo print lettering writing design socks tie belt scarf gloves watch phone umbrella hood not "
    "also very walking standing seen facing looking"
)
"""Words that end a noun phrase, or show that its colour belongs to something other than the garment."""
DETAILS = _words(
    "collar collars sleeve sleeves strap straps lace laces sole soles pocket pockets trim trimming lining zipper cuffs "
    "stripes stripe logo hem buttons"
)
"""Words that take over the colour when they follow a garment: in "a white shirt collar" the collar is white."""
WHOLE_OUTFIT = _words("clothes clothing attire clothed colours colors matching all")
"""Words of captions that describe several garments at once."""
