"""Filters mean the same on Milvus as in CropFilter.admits, whatever a user types into them."""

from datetime import time, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personsearch.integrations.milvus.filters import MAX_LIST, expressions, quote
from personsearch.integrations.milvus.index import MilvusIndex
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties
from personsearch.search.time_of_day import TimeOfDay
from tests.crops import START, make_crop

NASTY = (
    "plain",
    "",
    'quote"d',
    "it's",
    "back\\slash",
    "trailing\\",
    '" or crop_id != "',
    "x'] or captured_at > 0 or camera_id in ['",
    "line\nbreak\ttab\r",
    "été ☃ 🙂 日本",
    "%",
    "{expr}",
    "null",
    "\u2028\u00a0",
    "\x7f\x01",
    "\x00",
)
CROPS = [
    make_crop(
        f"{number}{NASTY[number % len(NASTY)]}",
        camera_id=NASTY[number % len(NASTY)],
        captured_at=START + timedelta(milliseconds=number),
        track_id=NASTY[number * 7 % len(NASTY)],
    )
    for number in range(3 * len(NASTY))
]
TEXTS = st.lists(st.sampled_from(NASTY) | st.text(max_size=8), max_size=4).map(tuple)
MOMENTS = st.integers(-2_000, 60_000).map(lambda micro: START + timedelta(microseconds=micro))
FILTERS = st.builds(
    CropFilter,
    cameras=st.none() | TEXTS,
    tracks=st.none() | TEXTS,
    crop_ids=st.none() | st.lists(st.sampled_from([crop.crop_id for crop in CROPS]), max_size=9).map(tuple),
    after=st.none() | MOMENTS,
    before=st.none() | MOMENTS,
)
DAYS = [START + timedelta(hours=7 * number) for number in range(-40, 200)]
DAILY = [
    make_crop(f"{number:03}", camera_id=NASTY[number % len(NASTY)], captured_at=at) for number, at in enumerate(DAYS)
]
NIGHTS = st.builds(
    TimeOfDay,
    start=st.sampled_from([time(22), time(2, 30)]),
    end=st.sampled_from([time(6), time(0)]),
    zone=st.sampled_from(["UTC", "Europe/Vienna"]),
    zones=st.dictionaries(st.sampled_from(NASTY), st.sampled_from(["Asia/Kolkata", "America/New_York"]), max_size=3),
)
AT_NIGHT = st.builds(
    CropFilter,
    cameras=st.none() | TEXTS,
    after=st.sampled_from(DAYS),
    before=st.sampled_from(DAYS),
    time_of_day=NIGHTS,
)


@pytest.fixture(scope="module", params=["lite", "server"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MilvusIndex:
    folder: Path = tmp_path_factory.mktemp("filters")
    address = str(folder / "milvus.db") if request.param == "lite" else request.getfixturevalue("milvus_server")
    filled = MilvusStore(address).create("persons_v1_filters", CollectionProperties("m", "1", "f", "d", 2))
    filled.upsert(CROPS, np.eye(1, 2, dtype=np.float32).repeat(len(CROPS), axis=0))
    filled.flush()
    return filled


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crop_filter=FILTERS)
def test_a_filter_admits_what_it_says(index: MilvusIndex, crop_filter: CropFilter) -> None:
    admitted = {crop.crop_id for crop in CROPS if crop_filter.admits(crop)}
    [hits] = index.search(np.eye(1, 2, dtype=np.float32), 100, crop_filter)
    assert {hit.crop.crop_id for hit in hits} == admitted
    assert index.count(crop_filter) == len(admitted)


@pytest.fixture(scope="module", params=["lite", "server"])
def days(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MilvusIndex:
    """A crop every seven hours, also on the days on which the clocks change in New York and Vienna."""
    folder: Path = tmp_path_factory.mktemp("days")
    address = str(folder / "milvus.db") if request.param == "lite" else request.getfixturevalue("milvus_server")
    filled = MilvusStore(address).create("persons_v1_days", CollectionProperties("m", "1", "f", "d", 2))
    filled.upsert(DAILY, np.eye(1, 2, dtype=np.float32).repeat(len(DAILY), axis=0))
    filled.flush()
    return filled


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crop_filter=AT_NIGHT)
def test_a_time_of_day_is_that_of_each_camera(days: MilvusIndex, crop_filter: CropFilter) -> None:
    admitted = {crop.crop_id for crop in DAILY if crop_filter.admits(crop)}
    [hits] = days.search(np.eye(1, 2, dtype=np.float32), 300, crop_filter)
    assert {hit.crop.crop_id for hit in hits} == admitted
    assert days.count(crop_filter) == len(admitted)


def test_a_long_time_is_asked_for_in_parts(days: MilvusIndex) -> None:
    night = TimeOfDay(start=time(22), end=time(6), zone="Europe/Vienna", zones={"plain": "Asia/Kolkata"})
    years = CropFilter(after=START - timedelta(days=400), before=START + timedelta(days=400), time_of_day=night)
    assert len(list(expressions(years))) == 2 * 8  # 800 nights in two zones, a hundred in each
    admitted = {crop.crop_id for crop in DAILY if years.admits(crop)}
    [hits] = days.search(np.eye(1, 2, dtype=np.float32), 300, years)
    assert {hit.crop.crop_id for hit in hits} == admitted
    assert days.count(years) == len(admitted)
    halves = ((DAYS[0], DAYS[100]), (DAYS[100], DAYS[-1] + timedelta(hours=1)))  # nothing lies outside
    held = years.model_copy(update={"stretches": halves})
    assert len(list(expressions(held))) == 2  # 71 nights in two zones
    assert days.count(held) == len(admitted)


@pytest.mark.parametrize("text", NASTY)
def test_what_a_user_types_stays_a_value(index: MilvusIndex, text: str) -> None:
    assert index.count(CropFilter(cameras=(text,))) == 3
    assert index.count(CropFilter(cameras=(f"{text}x",))) == 0


def test_the_expressions_of_a_filter() -> None:
    crop_filter = CropFilter(
        cameras=("b", "a", "b"), tracks=('t"1',), after=START + timedelta(microseconds=1), before=START
    )
    lists = 'camera_id in ["a", "b"] and track_id in ["t\\"1"]'
    times = "captured_at >= 1772355600001 and captured_at < 1772355600000"
    assert list(expressions(crop_filter)) == [f"{lists} and {times}"]
    assert list(expressions(CropFilter())) == [""]
    assert list(expressions(CropFilter(cameras=()))) == []
    assert list(expressions(CropFilter(cameras=("\ud800",)))) == []
    assert len(list(expressions(CropFilter(crop_ids=tuple(map(str, range(MAX_LIST + 1))))))) == 2
    night = TimeOfDay(start=time(22), end=time(6), zones={"a": "Asia/Tokyo"})
    of_two_days = CropFilter(after=START, before=START + timedelta(days=2), time_of_day=night)
    times = "captured_at >= 1772355600000 and captured_at < 1772528400000"
    starts = (1772370000000, 1772456400000, 1772402400000, 1772488800000)
    nights = [f"(captured_at >= {start} and captured_at < {start + 8 * 3_600_000})" for start in starts]
    assert list(expressions(of_two_days)) == [
        f'camera_id in ["a"] and ({nights[0]} or {nights[1]}) and {times}',
        f'camera_id not in ["a"] and ({nights[2]} or {nights[3]}) and {times}',
    ]
    assert quote('a"b\\c\nd') == r'"a\"b\\c\nd"'
