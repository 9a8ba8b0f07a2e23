"""Facts from words: what a sentence states of a person."""

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
from personsearch.data.facts.lexicon import COLOUR_WORDS, HAIR, NOUNS

ADJECTIVES = 4  # how many words before a noun may describe it
WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")
NEGATION = {"no", "without", "not"}
DENYING = 3  # how many words before a noun may deny it: "not wearing a hat"


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
