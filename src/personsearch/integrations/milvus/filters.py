"""Turns a CropFilter into Milvus' boolean expressions: the only place where a value enters an expression."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

from personsearch.search.filters import CropFilter
from personsearch.search.time_of_day import DAY, Window

MAX_LIST = 5000
MAX_RANGES = 100  # of days in one expression; more are asked for by queries of their own
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def expressions(crop_filter: CropFilter) -> Iterator[str]:
    """Disjoint expressions whose union is the filter; no expression if it admits nothing.

    Long lists are split, so that an expression stays within what an engine parses. "" admits everything. A time of day
    becomes a range for each day, because no engine compares a remainder with anything but one value.
    """
    times = [*_bound("captured_at >=", crop_filter.after), *_bound("captured_at <", crop_filter.before)]
    lists = (
        _memberships("camera_id", crop_filter.cameras),
        _memberships("track_id", crop_filter.tracks),
        _memberships("crop_id", crop_filter.crop_ids),
    )
    days = [""] if crop_filter.time_of_day is None else list(_times_of_day(crop_filter))
    for memberships in product(*lists, days):
        yield " and ".join([*filter(None, memberships), *times])


def between(first: str, end: str | None, *, after: bool = False) -> str:
    """The crops from `first`, or `after` it, to before `end` in the order of the primary key; "" precedes all."""
    lower = f"crop_id {'>' if after or not first else '>='} {quote(first)}"
    return lower if end is None else f"{lower} and crop_id < {quote(end)}"


def quote(value: str) -> str:
    """A string literal of Milvus' language.

    Only characters that would end the literal are escaped: Milvus Lite does not understand JSON's code point escapes,
    and every engine takes all other characters literally.
    """
    return f'"{value.translate(_ESCAPES)}"'


def milliseconds(moment: datetime) -> int:
    """UTC milliseconds since 1970, rounded up: crops have whole milliseconds, so no comparison changes."""
    return -((_EPOCH - moment) // timedelta(milliseconds=1))


def _bound(comparison: str, moment: datetime | None) -> list[str]:
    return [] if moment is None else [f"{comparison} {milliseconds(moment)}"]


def _times_of_day(crop_filter: CropFilter) -> Iterator[str]:
    """Disjoint conditions, each for the cameras of one zone and at most MAX_RANGES days."""
    for zone in crop_filter.windows():
        names = ", ".join(quote(name) for name in zone.cameras if _is_text(name))
        where = f"camera_id {'not in' if zone.is_others else 'in'} [{names}]" if names else ""
        ranges = [f"(captured_at >= {start} and captured_at < {end})" for start, end in _days(zone.windows)]
        for first in range(0, len(ranges) if names or zone.is_others else 0, MAX_RANGES):
            yield " and ".join(filter(None, [where, _any(ranges[first : first + MAX_RANGES])]))


def _any(conditions: Sequence[str]) -> str:
    """Whether one of these holds, as pairs of pairs: a chain of 47 is deeper than a Milvus server can read."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return f"({_any(conditions[:middle])} or {_any(conditions[middle:])})"


def _days(windows: Sequence[Window]) -> list[tuple[int, int]]:
    """The ranges of moments in windows, in order; those that touch, as around midnight, are one."""
    found = sorted(
        (max(day * DAY + each.low, each.start), min(day * DAY + each.high, each.end))
        for each in windows
        for day in range(each.start // DAY, -(-each.end // DAY))
    )
    joined: list[tuple[int, int]] = []
    for start, end in found:
        if joined and start <= joined[-1][1] < end:
            joined[-1] = joined[-1][0], end
        elif start < end:
            joined.append((start, end))
    return joined


def _memberships(field: str, values: tuple[str, ...] | None) -> list[str]:
    if values is None:
        return [""]
    distinct = sorted(value for value in set(values) if _is_text(value))
    slices = (distinct[start : start + MAX_LIST] for start in range(0, len(distinct), MAX_LIST))
    return [f"{field} in [{', '.join(map(quote, part))}]" for part in slices]


def _is_text(value: str) -> bool:
    """Whether Milvus could store this text: half a surrogate pair, which JSON can carry, cannot be encoded as UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in value)
