"""Facts from words: a small lexicon of garments, colours, bags and hair; sentences with one word swapped."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from personsearch.data.facts.catalogue import (
    ANY,
    COLOURED_PARTS,
    NEAR_COLOURS,
    NEAR_TYPES,
    TYPES,
    colour_fact,
)

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
NOUNS: dict[str, dict[str, tuple[str, ...]]] = {
    "gender": {
        "man": ("man", "guy", "male", "gentleman", "boy", "he", "his"),
        "woman": ("woman", "lady", "female", "girl", "she", "her"),
        "child": ("child", "kid", "boy", "young girl", "little girl", "toddler"),
    },
    "upper": {
        "coat": ("coat", "long coat", "overcoat", "trench coat", "raincoat"),
        "jacket": ("jacket", "zip-up jacket", "anorak", "parka", "windbreaker", "hooded jacket", "jacket with a hood"),
        "suit jacket": ("suit jacket", "blazer", "suit"),
        "hooded top": ("hoodie", "hooded sweatshirt", "hooded top", "hooded jacket", "jacket with a hood"),
        "sweater": ("sweater", "jumper", "pullover", "sweatshirt"),
        "shirt": ("shirt", "button-up shirt", "dress shirt"),
        "t-shirt": ("t-shirt", "tshirt", "tee", "t shirt"),
        "polo shirt": ("polo shirt", "polo"),
        "tank top": ("tank top", "sleeveless top", "sleeveless shirt", "singlet", "vest top"),
        "vest": ("vest", "sleeveless jacket", "body warmer", "waistcoat", "gilet"),
        "blouse": ("blouse",),
        "cardigan": ("cardigan",),
        "leather jacket": ("leather jacket",),
        "padded jacket": ("padded jacket", "puffer jacket", "down jacket", "quilted jacket", "winter jacket"),
        "dress": ("dress", "gown"),
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
        "brimmed hat": ("brimmed hat", "straw hat", "sun hat"),
        "hood": ("hood over the head", "hood up"),
        "": ("hat", "helmet"),
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
ADJECTIVES = 4  # how many words before a noun may say its colour
WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")
NEGATION = {"no", "without", "not"}


@dataclass(frozen=True, slots=True)
class Mention:
    """A noun of the lexicon in a text: what it names, where it stands (words), the words before it that describe it."""

    part: str
    fact: str
    start: int
    end: int
    colours: tuple[str, ...]
    denied: bool


@dataclass(frozen=True, slots=True)
class Swap:
    """A text with one thing in it made wrong: what kind of thing, and the new text."""

    kind: str
    text: str


def _by_first_word(table: dict[str, list[tuple[str, str]]]) -> dict[str, list[tuple[tuple[str, ...], str, str]]]:
    found: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
    for phrase, meanings in table.items():
        words = tuple(WORD.findall(phrase))
        for part, fact in meanings:
            found.setdefault(words[0], []).append((words, part, fact))
    for entries in found.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return found


def _nouns() -> dict[str, list[tuple[tuple[str, ...], str, str]]]:
    table: dict[str, list[tuple[str, str]]] = {}
    for part, facts in NOUNS.items():
        for fact, phrases in facts.items():
            for phrase in phrases:
                table.setdefault(phrase, []).append((part, fact))
    return _by_first_word(table)


_NOUNS = _nouns()
_COLOURS = _by_first_word({word: [("", name)] for name, words in COLOUR_WORDS.items() for word in words})


def facts_in(text: str) -> dict[str, bool]:
    """The facts that a text states: those it names are true, and those that they rule out false."""
    stated: dict[str, bool] = {}
    for mention in mentions(text):
        for name, value in _stated_by(mention).items():
            if stated.setdefault(name, value) != value:
                stated[name] = True  # "a man … he": a name outweighs what another rules out
    return stated


def mentions(text: str) -> Iterator[Mention]:
    """The nouns of the lexicon in a text, in its order, the longest where several fit."""
    words = WORD.findall(text.lower())
    place = 0
    while place < len(words):
        matches = _matches(_NOUNS, words, place)
        if not matches:
            place += 1
            continue
        length = len(matches[0][0])
        before = words[max(0, place - ADJECTIVES) : place]
        denied = any(word in NEGATION for word in before[-2:])
        for _, part, fact in matches:
            yield Mention(part, fact, place, place + length, _colours_before(words, place), denied)
        place += length


def _matches(
    table: dict[str, list[tuple[tuple[str, ...], str, str]]], words: list[str], place: int
) -> list[tuple[tuple[str, ...], str, str]]:
    """The longest entries that stand at a place; several if one phrase has several meanings."""
    entries = table.get(words[place], [])
    fitting = [entry for entry in entries if tuple(words[place : place + len(entry[0])]) == entry[0]]
    return [entry for entry in fitting if len(entry[0]) == len(fitting[0][0])] if fitting else []


def _colours_before(words: list[str], place: int) -> tuple[str, ...]:
    """Names of the colours in the adjectives before a noun; they end at an article or another noun."""
    start = place
    while start > 0 and place - start < ADJECTIVES and words[start - 1] not in {"a", "an", "the", "with", "in", "has"}:
        if _matches(_NOUNS, words, start - 1) and words[start - 1] not in ("striped", "checked", "plaid", "dotted"):
            break
        start -= 1
    found, at = [], start
    while at < place:
        match = _matches(_COLOURS, words, at)
        if match and at + len(match[0][0]) <= place:
            found.append(match[0][2])
            at += len(match[0][0])
        else:
            at += 1
    return tuple(dict.fromkeys(found))


def _stated_by(mention: Mention) -> dict[str, bool]:
    part, fact = mention.part, mention.fact
    if mention.denied:
        general = next((name for name, of in ANY.items() if of == part), None)
        denied = [fact] if fact else []
        return dict.fromkeys(denied + ([general] if general and not fact else []), False)
    stated = {fact: True} if fact else {}
    stated |= _ruled_out(part, fact)
    for name, of in ANY.items():
        if of == part:
            stated[name] = True
    if part in COLOURED_PARTS and len(mention.colours) == 1:
        stated |= _colour_stated(part, mention.colours[0])
    if fact in ("skirt", "dress"):
        stated["skirt or dress"] = True
    elif part == "lower":
        stated["skirt or dress"] = False
    return stated


def _ruled_out(part: str, fact: str) -> dict[str, bool]:
    """What cannot be if this is: the other gender, another lower garment, another length of hair."""
    if fact in ("man", "woman"):
        return {"woman" if fact == "man" else "man": False}
    if fact in ("short hair", "bald"):
        return dict.fromkeys(("long hair", "ponytail", "bun"), False)
    if fact in ("long hair", "ponytail", "bun"):
        return dict.fromkeys(("short hair", "bald"), False)
    if part in ("lower", "sleeves", "pattern") and fact:
        return {name: False for name in TYPES[part] if name != fact and not _alike(name, fact)}
    return {}


def _alike(name: str, fact: str) -> bool:
    """Whether two types are called by each other's names."""
    values = {value for types in TYPES.values() for value in types.get(fact, ())}
    return bool(values & set(NEAR_TYPES.get(name, ())))


