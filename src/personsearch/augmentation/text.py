"""Text augmentation: the whole sentence swapped for its back-translation, then single words dropped."""

import numpy as np
from pydantic import Field

from personsearch.config import Config
from personsearch.data.records import ImageRecord


class TextAugmentationConfig(Config):
    """TBPS-CLIP's choice: back-translation with probability .1, then each word dropped with probability .05."""

    back_translation: float = Field(default=0.1, ge=0, le=1)
    random_deletion: float = Field(default=0.05, ge=0, lt=1)


def augment_caption(
    config: TextAugmentationConfig, record: ImageRecord, caption: int, generator: np.random.Generator
) -> str:
    """One caption of an image as the model sees it in one epoch."""
    swap = generator.random() < config.back_translation
    translations = record.captions_bt
    known = translations is not None and caption < len(translations) and translations[caption].strip()
    text = translations[caption] if swap and translations and known else record.captions[caption]
    return delete_words(text, config.random_deletion, generator)


def delete_words(text: str, probability: float, generator: np.random.Generator) -> str:
    """Drop each word with `probability`; one random word stays when all would go (EDA, Wei and Zou 2019)."""
    words = text.split()
    if probability == 0 or len(words) < 2:
        return text
    kept = [word for word, draw in zip(words, generator.random(len(words)), strict=True) if draw >= probability]
    return " ".join(kept) if kept else words[int(generator.integers(len(words)))]
