"""Which crops the audit log already says a caller was shown."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

KEPT = 100_000
VALID_SECONDS = 3600.0


class ShownCrops:
    """Remembers, for an hour, which crops a record of the audit log names for a caller.

    A search or a track is recorded with the crops that it shows. Their pictures need no record of their own, so only a
    picture that was asked for in another way costs one.
    """

    def __init__(self, *, kept: int = KEPT, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept = kept
        self._clock = clock
        self._lock = threading.Lock()
        self._recorded_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def add(self, caller: str, crop_ids: Iterable[str]) -> None:
        """Remember crops that a record has just named."""
        now = self._clock()
        with self._lock:
            for crop_id in crop_ids:
                self._recorded_at[caller, crop_id] = now
                self._recorded_at.move_to_end((caller, crop_id))
            while len(self._recorded_at) > self._kept:
                self._recorded_at.popitem(last=False)

    def holds(self, caller: str, crop_id: str) -> bool:
        """Whether a record of the last hour names the crop for this caller."""
        with self._lock:
            recorded_at = self._recorded_at.get((caller, crop_id))
        return recorded_at is not None and self._clock() - recorded_at < VALID_SECONDS
