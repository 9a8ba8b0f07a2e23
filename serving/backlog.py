"""How far the index is behind the gallery."""

import threading
import time
from collections.abc import Callable

from personsearch.gallery.store import Gallery
from serving.live import LiveWatcher

KEPT_SECONDS = 2.0


class Backlog:
    """Counts the crops of the gallery that the live collection does not hold yet; asks at most every two seconds."""

    def __init__(self, gallery: Gallery, live: LiveWatcher, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._gallery = gallery
        self._live = live
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: tuple[float, int] | None = None

    def crops(self) -> int:
        """0 before there is a live collection: then a gallery is being filled for the first."""
        indexed = self._live.crops
        if indexed is None:
            return 0
        with self._lock:
            now = self._clock()
            if self._counted is None or now - self._counted[0] >= KEPT_SECONDS:
                self._counted = now, self._gallery.count()
            return max(0, self._counted[1] - indexed)
