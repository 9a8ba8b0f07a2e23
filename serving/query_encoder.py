"""Encodes queries and caches the latest: people often change a filter and search for the same words again.

Shapes: N items, H height, W width, D embedding dimension.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Preprocessing
from personsearch.encoders.encoder import Encoder
from personsearch.tracing import step
from serving.metrics import Metrics

KEPT_QUERIES = 256


class QueryEncoder:
    """An Encoder that caches the text vectors of another one. Any number of threads may use it."""

    def __init__(self, encoder: Encoder, *, metrics: Metrics, kept: int = KEPT_QUERIES) -> None:
        self._encoder = encoder
        self._metrics = metrics
        self._kept = kept
        self._lock = threading.Lock()
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    @property
    def preprocessing(self) -> Preprocessing:
        return self._encoder.preprocessing

    @property
    def embedding_dim(self) -> int:
        return self._encoder.embedding_dim

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        with step("encode image"):
            return self._encoder.encode_images(pixels_NHW3)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return self._encoder.encode_texts(texts)
        return np.stack([self._encode(text) for text in texts])

    def text_cut_after(self, text: str) -> int | None:
        return self._encoder.text_cut_after(text)

    def _encode(self, text: str) -> NDArray[np.float32]:
        with self._lock:
            if text in self._vectors:
                self._vectors.move_to_end(text)
                return self._vectors[text]
        # not under the lock, so that one query does not wait for another; two equal ones may both be encoded
        with self._metrics.encode_seconds.time(), step("encode text"):
            vector_D: NDArray[np.float32] = self._encoder.encode_texts([text])[0]
        with self._lock:
            self._vectors[text] = vector_D
            if len(self._vectors) > self._kept:
                self._vectors.popitem(last=False)
        return vector_D
