"""Edits of a caption's words, each word by its own chance (EDA, Wei and Zou 2019; CTLG's approximate texts).

An edit takes a text of words with single spaces, a probability and a generator; at probability 0 it changes nothing.
"""

from collections.abc import Callable

import numpy as np

from personsearch.augmentation.synonyms import bare_word, has_synonym, synonyms_of

Edit = Callable[[str, float, np.random.Generator], str]
APPROXIMATE_STRENGTH = 0.2


def replace_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """Put a synonym in the place of each word that has one, with `probability`."""
    words = text.split()
    for place in _hits(words, probability, generator):
        words[place] = _synonym(words[place], generator)
    return " ".join(words)


def insert_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """For each word with `probability`, put a synonym of some word of the text somewhere into it."""
    words = text.split()
    sources = [bare_word(word) for word in words if has_synonym(word)]
    for _ in _hits(words, probability, generator) if sources else []:
        added = _synonym(sources[_below(len(sources), generator)], generator)
        words.insert(_below(len(words) + 1, generator), added)
    return " ".join(words)


def swap_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """Let each word change places with some other, with `probability`."""
    words = text.split()
    for place in _hits(words, probability, generator) if len(words) > 1 else []:
        other = (place + 1 + _below(len(words) - 1, generator)) % len(words)
        words[place], words[other] = words[other], words[place]
    return " ".join(words)


def delete_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """Drop each word with `probability`; one random word stays when all would go."""
    words = text.split()
    if probability == 0 or len(words) < 2:
        return text
    kept = [word for word, draw in zip(words, generator.random(len(words)), strict=True) if draw >= probability]
    return " ".join(kept) if kept else words[_below(len(words), generator)]


def crop_words(text: str, share: float, generator: np.random.Generator) -> str:
    """Cut a run of words out of a random place: that share of the text, at least one word and never all."""
    words = text.split()
    if share == 0 or len(words) < 2:
        return text
    length = min(max(round(share * len(words)), 1), len(words) - 1)
    start = _below(len(words) - length + 1, generator)
    return " ".join(words[:start] + words[start + length :])


def edit_by_eda(text: str, probability: float, generator: np.random.Generator) -> str:
    """One of EDA's four edits, drawn anew for each text."""
    return EDA[_below(len(EDA), generator)](text, probability, generator)


def approximate(text: str, probability: float, generator: np.random.Generator) -> str:
    """CTLG's approximate text generation: with `probability` one of synonyms, a crop, deletion, at strength .2."""
    if generator.random() >= probability:
        return text
    return APPROXIMATE[_below(len(APPROXIMATE), generator)](text, APPROXIMATE_STRENGTH, generator)


EDA: tuple[Edit, ...] = (replace_words, insert_words, swap_words, delete_words)
APPROXIMATE: tuple[Edit, ...] = (replace_words, crop_words, delete_words)


def _hits(words: list[str], probability: float, generator: np.random.Generator) -> list[int]:
    """The places of the words that are to be edited."""
    return np.flatnonzero(generator.random(len(words)) < probability).tolist()


def _synonym(token: str, generator: np.random.Generator) -> str:
    others = synonyms_of(token)
    return others[_below(len(others), generator)] if others else token


def _below(count: int, generator: np.random.Generator) -> int:
    return int(generator.integers(count))
