"""Times of day against the obvious computation, also on days on which the clocks change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from personsearch.search.filters import CropFilter, utc_moment
from personsearch.search.time_of_day import DAY, EPOCH, TimeOfDay, checked_zone

ZONES = ("UTC", "Europe/Vienna", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
NIGHT = TimeOfDay(start=time(22), end=time(6), zone="Europe/Vienna")
clocks = st.times().map(lambda value: value.replace(microsecond=0))
ends = st.tuples(clocks, clocks).filter(lambda both: both[0] != both[1])
moments = st.datetimes(datetime(2011, 1, 1), datetime(2027, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
)


def shown(zone: str, moment: datetime) -> time:
    """What a clock shows."""
    return moment.astimezone(ZoneInfo(zone)).time()


@given(ends, st.sampled_from(ZONES), st.sampled_from(ZONES), moments)
def test_it_is_what_the_clock_of_the_camera_shows(
    both: tuple[time, time], zone: str, own: str, moment: datetime
) -> None:
    start, end = both
    night = TimeOfDay(start=start, end=end, zone=zone, zones={"own": own})
    for camera, its_zone in (("own", own), ("other", zone)):
        clock = shown(its_zone, moment)
        expected = start <= clock < end if start < end else clock >= start or clock < end
        assert night.admits(camera, moment) == expected


@given(ends, st.sampled_from(ZONES), moments, st.integers(1, 800), st.lists(st.floats(0, 1), max_size=8))
def test_arrays_and_windows_say_the_same(
    both: tuple[time, time], zone: str, first: datetime, days: int, places: list[float]
) -> None:
    night = TimeOfDay(start=both[0], end=both[1], zone=zone, zones={"a": "Asia/Kolkata"})
    captured = [first + timedelta(milliseconds=round(place * (days * DAY - 1))) for place in places]
    cameras = ["ab"[number % 2] for number in range(len(captured))]
    expected = [night.admits(camera, moment) for camera, moment in zip(cameras, captured, strict=True)]
    numbers = np.array([{"a": 3, "b": 5}[camera] for camera in cameras], dtype=np.int64)
    found = night.admitted({"a": 3, "b": 5}, numbers, np.array(list(map(utc_moment, captured)), dtype="datetime64[us]"))
    assert found.tolist() == expected
    zones = list(night.windows(first, first + timedelta(days=days)))
    for camera, moment, is_in in zip(cameras, captured, expected, strict=True):
        passed = (moment - EPOCH) // timedelta(milliseconds=1)
        here = [window for each in zones if (camera in each.cameras) != each.is_others for window in each.windows]
        holding = [w for w in here if w.start <= passed < w.end and w.low <= passed % DAY < w.high]
        assert len(holding) == is_in


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (datetime(2026, 3, 28, 12, tzinfo=UTC), 7),  # the clocks go forward in this night
        (datetime(2026, 10, 24, 12, tzinfo=UTC), 9),  # and back in this one
        (datetime(2026, 7, 1, 12, tzinfo=UTC), 8),
    ],
)
def test_a_night_is_as_long_as_the_clocks_make_it(day: datetime, hours: int) -> None:
    minutes = [day + timedelta(minutes=number) for number in range(24 * 60)]
    assert sum(NIGHT.admits("gate", minute) for minute in minutes) == 60 * hours


def test_the_hour_that_comes_twice_is_in_twice() -> None:
    between = TimeOfDay(start=time(2), end=time(3), zone="Europe/Vienna")
    found = [hour for hour in range(24) if between.admits("gate", datetime(2026, 10, 25, hour, 30, tzinfo=UTC))]
    assert found == [0, 1]
    assert not any(between.admits("gate", datetime(2026, 3, 29, hour, 30, tzinfo=UTC)) for hour in range(24))


def test_a_year_needs_few_windows() -> None:
    [everywhere] = NIGHT.windows(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert (everywhere.cameras, everywhere.is_others) == ((), True)
    assert [(window.low // 3_600_000, window.high // 3_600_000) for window in everywhere.windows] == [
        (21, 24), (0, 5), (20, 24), (0, 4), (21, 24), (0, 5),
    ]  # fmt: skip


def test_before_1970_nothing_has_a_time_of_day() -> None:
    assert not TimeOfDay(start=time(0), end=time(23)).admits("gate", datetime(1969, 6, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"start": time(6), "end": time(6)}, "two times expected"),
        ({"start": time(6, tzinfo=UTC), "end": time(7)}, "without a zone"),
        ({"start": time(6), "end": time(7), "zone": "Europe/Wien"}, "'Europe/Wien': no time zone"),
        ({"start": time(6), "end": time(7), "zones": {"gate": "../etc/passwd"}}, "no time zone"),
    ],
)
def test_what_is_no_time_of_day_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TimeOfDay.model_validate(values)


def test_a_filter_says_within_which_days() -> None:
    with pytest.raises(ValidationError, match="after and before expected"):
        CropFilter(time_of_day=NIGHT, after=EPOCH)


@pytest.mark.parametrize("name", ["", "Europe", "nowhere/at all", "\0"])
def test_no_zone_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        checked_zone(name)
