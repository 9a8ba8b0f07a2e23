"""Text augmentation: the whole sentence swapped for its back-translation, then its words edited."""

import numpy as np
from pydantic import Field

from personsearch.augmentation import words
from personsearch.config import Config
from personsearch.data.records import ImageRecord

EDITS: dict[str, words.Edit] = {
    "synonym_replacement": words.replace_words,
    "random_insertion": words.insert_words,
    "random_swap": words.swap_words,
    "random_deletion": words.delete_words,
    "eda": words.edit_by_eda,
    "approximate_text": words.approximate,
}
"""The edits by their names in a recipe, in the order in which they are applied."""


class TextAugmentationConfig(Config):
    """Probabilities of edits to a caption; TBPS-CLIP's choice by default."""

    back_translation: float = Field(default=0.1, ge=0, le=1)
    """Per caption: replace it by its back-translation, where the data set has one."""

    synonym_replacement: float = Field(default=0.0, ge=0, le=1)
    """Per word: replace it by a synonym."""

    random_insertion: float = Field(default=0.0, ge=0, le=1)
    """Per word: insert a synonym of some word of the caption."""

    random_swap: float = Field(default=0.0, ge=0, le=1)
    """Per word: swap it with another word."""

    random_deletion: float = Field(default=0.05, ge=0, lt=1)
    """Per word: delete it."""

    eda: float = Field(default=0.0, ge=0, lt=1)
    """Per word, in one of the four edits above, drawn for each caption (EDA)."""

    approximate_text: float = Field(default=0.0, ge=0, le=1)
    """Per caption: replace, crop or delete a fifth of its words (CTLG, .5 there)."""


def augment_caption(
    config: TextAugmentationConfig, record: ImageRecord, caption: int, generator: np.random.Generator
) -> str:
    """One caption of an image as the model sees it in one epoch; another generator gives another view of it."""
    text = _wording(config, record, caption, generator)
    for name, edit in EDITS.items():
        probability: float = getattr(config, name)
        if probability > 0:
            text = edit(text, probability, generator)
    return text


def _wording(config: TextAugmentationConfig, record: ImageRecord, caption: int, generator: np.random.Generator) -> str:
    swap = generator.random() < config.back_translation
    translations = record.captions_bt
    known = translations is not None and caption < len(translations) and translations[caption].strip()
    return translations[caption] if swap and translations and known else record.captions[caption]
