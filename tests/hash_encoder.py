"""A model without weights: everything has its own vector."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Preprocessing


class HashEncoder:
    """A unit vector drawn from the hash of each input: deterministic, spread out, different for each `model`."""

    preprocessing = Preprocessing(height=4, width=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    embedding_dim = 8

    def __init__(self, model: str = "1") -> None:
        self.model = model
        self.images_encoded = 0

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.images_encoded += len(pixels_NHW3)
        return self._vectors([pixels.tobytes() for pixels in pixels_NHW3])

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._vectors([text.encode() for text in texts])

    def text_cut_after(self, text: str) -> int | None:
        return None

    def _vectors(self, inputs: list[bytes]) -> NDArray[np.float32]:
        seeds = [hashlib.sha256(self.model.encode() + item).digest() for item in inputs]
        rows = [np.random.default_rng(np.frombuffer(seed, np.uint32)).normal(size=8) for seed in seeds]
        vectors_ND = np.array(rows).reshape(-1, 8)
        return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
