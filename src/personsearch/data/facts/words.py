"""Facts from words, and sentences with one thing in them made wrong: "with a backpack" becomes "with a suitcase"."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from personsearch.data.facts.catalogue import (
    ANY,
    COLOURED_PARTS,
    NEAR_COLOURS,
    NEAR_TYPES,
    TYPES,
    colour_fact,
)
from personsearch.data.facts.lexicon import (
    COLOUR_WORDS,
    HAIR,
    KINDS,
    NOUNS,
    WRONG_COLOURS,
    WRONG_GENDER,
    WRONG_HAIR,
    WRONG_NOUNS,
    WRONG_SLEEVES,
)

ADJECTIVES = 4  # how many words before a noun may describe it
WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")
NEGATION = {"no", "without", "not"}
DENYING = 3  # how many words before a noun may deny it: "not wearing a hat"
GENDER_NOUN = re.compile(r"\b(man|woman|lady|gentleman|girl|boy|male|female|guy)\b", re.IGNORECASE)
GENDER_WORD = re.compile(rf"\b({'|'.join(WRONG_GENDER)})\b", re.IGNORECASE)
UNCOLOURED = ("hair", "gender", "sleeves", "pattern", "beard", "eyewear")


@dataclass(frozen=True, slots=True)
class Mention:
    """A noun of the lexicon in a text: what it names, where it stands (words), the words before it that describe it.

    `start` is the first word of the noun, `colours` are names of the catalogue's colours.
    """

    part: str
    fact: str
    start: int
    end: int
    colours: tuple[str, ...]
    denied: bool
    adjectives: tuple[str, ...] = ()


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
        end = place + len(matches[0][0])
        adjectives = words[_start_of_phrase(words, place) : place]
        colours = tuple(dict.fromkeys(name for _, _, name in colour_spans(adjectives) or _said_after(words, end)))
        for _, part, fact in matches:
            yield Mention(part, fact, place, end, colours, _is_denied(words, place), tuple(adjectives))
        place = end


def _is_denied(words: list[str], place: int) -> bool:
    """Whether a word shortly before denies the noun: "no bag", "not wearing a hat", but not "no bag but a hat"."""
    for before in range(place - 1, max(-1, place - 1 - DENYING), -1):
        if words[before] in NEGATION:
            return True
        if _matches(_NOUNS, words, before):
            return False
    return False


def _matches(
    table: dict[str, list[tuple[tuple[str, ...], str, str]]], words: list[str], place: int
) -> list[tuple[tuple[str, ...], str, str]]:
    """The longest entries that stand at a place; several if one phrase has several meanings."""
    entries = table.get(words[place], [])
    fitting = [entry for entry in entries if tuple(words[place : place + len(entry[0])]) == entry[0]]
    return [entry for entry in fitting if len(entry[0]) == len(fitting[0][0])] if fitting else []


def _start_of_phrase(words: list[str], place: int) -> int:
    """Where the adjectives before a noun start: after an article or another noun."""
    start = place
    while start > 0 and place - start < ADJECTIVES and words[start - 1] not in {"a", "an", "the", "with", "in", "has"}:
        if _matches(_NOUNS, words, start - 1) and words[start - 1] not in ("striped", "checked", "plaid", "dotted"):
            break
        start -= 1
    return start


def colour_spans(words: list[str]) -> list[tuple[int, int, str]]:
    """The colours that the words name: first word, word after the last, and the catalogue's name."""
    found, at = [], 0
    while at < len(words):
        match = _matches(_COLOURS, words, at)
        if match:
            found.append((at, at + len(match[0][0]), match[0][2]))
        at = found[-1][1] if match else at + 1
    return found


def _said_after(words: list[str], end: int) -> list[tuple[int, int, str]]:
    """The colour in "his coat is dark red"."""
    if end < len(words) and words[end] in ("is", "are"):
        return [found for found in colour_spans(words[end + 1 : end + 1 + ADJECTIVES]) if found[0] == 0]
    return []


def _stated_by(mention: Mention) -> dict[str, bool]:
    part, fact = mention.part, mention.fact
    if mention.denied:
        general = next((name for name, of in ANY.items() if of == part), None)
        denied = [fact] if fact else []
        return dict.fromkeys(denied + ([general] if general and not fact else []), False)
    stated = {fact: True} if fact else {}
    stated |= _ruled_out(part, fact)
    if part == "hair" and not fact:
        stated |= _hair_stated(mention.adjectives)
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


