"""How many streams of alerts are open: each is a connection that stays."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

OF_ONE = 10
OF_ALL = 200


class Streams:
    """Counts the open streams of each caller."""

    def __init__(self, *, of_one: int = OF_ONE, of_all: int = OF_ALL) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def has_room(self, caller: str) -> bool:
        """Whether a caller may open one more."""
        with self._lock:
            return self._open[caller] < self._of_one and self._open.total() < self._of_all

    @contextmanager
    def opened(self, caller: str) -> Iterator[None]:
        """Count one for as long as the block runs."""
        with self._lock:
            self._open[caller] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[caller] -= 1
