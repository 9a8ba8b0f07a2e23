"""Text augmentation: a caption swapped for its back-translation, then edits of its words.

The edits are those of EDA (Wei and Zou 2019) and of CTLG's approximate texts. Each takes a text of words with single
spaces, a probability and a generator; at probability 0 it changes nothing. Synonyms come from a packaged table of
WordNet 3.1; `infra/build_synonyms.py` builds it and says what it leaves out (words of colour, for one).
"""

import gzip
import string
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

import numpy as np
from pydantic import Field

from personsearch.config import Config
from personsearch.data.records import ImageRecord

Edit = Callable[[str, float, np.random.Generator], str]
APPROXIMATE_STRENGTH = 0.2
SYNONYMS = "synonyms.tsv.gz"
PUNCTUATION = string.punctuation + "“”‘’„…–—"


class TextAugmentationConfig(Config):
    """Probabilities of edits to a caption; TBPS-CLIP's choice by default."""

    back_translation: float = Field(default=0.1, ge=0, le=1)
    """Per caption: replace it by its back-translation, where the data set has one."""

    synonym_replacement: float = Field(default=0.0, ge=0, le=1)
    """Per word: replace it by a synonym."""

    random_insertion: float = Field(default=0.0, ge=0, le=1)
    """Per word: insert a synonym of a random word of the caption at a random place."""

    random_swap: float = Field(default=0.0, ge=0, le=1)
    """Per word: swap it with another word."""

    random_deletion: float = Field(default=0.05, ge=0, lt=1)
    """Per word: delete it."""

    eda: float = Field(default=0.0, ge=0, lt=1)
    """Per word: the probability in whichever of the four edits above is drawn for the caption (EDA)."""

    approximate_text: float = Field(default=0.0, ge=0, le=1)
    """Per caption: replace, cut out or delete a fifth of its words (CTLG uses 0.5)."""


def augment_caption(
    config: TextAugmentationConfig, record: ImageRecord, caption: int, generator: np.random.Generator
) -> str:
    """One caption of an image as the model sees it in one epoch; another generator gives another view of it."""
    return edit_caption(config, choose_wording(config, record, caption, generator), generator)


def edit_caption(config: TextAugmentationConfig, text: str, generator: np.random.Generator) -> str:
    """The text after all edits of its words."""
    for name, edit in EDITS.items():
        probability: float = getattr(config, name)
        if probability > 0:  # an edit that is off draws nothing, so that adding one does not change the others
            text = edit(text, probability, generator)
    return text


def choose_wording(
    config: TextAugmentationConfig, record: ImageRecord, caption: int, generator: np.random.Generator
) -> str:
    """A caption, or its back-translation."""
    swap = generator.random() < config.back_translation  # drawn for every caption, translated or not
    translations = record.captions_bt
    known = translations is not None and caption < len(translations) and translations[caption].strip()
    return translations[caption] if swap and translations and known else record.captions[caption]


def replace_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """Replace each word that has a synonym by one, with `probability`."""
    words = text.split()
    for place in _hits(words, probability, generator):
        words[place] = _synonym(words[place], generator)
    return " ".join(words)


def insert_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """For each word with `probability`, insert a synonym of a random word at a random place."""
    words = text.split()
    sources = [bare_word(word) for word in words if has_synonym(word)]
    for _ in _hits(words, probability, generator) if sources else []:
        added = _synonym(sources[_below(len(sources), generator)], generator)
        words.insert(_below(len(words) + 1, generator), added)
    return " ".join(words)


def swap_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """Swap each word with a random other word, with `probability`."""
    words = text.split()
    for place in _hits(words, probability, generator) if len(words) > 1 else []:
        # an offset of 1 to n - 1 draws among the others only: a word never swaps with itself
        other = (place + 1 + _below(len(words) - 1, generator)) % len(words)
        words[place], words[other] = words[other], words[place]
    return " ".join(words)


def delete_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """Delete each word with `probability`; keep one random word if all would go."""
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
    """One of EDA's four edits, drawn for each text."""
    return EDA[_below(len(EDA), generator)](text, probability, generator)


def approximate(text: str, probability: float, generator: np.random.Generator) -> str:
    """CTLG's approximate text: with `probability`, replace, cut out or delete words at strength 0.2."""
    if generator.random() >= probability:
        return text
    return APPROXIMATE[_below(len(APPROXIMATE), generator)](text, APPROXIMATE_STRENGTH, generator)


EDA: tuple[Edit, ...] = (replace_words, insert_words, swap_words, delete_words)
APPROXIMATE: tuple[Edit, ...] = (replace_words, crop_words, delete_words)
EDITS: dict[str, Edit] = {
    "synonym_replacement": replace_words,
    "random_insertion": insert_words,
    "random_swap": swap_words,
    "random_deletion": delete_words,
    "eda": edit_by_eda,
    "approximate_text": approximate,
}
"""The edits by their names in a recipe, in the order in which they are applied."""


def bare_word(token: str) -> str:
    """The token in lower case, without surrounding punctuation."""
    return token.strip(PUNCTUATION).lower()


def has_synonym(token: str) -> bool:
    """Whether the token's word is in the table."""
    return bare_word(token) in _synonyms()


def synonyms_of(token: str) -> tuple[str, ...]:
    """The token with each synonym in place of its word, the commonest sense first; capital and punctuation are kept."""
    if not has_synonym(token):
        return ()
    others = _synonyms()[bare_word(token)].split()
    before, word, after = token.partition(token.strip(PUNCTUATION))
    return tuple(f"{before}{other.capitalize() if word[:1].isupper() else other}{after}" for other in others)


@cache
def _synonyms() -> Mapping[str, str]:
    packed = files(__package__).joinpath(SYNONYMS).read_bytes()
    rows = (line.partition("\t") for line in gzip.decompress(packed).decode().splitlines())
    return {word: others for word, _, others in rows}


def _hits(words: list[str], probability: float, generator: np.random.Generator) -> list[int]:
    """The indices of the words to edit."""
    return np.flatnonzero(generator.random(len(words)) < probability).tolist()


def _synonym(token: str, generator: np.random.Generator) -> str:
    others = synonyms_of(token)
    return others[_below(len(others), generator)] if others else token


def _below(count: int, generator: np.random.Generator) -> int:
    return int(generator.integers(count))
