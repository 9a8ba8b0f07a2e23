"""The interface of every encoder: turns images and texts into vectors of one space.

Shapes: N items, H height, W width, D embedding dimension.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Preprocessing


class Encoder(Protocol):
    """Both methods return L2-normalised float32 [N, D]; an empty input gives [0, D]."""

    @property
    def preprocessing(self) -> Preprocessing: ...

    @property
    def embedding_dim(self) -> int: ...

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels already resized to the model's height and width (`images.resize`)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    def text_cut_after(self, text: str) -> int | None:
        """How many characters of a text are read, in whole words; None if it is read to its end."""
        ...
