"""What a search asks for, as one vector: descriptions of a person, a picture, and what the person does not have.

A score is a product with the query's vector, so a sum of vectors searches for the sum of their scores, in any engine.
Similarities to texts and to pictures vary by different amounts; each is divided by its own deviation over the gallery
first, so that a weight of one half means half. Shapes: N texts, D embedding dimension.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

QueryKind = Literal["description", "descriptions", "exclusion", "picture", "picture_and_words"]

PICTURE_WEIGHT = 0.5
WITHOUT_WEIGHT = 0.5  # of all negative terms together, beside 1 for what is searched for

Spread = Callable[[NDArray[np.float32]], float]


@dataclass(frozen=True, slots=True)
class Query:
    """`texts` describe one person and are averaged; `without` is what the person does not have; `picture_D` is the
    vector of a picture, which weighs `picture_weight` of 1 beside texts. `other_than` is a track that is not shown, and
    neither is what came into the gallery after `ingested_until`.
    """

    texts: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    picture_D: NDArray[np.float32] | None = None
    picture_weight: float = PICTURE_WEIGHT
    other_than: tuple[str, str, str] | None = None
    ingested_until: datetime | None = None

    @property
    def beyond_description(self) -> str:
        """What makes it more than one description, in words; "" for one alone."""
        given = {
            "pictures": self.picture_D is not None,
            "several descriptions": len(self.texts) > 1,
            "what is excluded": bool(self.without),
        }
        return " and ".join(name for name, is_given in given.items() if is_given)

    @property
    def kind(self) -> QueryKind | None:
        """As what its confidence is calibrated; None for a combination that is no kind of its own."""
        weight = 0.0 if self.picture_D is None else self.picture_weight if self.texts else 1.0
        if self.without:
            return "exclusion" if len(self.texts) == 1 and not weight else None
        if not self.texts or weight == 1:
            return "picture"
        if len(self.texts) == 1:
            return "description" if not weight else "picture_and_words"
        return "descriptions" if not weight else None


def combined(
    text_ND: NDArray[np.float32],
    without_ND: NDArray[np.float32],
    picture_D: NDArray[np.float32] | None,
    picture_weight: float,
    spread: Spread,
) -> NDArray[np.float32]:
    """The unit vector of a query's parts. `spread` is the deviation of a vector's similarities over the gallery."""
    sum_D = np.zeros(text_ND.shape[1], dtype=np.float64)
    shares = 1.0 - picture_weight if picture_D is not None else 1.0
    for text_D in text_ND:
        sum_D += shares / len(text_ND) * text_D / spread(text_D)
    if picture_D is not None:
        weight = picture_weight if len(text_ND) else 1.0
        sum_D += weight * picture_D / spread(picture_D)
    for without_D in without_ND:
        sum_D -= WITHOUT_WEIGHT / len(without_ND) * without_D / spread(without_D)
    unit_D: NDArray[np.float32] = (sum_D / np.linalg.norm(sum_D)).astype(np.float32)
    return unit_D