def _hair_stated(adjectives: tuple[str, ...]) -> dict[str, bool]:
    """What "long dark hair" says; "dark blond" and "light brown" are what their last word says."""
    facts = [HAIR[word] for word in adjectives if word in HAIR]
    lengths = [fact for fact in facts if fact in TYPES["hair"]]
    colours = [fact for fact in facts if fact in TYPES["hair colour"]][-1:]
    stated: dict[str, bool] = {}
    for fact in lengths:
        stated |= {fact: True} | _ruled_out("hair", fact)
    for fact in colours:
        stated |= dict.fromkeys(TYPES["hair colour"], False) | {fact: True}
    return stated


def _alike(name: str, fact: str) -> bool:
    """Whether two types are called by each other's names."""
    values = {value for types in TYPES.values() for value in types.get(fact, ())}
    return bool(values & set(NEAR_TYPES.get(name, ())))


def _colour_stated(part: str, colour: str) -> dict[str, bool]:
    far = (name for name in NEAR_COLOURS if name != colour and name not in NEAR_COLOURS[colour])
    return {colour_fact(part, colour): True} | {colour_fact(part, name): False for name in far}


def swapped(text: str) -> list[Swap]:
    """For each kind of thing that the text names: the same text with it made wrong."""
    swaps = [Swap("gender", changed)] if (changed := _other_gender(text)) else []
    found = list(mentions(text))
    for part, kind in KINDS.items():
        options = (_wrong_noun(text, mention) for mention in found if mention.part == part and not mention.denied)
        swaps += [Swap(kind, changed) for changed in _first(options)]
    colours = (_wrong_colour(text, mention) for mention in found if mention.part not in UNCOLOURED)
    return swaps + [Swap("colour", changed) for changed in _first(colours)]


def _first(options: Iterator[str | None]) -> list[str]:
    """The first text that could be made, if any."""
    return [option for option in options if option is not None][:1]


def _other_gender(text: str) -> str | None:
    """Every noun and pronoun of gender turned, so that the sentence still agrees with itself."""
    if not GENDER_NOUN.search(text):
        return None
    return GENDER_WORD.sub(lambda match: _cased(WRONG_GENDER[match[0].lower()], match[0]), text)


def _wrong_noun(text: str, mention: Mention) -> str | None:
    if mention.part == "sleeves":
        return _replaced(text, mention.start, mention.end, _wrong_word(WRONG_SLEEVES))
    if mention.part == "hair":
        first = mention.start - len(mention.adjectives)
        return _replaced(text, first, mention.end, _wrong_word(WRONG_HAIR))
    noun = WRONG_NOUNS[mention.part].get(mention.fact)
    if noun is None or (mention.part == "eyewear" and re.search(r"\bscarf\b", text, re.IGNORECASE)):
        return None
    return _replaced(text, mention.start, mention.end, lambda _: noun)


def _wrong_word(wrong: dict[str, str]) -> Callable[[str], str]:
    """Replaces the first of these words in a phrase, also where it begins a compound ("long-sleeved")."""
    pattern = re.compile(rf"(?<![\w-])({'|'.join(wrong)})(?!\w)", re.IGNORECASE)
    return lambda phrase: pattern.sub(lambda match: _cased(wrong[match[0].lower()], match[0]), phrase, count=1)


def _wrong_colour(text: str, mention: Mention) -> str | None:
    """The first colour before a noun made wrong."""
    first = mention.start - len(mention.adjectives)
    for start, end, name in colour_spans(list(mention.adjectives)):
        return _replaced(text, first + start, first + end, lambda _, colour=WRONG_COLOURS[name]: colour)  # type: ignore[misc]
    return None


def _replaced(text: str, start: int, end: int, change: Callable[[str], str]) -> str | None:
    """The text with the words from `start` to `end` changed; None if they stay what they are."""
    spans = [match.span() for match in WORD.finditer(text.lower())]
    left, right = spans[start][0], spans[end - 1][1]
    changed = _cased(change(text[left:right]), text[left:right])
    return None if changed == text[left:right] else _article(text[:left], changed) + changed + text[right:]


def _article(before: str, word: str) -> str:
    """The text before a word, with the article that the word needs."""
    return re.sub(r"\b([Aa])n? $", r"\1n " if word[0].lower() in "aeiou" else r"\1 ", before)


def _cased(word: str, like: str) -> str:
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
