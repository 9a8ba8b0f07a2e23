"""Queries to vectors: the model's text tower, with the last queries kept, since people narrow a search step by step.

Shapes: N texts, D embedding dimension.
"""

import threading
import time
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from personsearch.search.encoder import Encoder
from serving.metrics import Metrics

KEPT_QUERIES = 256


class QueryEncoder:
    """Encodes one text at a time and remembers the latest. Any number of threads may use it."""

    def __init__(self, encoder: Encoder, *, metrics: Metrics, kept: int = KEPT_QUERIES) -> None:
        self._encoder = encoder
        self._metrics = metrics
        self._kept = kept
        self._lock = threading.Lock()
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def encode(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a text, [1, D]."""
        with self._lock:
            if text in self._vectors:
                self._vectors.move_to_end(text)
                return self._vectors[text]
        start = time.perf_counter()
        vector_1D = self._encoder.encode_texts([text])
        self._metrics.encode_seconds.observe(time.perf_counter() - start)
        with self._lock:
            self._vectors[text] = vector_1D
            if len(self._vectors) > self._kept:
                self._vectors.popitem(last=False)
        return vector_1D
