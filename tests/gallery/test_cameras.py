"""Where and when a search looks: groups and times of day become one filter."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.gallery.camera_lists import read_cameras, write_cameras
from personsearch.gallery.cameras import CameraDetails, NoSuchGroup, PlaceAndTime
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.cameras import DatabaseCameras
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.schema import open_database
from personsearch.integrations.milvus.filters import expressions
from personsearch.search.filters import CropFilter
from tests.crops import START, make_crop

JPEG = b"\xff\xd8\xff picture"
KNOWN = [
    CameraDetails("gate-1", "North gate", "gates", "Europe/Vienna"),
    CameraDetails("gate-2", group="gates"),
    CameraDetails("hall", "Große Halle", "inside", "America/New_York"),
]


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = gallery_in(tmp_path)
    made.add(
        (make_crop(f"{camera}-{hour:02}", camera_id=camera, captured_at=START + timedelta(hours=hour)), JPEG)
        for camera in ("gate-1", "gate-2", "hall", "yard")
        for hour in range(24)
    )
    return made


@pytest.fixture
def register(database_address: str) -> DatabaseCameras:
    cameras = DatabaseCameras(open_database(database_address))
    cameras.put(KNOWN)
    return cameras


def test_details_are_replaced_and_forgotten(register: DatabaseCameras) -> None:
    assert register.all() == KNOWN
    register.put([CameraDetails("gate-1", "Gate"), CameraDetails("hall")])
    assert register.all() == [CameraDetails("gate-1", "Gate"), KNOWN[1]]


def test_a_group_is_its_cameras_beside_those_named(gallery: Gallery, register: DatabaseCameras) -> None:
    asked = PlaceAndTime(groups=("gates",), cameras=("yard",), after=START)
    assert asked.crop_filter(gallery, register, "UTC") == CropFilter(cameras=("yard", "gate-1", "gate-2"), after=START)
    both = PlaceAndTime(groups=("gates", "inside")).crop_filter(gallery, register, "UTC")
    assert both.cameras == ("gate-1", "gate-2", "hall")


def test_a_group_that_is_none_is_named_with_those_there_are(gallery: Gallery, register: DatabaseCameras) -> None:
    with pytest.raises(NoSuchGroup, match="no group 'gate'; gates, inside"):
        PlaceAndTime(groups=("gate",)).crop_filter(gallery, register, "UTC")


def test_a_time_of_day_is_that_of_each_camera(gallery: Gallery, register: DatabaseCameras) -> None:
    asked = PlaceAndTime(daily_after=time(22), daily_before=time(6), cameras=("gate-1", "gate-2", "hall"))
    found = [crop.crop_id for crop in gallery.crops(asked.crop_filter(gallery, register, "Asia/Tokyo"))]
    hours = {
        camera: {int(each[-2:]) for each in found if each.startswith(camera)} for camera in ("gate-1", "gate-2", "hall")
    }
    start = START.hour
    utc = {camera: {(start + hour) % 24 for hour in found_hours} for camera, found_hours in hours.items()}
    assert utc["gate-1"] == {21, 22, 23, 0, 1, 2, 3, 4}  # Vienna is an hour ahead of UTC
    assert utc["gate-2"] == {13, 14, 15, 16, 17, 18, 19, 20}  # Tokyo, by default, nine
    assert utc["hall"] == {3, 4, 5, 6, 7, 8, 9, 10}  # New York five behind


@pytest.mark.parametrize(
    ("clocks", "hours"),
    [({"daily_after": time(22)}, {22, 23}), ({"daily_before": time(2)}, {0, 1})],
)
def test_one_time_of_day_alone_reaches_to_midnight(
    gallery: Gallery, register: DatabaseCameras, clocks: dict[str, time], hours: set[int]
) -> None:
    asked = PlaceAndTime(cameras=("yard",), **clocks)  # type: ignore[arg-type]
    found = gallery.crops(asked.crop_filter(gallery, register, "UTC"))
    assert {crop.captured_at.hour for crop in found} == hours


def test_the_days_are_those_of_the_gallery_and_what_may_still_arrive(
    gallery: Gallery, register: DatabaseCameras
) -> None:
    crop_filter = PlaceAndTime(daily_after=time(22)).crop_filter(gallery, register, "UTC")
    assert crop_filter.after == datetime.combine(START.date(), time(), UTC)
    assert crop_filter.before is not None
    assert crop_filter.before > max(datetime.now(UTC), START) + timedelta(hours=20)
    narrow = PlaceAndTime(daily_after=time(22), after=START + timedelta(hours=2), before=START + timedelta(hours=5))
    bounded = narrow.crop_filter(gallery, register, "UTC")
    assert (bounded.after, bounded.before) == (narrow.after, narrow.before)


def test_cameras_with_wrong_clocks_add_their_days_alone(gallery: Gallery, register: DatabaseCameras) -> None:
    wrong = [
        datetime(1970, 1, 1, 23, tzinfo=UTC),
        datetime(1999, 12, 31, 23, tzinfo=UTC),
        datetime(2099, 1, 1, 5, tzinfo=UTC),
    ]
    gallery.add((make_crop(f"wrong-{at.year}", camera_id="yard", captured_at=at), JPEG) for at in wrong)
    crop_filter = PlaceAndTime(daily_after=time(22)).crop_filter(gallery, register, "UTC")
    assert crop_filter.stretches is not None
    starts = [start.date() for start, _ in crop_filter.stretches]
    assert starts == sorted({at.date() for at in wrong} | {START.date(), datetime.now(UTC).date()})
    found = {crop.crop_id for crop in gallery.crops(crop_filter)}
    assert found == {crop.crop_id for crop in gallery.crops() if crop_filter.admits(crop)}
    assert {"wrong-1970", "wrong-1999"} <= found
    ranges = "".join(expressions(crop_filter)).count("(captured_at >= ")
    assert ranges < 50  # not one for each of 47,000 days


def test_the_last_day_of_the_calendar_is_left_out(gallery: Gallery, register: DatabaseCameras) -> None:
    last = make_crop("last", camera_id="lost", captured_at=datetime(9999, 12, 31, 12, tzinfo=UTC))
    gallery.add([(last, JPEG)])
    asked = PlaceAndTime(before=datetime(9999, 12, 31, 23, 59, tzinfo=UTC), daily_after=time(11))
    crop_filter = asked.crop_filter(gallery, register, "UTC")
    assert not crop_filter.admits(last)
    assert list(gallery.crops(crop_filter)) == [crop for crop in gallery.crops() if crop_filter.admits(crop)]


def test_an_empty_gallery_has_no_crop_at_any_time_of_day(tmp_path: Path, register: DatabaseCameras) -> None:
    empty = gallery_in(tmp_path / "empty")
    assert empty.count(PlaceAndTime(daily_after=time(22)).crop_filter(empty, register, "UTC")) == 0


def test_twice_the_same_time_of_day_is_none(gallery: Gallery, register: DatabaseCameras) -> None:
    with pytest.raises(UserError, match="two different times of day"):
        PlaceAndTime(daily_after=time(22), daily_before=time(22)).crop_filter(gallery, register, "UTC")


@pytest.mark.parametrize("name", ["cameras.csv", "cameras.yaml", "cameras.YML"])
def test_a_list_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    quoted = [*KNOWN, CameraDetails('a, "b"', "'null'", "- 7", "UTC"), CameraDetails("1")]
    write_cameras(tmp_path / name, quoted)
    assert read_cameras(tmp_path / name) == quoted


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("c.txt", "", "ending in .csv, .yaml, .yml expected"),
        ("c.csv", "camera_id,nam\na,b\n", "camera 1: 'nam' is none of camera_id, name, group, zone"),
        ("c.csv", "camera_id,name\na,b,c\n", "camera 1"),
        ("c.csv", 'camera_id,name\na,"b\n', "not CSV in UTF-8"),
        ("c.csv", "name\nb\n", "camera 1: camera ''"),
        ("c.csv", "camera_id\na\na\n", "camera 2: 'a' is listed before"),
        ("c.csv", "camera_id,zone\na,Wien\n", "camera 1: camera 'a': 'Wien': no time zone"),
        ("c.yaml", "a: b", "a list of cameras expected"),
        ("c.yaml", "[1]", "camera 1: camera_id, name, group, zone expected"),
        ("c.yaml", "[{camera_id: 7}]", "camera 1: camera_id: text expected"),
        ("c.yaml", '[{camera_id: a, name: "x\\u202e"}]', "printable characters"),
        ("c.yaml", "[", "c.yaml"),
    ],
)
def test_a_list_that_is_wrong_says_where(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_cameras(tmp_path / name)
