"""Does the model read colours? A true caption must score above the same caption with one colour swapped.

Shapes: S captions with a colour, D embedding dimension.
"""

import re

import numpy as np

from personsearch.encoders.encoder import Encoder
from personsearch.evaluation.embeddings import SplitEmbeddings

OPPOSITES = {
    "black": "white",
    "white": "black",
    "red": "green",
    "green": "red",
    "blue": "orange",
    "orange": "blue",
    "yellow": "purple",
    "purple": "yellow",
    "pink": "brown",
    "brown": "pink",
    "grey": "red",
    "gray": "red",
    "navy": "yellow",
    "beige": "blue",
}
COLOUR = re.compile(rf"\b({'|'.join(OPPOSITES)})\b", re.IGNORECASE)


def swap_colour(caption: str) -> str | None:
    """The caption with its first colour replaced by a very different one; None if it names no colour."""
    swapped, count = COLOUR.subn(lambda match: OPPOSITES[match[0].lower()], caption, count=1)
    return swapped if count else None


def colour_swap_accuracy(encoder: Encoder, embeddings: SplitEmbeddings, most: int) -> float | None:
    """Percentage of captions that score above their swapped form, among at most `most`; None if none has a colour."""
    pairs = [(index, swapped) for index, caption in enumerate(embeddings.captions) if (swapped := swap_colour(caption))]
    if not pairs:
        return None
    chosen = [pairs[index] for index in np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).astype(int))]
    rows_S = np.array([index for index, _ in chosen])
    image_SD = embeddings.image_GD[embeddings.image_of_caption[rows_S]]
    true_S = (image_SD * embeddings.text_QD[rows_S]).sum(axis=1)
    swapped_S = (image_SD * encoder.encode_texts([swapped for _, swapped in chosen])).sum(axis=1)
    return 100.0 * float((true_S > swapped_S).mean())
