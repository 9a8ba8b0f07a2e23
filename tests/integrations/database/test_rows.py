"""A gallery's rows mean the same in every engine, and a follower misses no change however many write at once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personsearch.errors import UserError
from personsearch.gallery.rows import VideoRow
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.rows import DatabaseRows
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.database.tables import CROPS
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.time_of_day import EPOCH, TimeOfDay
from tests.crops import make_crop

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRITERS, ADDITIONS = 4, 15


@pytest.fixture
def database(database_address: str) -> Iterator[Database]:
    opened = open_database(database_address)
    yield opened
    opened.close()


@pytest.fixture
def rows(database: Database) -> DatabaseRows:
    return DatabaseRows(database)


def crop(crop_id: str, *, camera: str = "junction", track: str = "t1", at: datetime = NOON) -> Crop:
    made = make_crop(crop_id, camera_id=camera, track_id=track, captured_at=at, quality=0.5)
    return replace(made, image_uri=f"images/{crop_id}.jpg")


def add(rows: DatabaseRows, *crops: Crop) -> int:
    with rows.turn() as turn:
        return turn.add(crops)


def erase(rows: DatabaseRows, crop_filter: CropFilter) -> int:
    with rows.turn(alone=True) as turn:
        return turn.erase(crop_filter)


times = st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 1, 0, 0, 1)).map(lambda t: t.replace(tzinfo=UTC))
names = st.sampled_from(["a", "b", 'c"', "'; DROP TABLE crops; --", "[1]", "\\", "Ä"])
some = st.none() | st.lists(names, max_size=2).map(tuple)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    camera=names, track=names, at=times, cameras=some, tracks=some, after=st.none() | times, before=st.none() | times
)
def test_a_filter_means_the_same_in_a_database(
    rows: DatabaseRows, database: Database, *, camera, track, at, cameras, tracks, after, before
) -> None:
    with database.writing() as connection:
        connection.execute(sa.delete(CROPS))
    one = crop("x", camera=camera, track=track, at=at.replace(microsecond=at.microsecond // 1000 * 1000))
    add(rows, one)
    crop_filter = CropFilter(cameras=cameras, tracks=tracks, after=after, before=before)
    assert list(rows.crops(crop_filter)) == [one] * crop_filter.admits(one)
    assert rows.count(crop_filter) == crop_filter.admits(one)


HOURS = [NOON + timedelta(hours=5 * number, minutes=17 * number) for number in range(-30, 200)]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize(("start", "end"), [(time(22), time(6)), (time(1, 30), time(3))])
def test_a_time_of_day_means_the_same_in_a_database(rows: DatabaseRows, zone: str, start: time, end: time) -> None:
    crops = [crop(f"c{number:03}", camera=f"camera{number % 3}", at=at) for number, at in enumerate(HOURS)]
    add(rows, *crops)
    night = TimeOfDay(start=start, end=end, zone=zone, zones={"camera1": "Europe/Vienna", "'": "Asia/Kolkata"})
    for cameras in (None, ("camera0", "camera1")):
        crop_filter = CropFilter(cameras=cameras, after=HOURS[3], before=HOURS[-3], time_of_day=night)
        expected = [each for each in crops if crop_filter.admits(each)]
        assert expected
        assert list(rows.crops(crop_filter)) == expected


def test_a_filter_may_name_more_crops_than_a_statement_may_have_parameters(rows: DatabaseRows) -> None:
    add(rows, crop("c7"), crop("c69999"), crop("d"))
    many = CropFilter(crop_ids=tuple(f"c{number}" for number in range(70_000)))
    assert [each.crop_id for each in rows.crops(many)] == ["c69999", "c7"]
    assert erase(rows, many) == 2
    assert rows.known_among(many.crop_ids) == {"c7", "c69999"}


def test_a_name_that_no_database_can_hold_is_found_nowhere(rows: DatabaseRows) -> None:
    add(rows, crop("a"))
    assert rows.crop("a\0") is None
    assert rows.known_among(["a\0", "a"]) == {"a"}
    for crop_filter in (CropFilter(crop_ids=("a\0",)), CropFilter(cameras=("\0",)), CropFilter(tracks=("\0",))):
        assert list(rows.crops(crop_filter)) == []
    assert [each.crop_id for each in rows.crops(CropFilter(crop_ids=("a\0", "a")))] == ["a"]


def test_ids_are_ordered_by_their_characters(rows: DatabaseRows) -> None:
    """As Python orders them: readers merge these with other sorted ids."""
    ids = ["a", "B", "a-1", "a1", "a_1", "A", "b", "a-", "Z9", "0"]
    add(rows, *map(crop, ids))
    assert [each.crop_id for each in rows.crops(EVERYTHING)] == sorted(ids)


def test_days_are_those_on_which_crops_were_taken(rows: DatabaseRows) -> None:
    hours = (0, 1, 11.9, 12, 60, 61)  # from noon on: three times today, then tomorrow's first moment and two days on
    moments = [datetime(1960, 1, 1, tzinfo=UTC), EPOCH, *(NOON + timedelta(hours=each) for each in hours)]
    add(rows, *(crop(f"c{number}", at=at) for number, at in enumerate(moments)))
    days = rows.days(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
    assert days == [date(1970, 1, 1), date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 4)]
    assert rows.days(NOON, NOON + timedelta(hours=12)) == [date(2026, 3, 1)]
    assert rows.days(NOON, NOON) == []


def test_erased_ids_are_counted_by_range(rows: DatabaseRows) -> None:
    ids = ("v-1", "v-20", "v-", "v-x", "v", "w-1", "V-1")
    add(rows, *map(crop, ids))
    erase(rows, CropFilter(crop_ids=ids))
    assert rows.count_erased("v-0", "v-:") == 2
    assert rows.count_erased() == 7


def test_an_addition_that_fails_leaves_no_row(rows: DatabaseRows) -> None:
    def fail() -> None:
        with rows.turn() as turn:
            turn.add([crop("a")])
            raise OSError("disk is full")

    add(rows, crop("b"))
    with pytest.raises(UserError):
        add(rows, replace(crop("c"), image_uri="images/b.jpg"))  # names the picture of another
    assert rows.count(EVERYTHING) == 1
    assert rows.last_sequence() == 1
    with pytest.raises(OSError, match="full"):
        fail()
    assert rows.count(EVERYTHING) == 1


def test_what_a_turn_writes_is_seen_together_or_not_at_all(rows: DatabaseRows) -> None:
    video = VideoRow("gate 3", NOON, "hash", "{}", "{}")
    add(rows, crop("old"))
    for fails in (True, False):
        with suppress(OSError), rows.turn(alone=True) as turn:
            assert turn.erase(CropFilter(crop_ids=("old",))) == 1
            assert turn.add([crop("old"), crop("new")]) == 1
            turn.put_video(video)
            assert [each.crop_id for each in rows.crops(EVERYTHING)] == ["old"]
            if fails:
                raise OSError("killed")
        assert [each.crop_id for each in rows.crops(EVERYTHING)] == (["old"] if fails else ["new"])
        assert rows.videos_of("hash") == ([] if fails else [video])
    assert list(rows.erased_since(0)) == ["old"]
    assert rows.last_sequence() == 3


def test_a_video_takes_the_place_of_the_one_before(rows: DatabaseRows) -> None:
    def put(video: VideoRow) -> None:
        with rows.turn() as turn:
            turn.put_video(video)

    first = VideoRow("gate 3", NOON, "hash", '{"every": 2}')
    put(first)
    put(VideoRow("gate 3", NOON + timedelta(hours=1), "other", "{}"))
    assert rows.video("gate 3", NOON) == first
    assert [each.start for each in rows.unfinished_videos()] == [NOON, NOON + timedelta(hours=1)]
    put(replace(first, result='{"crops": 3}'))
    assert [each.start for each in rows.unfinished_videos()] == [NOON + timedelta(hours=1)]
    assert rows.videos_of("hash") == [replace(first, result='{"crops": 3}')]
    assert rows.video("gate", NOON) is None


class Follower:
    """Applies changes from where it stopped, over and over, as an indexer does."""

    def __init__(self, rows: DatabaseRows) -> None:
        self.rows, self.sequence, self.held = rows, 0, set()

    def catch_up(self) -> None:
        latest = self.rows.last_sequence()
        self.held |= {each.crop_id for each in self.rows.crops_since(self.sequence)}
        self.held -= set(self.rows.erased_since(self.sequence))
        self.sequence = latest


def _write(rows: DatabaseRows, writer: int) -> None:
    for number in range(ADDITIONS):
        added = [crop(f"w{writer}-{number}-{n}") for n in range(3)]
        assert add(rows, *added, crop(f"shared-{number}")) in (3, 4)
        if number % 3 == 2:
            assert erase(rows, CropFilter(crop_ids=(f"w{writer}-{number}-1",))) == 1


def test_a_follower_misses_no_change_of_concurrent_writers(rows: DatabaseRows) -> None:
    follower, finished = Follower(rows), threading.Event()

    def follow() -> None:
        while not finished.is_set():
            follower.catch_up()
        follower.catch_up()

    with ThreadPoolExecutor() as pool:
        following = pool.submit(follow)
        for writing in [pool.submit(_write, rows, writer) for writer in range(WRITERS)]:
            writing.result()
        finished.set()
        following.result()
    erased = WRITERS * (ADDITIONS // 3)
    changes = WRITERS * ADDITIONS * 3 + ADDITIONS + erased
    assert follower.held == {each.crop_id for each in rows.crops(EVERYTHING)}
    assert len(follower.held) == changes - 2 * erased
    assert rows.last_sequence() == changes


def test_a_writer_alone_waits_for_the_others(rows: DatabaseRows) -> None:
    order = []

    def sweep() -> None:
        with rows.turn(alone=True):
            order.append("alone")

    with ThreadPoolExecutor() as pool:
        with rows.turn() as turn:
            waiting = pool.submit(sweep)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
            turn.add([crop("a")])
            order.append("added")
        waiting.result(timeout=10)
    assert order == ["added", "alone"]


HOLDER = """
import sys, time
from personsearch.integrations.database.rows import DatabaseRows
from personsearch.integrations.database.schema import open_database
with DatabaseRows(open_database(sys.argv[1])).building():
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lock_of_a_killed_builder_is_released(
    rows: DatabaseRows, database_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-c", HOLDER, database_address]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    killer = threading.Timer(0.5, os.kill, (holder.pid, signal.SIGKILL))
    killer.start()
    with rows.building():
        assert not killer.is_alive()
    holder.wait()
    assert "waiting for it" in caplog.text


@pytest.mark.parametrize("database_address", ["postgresql"], indirect=True)
def test_connections_that_were_cut_are_opened_again(database_address: str, rows: DatabaseRows) -> None:
    add(rows, crop("a"))
    others = Database(database_address)
    with others.reading() as connection:
        ours = "datname = current_database() AND pid <> pg_backend_pid()"
        cut = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {ours}"
        assert connection.exec_driver_sql(cut).all()
    assert rows.count(EVERYTHING) == 1


@pytest.mark.parametrize(
    "address", ["gallery.db", "mysql://user:secret@host/name", "postgresql://user:secret@host", "sqlite://", ""]
)
def test_an_address_of_no_database_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(UserError, match="sqlite:///FILE or postgresql://HOST/DATABASE expected") as refused:
        Database(address)
    assert "secret" not in str(refused.value)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1") as refused:
        open_database("postgresql://user:secret@127.0.0.1:1/name")
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