def _colour_stated(part: str, colour: str) -> dict[str, bool]:
    far = (name for name in NEAR_COLOURS if name != colour and name not in NEAR_COLOURS[colour])
    return {colour_fact(part, colour): True} | {colour_fact(part, name): False for name in far}


SWAPS: dict[str, tuple[tuple[str, str], ...]] = {
    "gender": (("woman", "man"), ("lady", "gentleman"), ("she", "he"), ("girl", "boy"), ("female", "male")),
    "bag": (("backpack", "suitcase"), ("shoulder bag", "backpack"), ("handbag", "backpack"), ("rucksack", "handbag")),
    "headwear": (("cap", "beanie"), ("hat", "hood"), ("baseball cap", "brimmed hat")),
    "upper garment": (
        ("coat", "t-shirt"), ("jacket", "t-shirt"), ("hoodie", "shirt"), ("sweater", "coat"), ("blouse", "jacket"),
        ("t-shirt", "coat"), ("shirt", "coat"), ("blazer", "t-shirt"), ("tank top", "jacket"),
    ),
    "lower garment": (("jeans", "shorts"), ("trousers", "skirt"), ("pants", "shorts"), ("skirt", "trousers"),
                      ("shorts", "trousers"), ("leggings", "shorts")),
    "sleeves": (("long-sleeved", "short-sleeved"), ("sleeveless", "long-sleeved")),
    "hair": (("long", "short"), ("bald", "long-haired"), ("ponytail", "bald head")),
    "eyewear": (("glasses", "a beard"),),
    "colour": (
        ("black", "white"), ("red", "green"), ("blue", "yellow"), ("grey", "red"), ("brown", "light blue"),
        ("beige", "purple"), ("pink", "dark green"), ("navy", "orange"),
    ),
}  # fmt: skip
"""Kind → pairs of words that can stand for each other and never mean the same."""
PRONOUNS = {"man": "woman", "he": "she", "him": "her", "his": "her", "woman": "man", "she": "he", "her": "his",
            "lady": "gentleman", "gentleman": "lady", "girl": "boy", "boy": "girl", "female": "male", "male": "female",
            "guy": "lady"}  # fmt: skip


def swapped(text: str) -> list[Swap]:
    """For each kind of thing that the text names: the same text with it made wrong."""
    swaps = []
    for kind, pairs in SWAPS.items():
        changed = _regendered(text) if kind == "gender" else _replaced(text, pairs)
        if changed is not None and changed != text:
            swaps.append(Swap(kind, changed))
    return swaps


def _regendered(text: str) -> str | None:
    """Every noun and pronoun of gender turned, so that the sentence still agrees with itself."""
    if not re.search(r"\b(man|woman|lady|gentleman|girl|boy|male|female|guy)\b", text, re.IGNORECASE):
        return None
    pattern = re.compile(rf"\b({'|'.join(PRONOUNS)})\b", re.IGNORECASE)
    return pattern.sub(lambda match: _cased(PRONOUNS[match[0].lower()], match[0]), text)


def _replaced(text: str, pairs: tuple[tuple[str, str], ...]) -> str | None:
    """The first word that a pair knows, replaced by its counterpart."""
    found = []
    for first, second in pairs:
        match = re.search(rf"(?<![\w-]){re.escape(first)}(?![\w-])", text, re.IGNORECASE)
        if match:
            found.append((match.start(), match, second))
    if not found:
        return None
    _, match, other = min(found, key=lambda entry: entry[0])
    return text[: match.start()] + _cased(other, match[0]) + text[match.end() :]


def _cased(word: str, like: str) -> str:
    return word.capitalize() if like[:1].isupper() else word
