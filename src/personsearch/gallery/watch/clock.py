"""When a frame was taken: by our clock, whatever the network did to it on the way, and by the camera's.

A stream's timestamps say how far apart frames were taken, but not when. The packet that needed least time on its way
tells the distance between its timestamps and our clock, and every other packet is as late as it exceeds that distance.
"""

MOST_LATE = 30.0
JUMP_BACK = 1.0
DRIFT = 2e-4  # seconds per second by which a camera's oscillator may be slow


class StreamClock:
    """Follows one connection. Times are seconds of a monotonic clock of ours; `now` is when a packet arrived."""

    def __init__(self) -> None:
        self._distance: float | None = None
        self._latest = 0.0

    def arrived(self, timestamp: float | None, now: float) -> float:
        """When a packet with this timestamp was taken, `now` at the latest."""
        if timestamp is None:
            return now
        if self._distance is None or self._jumped(timestamp, now):
            self._distance, self._latest = now - timestamp, timestamp
        passed = max(0.0, timestamp - self._latest)
        self._distance = min(self._distance + DRIFT * passed, now - timestamp)
        self._latest = max(self._latest, timestamp)
        return timestamp + self._distance

    def taken(self, timestamp: float | None, now: float) -> float:
        """When a frame with this timestamp was taken, if its packet has arrived."""
        return now if timestamp is None or self._distance is None else min(timestamp + self._distance, now)

    def _jumped(self, timestamp: float, now: float) -> bool:
        """Whether the stream's time started again: it ran backwards, or fell behind by more than a network delays."""
        assert self._distance is not None
        return timestamp < self._latest - JUMP_BACK or now - timestamp - self._distance > MOST_LATE
