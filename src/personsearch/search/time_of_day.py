"""A time of day by each camera's own clock, as conditions on moments in UTC.

Between two changes of a zone's clocks its offset from UTC stays the same, so that a time of day is a range of the
milliseconds that have passed of the UTC day: 22:00 to 06:00 in Vienna is 20:00 to 04:00 UTC until the end of October,
then 21:00 to 05:00. Nothing about it is stored with a crop, so a camera's zone may change without a new collection.

Shapes: N crops.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator

from personsearch.config import Config

DAY = 86_400_000  # milliseconds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = 0, 4_102_444_800_000  # 1970, before which nothing has a time of day, and 2100, whose offset then stays
STEP = timedelta(days=1)  # no zone has changed its clocks twice within one


@dataclass(frozen=True, slots=True)
class Window:
    """The moments from `start` to before `end` of whose UTC day `low` to before `high` have passed; all in milliseconds
    since 1970 or since midnight.
    """

    start: int
    end: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ZoneWindows:
    """The moments of a time of day at the cameras named, or at all others."""

    cameras: tuple[str, ...]
    is_others: bool
    windows: tuple[Window, ...]


class TimeOfDay(Config):
    """From `start` to before `end` by the camera's clock; across midnight if `end` is not later than `start`."""

    start: time
    """Inclusive."""

    end: time
    """Exclusive; 00:00 is the end of the day."""

    zone: str = "UTC"
    """Zone of the cameras that `zones` does not name."""

    zones: Mapping[str, str] = {}
    """Zones of cameras, such as Europe/Vienna."""

    @field_validator("start", "end")
    @classmethod
    def _on_a_clock(cls, value: time) -> time:
        if value.tzinfo is not None or value.microsecond % 1000:
            raise ValueError(f"{value.isoformat()}: a time in whole milliseconds without a zone expected")
        return value

    @model_validator(mode="after")
    def _says_when(self) -> "TimeOfDay":
        if self.start == self.end:
            raise ValueError(f"from {self.start:%H:%M} to {self.end:%H:%M}: two times expected")
        for name in {self.zone, *self.zones.values()}:
            checked_zone(name)
        return self

    def admits(self, camera_id: str, moment: datetime) -> bool:
        """Whether a camera's clock shows such a time at a moment. This defines it; `admitted` and `windows` agree."""
        passed = (moment - EPOCH) // timedelta(milliseconds=1)
        local = (passed + _offset(self.zones.get(camera_id, self.zone), passed)) % DAY
        return passed >= FIRST and any(low <= local < high for low, high in self._ranges(0))

    def admitted(
        self, cameras: Mapping[str, int], camera_N: NDArray[np.integer], captured_N: NDArray[np.datetime64]
    ) -> NDArray[np.bool_]:
        """The same of many crops; `cameras` gives each camera's number in `camera_N`."""
        passed_N = captured_N.astype("datetime64[ms]").view(np.int64)
        shifted_N = passed_N + _offsets(self.zone, passed_N)
        for zone, names in self._zones().items():
            here_N = np.flatnonzero(np.isin(camera_N, [cameras[name] for name in names if name in cameras]))
            shifted_N[here_N] = passed_N[here_N] + _offsets(zone, passed_N[here_N])
        shifted_N %= DAY
        found_N = np.zeros(len(passed_N), dtype=bool)
        for low, high in self._ranges(0):
            found_N |= (shifted_N >= low) & (shifted_N < high)
        return found_N & (passed_N >= FIRST)

    def windows(self, after: datetime, before: datetime) -> Iterator[ZoneWindows]:
        """The same as ranges, for moments in whole milliseconds from `after` to before `before`."""
        first, last = (max(FIRST, -((EPOCH - moment) // timedelta(milliseconds=1))) for moment in (after, before))
        zones = self._zones()
        for zone, names in zones.items():
            yield ZoneWindows(names, is_others=False, windows=tuple(self._of_zone(zone, first, last)))
        others = tuple(sorted(name for names in zones.values() for name in names))
        yield ZoneWindows(others, is_others=True, windows=tuple(self._of_zone(self.zone, first, last)))

    def _zones(self) -> dict[str, tuple[str, ...]]:
        """The cameras of each zone but the one that all others have."""
        zones: dict[str, list[str]] = {}
        for camera_id, zone in sorted(self.zones.items()):
            if zone != self.zone:
                zones.setdefault(zone, []).append(camera_id)
        return {zone: tuple(names) for zone, names in zones.items()}

    def _of_zone(self, zone: str, first: int, last: int) -> Iterator[Window]:
        if first >= last:
            return
        periods = _periods(zone, first, last)
        ends = [start for start, _ in periods[1:]] + [last]
        for (start, offset), end in zip(periods, ends, strict=True):
            for low, high in self._ranges(offset):
                yield Window(start, end, low, high)

    def _ranges(self, offset: int) -> Iterator[tuple[int, int]]:
        """What has passed of the UTC day, in one or two ranges, where clocks are ahead of UTC by `offset`."""
        start, end = (_passed(value) for value in (self.start, self.end))
        low = (start - offset) % DAY
        high = low + ((end - start) % DAY)
        yield low, min(high, DAY)
        if high > DAY:
            yield 0, high - DAY


def checked_zone(name: str) -> str:
    """The name of a time zone.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r}: no time zone; a name such as Europe/Vienna or UTC expected") from error
    return name


def _passed(clock: time) -> int:
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * 1000 + clock.microsecond // 1000


def _offset(zone: str, passed: int) -> int:
    """By how many milliseconds a zone's clocks are ahead of UTC."""
    moment = EPOCH + timedelta(milliseconds=min(max(passed, FIRST), LAST))
    offset = moment.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return offset // timedelta(milliseconds=1)


def _offsets(zone: str, passed_N: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(passed_N):
        return np.empty(0, dtype=np.int64)
    # whole days, so that parts of a gallery ask for the same periods
    first, last = int(passed_N.min()) // DAY * DAY, (int(passed_N.max()) // DAY + 1) * DAY
    periods = np.array(_periods(zone, first, last), dtype=np.int64)
    offset_N: NDArray[np.int64] = periods[np.searchsorted(periods[1:, 0], passed_N, side="right"), 1]
    return offset_N


@lru_cache(maxsize=256)
def _periods(zone: str, first: int, last: int) -> tuple[tuple[int, int], ...]:
    """The start and the offset of each period without a change of the clocks, from `first` to `last`."""
    step, last = STEP // timedelta(milliseconds=1), min(last, LAST)
    periods = [(first, _offset(zone, first))]
    for moment in range(first, last, step):
        if _offset(zone, min(moment + step, last)) != periods[-1][1]:
            periods.append(_change(zone, moment, min(moment + step, last)))
    return tuple(periods)


def _change(zone: str, before: int, after: int) -> tuple[int, int]:
    """The first moment with another offset than `before`, and that offset."""
    earlier = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(zone, middle) == earlier else (before, middle)
    return after, _offset(zone, after)
