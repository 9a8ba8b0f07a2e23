"""A gallery's rows in a database: crops, tombstones and videos (see `gallery/rows.py`)."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from personsearch.gallery.rows import CameraSummary, VideoRow
from personsearch.integrations.database.builds import DatabaseBuilds
from personsearch.integrations.database.engine import Database, Turn
from personsearch.integrations.database.moments import ceiling_milliseconds, from_milliseconds, to_milliseconds
from personsearch.integrations.database.tables import ALERTS, CROPS, PENDING_PICTURES, TOMBSTONES, VIDEOS
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.filters import CropFilter
from personsearch.search.time_of_day import DAY, Window, ZoneWindows

PAGE_ROWS = 1000
NUL = "\0"  # PostgreSQL takes it in no text, so no row holds it, and asking would be an error
CROP_COLUMNS = [column for column in CROPS.columns if column.name != "sequence"]
# Asked often, so built once: building costs more than running.
ONE_CROP = sa.select(*CROP_COLUMNS).where(CROPS.c.crop_id == sa.bindparam("crop_id"))
LATEST = sa.select(*(sa.select(sa.func.max(table.c.sequence)).scalar_subquery() for table in (CROPS, TOMBSTONES)))


class DatabaseRows:
    """The gallery of a database. Numbers of changes become visible in their order, however many write at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.place = database.place
        self.builds = DatabaseBuilds(database)

    @contextmanager
    def turn(self, *, alone: bool = False) -> Iterator["RowTurn"]:
        with self._database.turn(alone=alone) as turn, ExitStack() as transaction:
            yield RowTurn(self._database, turn, transaction)

    def building(self) -> AbstractContextManager[None]:
        return self._database.held("index")

    def feeding(self) -> AbstractContextManager[None]:
        return self._database.shared("index")

    def build_turn(self) -> AbstractContextManager[None]:
        return self._database.held("build")

    def scrub(self) -> None:
        self._database.scrub()

    def crop(self, crop_id: str) -> Crop | None:
        if NUL in crop_id:
            return None
        with self._database.reading() as connection:
            row = connection.execute(ONE_CROP, {"crop_id": crop_id}).one_or_none()
        return None if row is None else from_row(row)

    def crops(self, crop_filter: CropFilter) -> Iterator[Crop]:
        return self._by_id("", where(crop_filter))

    def crops_between(self, first: str, end: str | None) -> Iterator[Crop]:
        return self._by_id(first, sa.true() if end is None else CROPS.c.crop_id < end)

    def crop_id_at(self, first: str, place: int) -> str | None:
        ids = CROPS.c.crop_id
        query = sa.select(ids).where(ids >= first).order_by(ids).offset(place).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def crops_since(self, sequence: int, until: int | None = None) -> Iterator[Crop]:
        for row in self._changes(CROPS, CROP_COLUMNS, sequence, until):
            yield from_row(row[1:])

    def erased_since(self, sequence: int) -> Iterator[str]:
        for row in self._changes(TOMBSTONES, [TOMBSTONES.c.crop_id], sequence):
            yield row.crop_id

    def last_sequence(self) -> int:
        with self._database.reading() as connection:
            return last_sequence(connection)

    def count(self, crop_filter: CropFilter) -> int:
        return self._number(sa.select(sa.func.count()).select_from(CROPS).where(where(crop_filter)))

    def count_until(self, sequence: int) -> int:
        return self._number(sa.select(sa.func.count()).select_from(CROPS).where(CROPS.c.sequence <= sequence))

    def cameras(self) -> list[CameraSummary]:
        crops, tracks = sa.func.count(), sa.func.count(CROPS.c.track_id.distinct())
        first, last = sa.func.min(CROPS.c.captured_at), sa.func.max(CROPS.c.captured_at)
        name = CROPS.c.camera_id
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(name, crops, tracks, first, last).group_by(name).order_by(name)).all()
        return [CameraSummary(*row[:3], *map(from_milliseconds, row[3:])) for row in rows]

    def days(self, after: datetime, before: datetime) -> list[date]:
        bounds = {"after": max(0, ceiling_milliseconds(after)), "before": ceiling_milliseconds(before)}
        with self._database.reading() as connection:
            firsts = connection.scalars(DAYS, bounds).all()
        return [from_milliseconds(first).date() for first in firsts]

    def known_among(self, crop_ids: Sequence[str]) -> set[str]:
        with self._database.reading() as connection:
            return known_among(connection, crop_ids)

    def erased_among(self, crop_ids: Sequence[str]) -> list[str]:
        with self._database.reading() as connection:
            return list(connection.scalars(ERASED_AMONG, given(crop_ids)))

    def held_among(self, crop_ids: Sequence[str]) -> set[str]:
        with self._database.reading() as connection:
            return set(connection.scalars(HELD_AMONG, given(crop_ids)))

    def count_erased(self, first: str = "", end: str | None = None) -> int:
        query = sa.select(sa.func.count()).select_from(TOMBSTONES).where(TOMBSTONES.c.crop_id >= first)
        return self._number(query if end is None else query.where(TOMBSTONES.c.crop_id < end))

    def pictures_among(self, image_uris: Sequence[str]) -> set[str]:
        uris = CROPS.c.image_uri
        with self._database.reading() as connection:
            return set(connection.scalars(sa.select(uris).where(among(uris, image_uris))))

    def announce_pictures(self, image_uris: Sequence[str]) -> None:
        with self._database.writing() as connection:
            list_pictures(connection, image_uris)

    def pending_pictures(self, limit: int, *, after: str = "") -> list[str]:
        uris = PENDING_PICTURES.c.image_uri
        with self._database.reading() as connection:
            return list(connection.scalars(sa.select(uris).where(uris > after).order_by(uris).limit(limit)))

    def settle_pictures(self, image_uris: Sequence[str]) -> None:
        uris = PENDING_PICTURES.c.image_uri
        with self._database.writing() as connection:
            connection.execute(sa.delete(PENDING_PICTURES).where(among(uris, image_uris)))

    def video(self, camera_id: str, start: datetime) -> VideoRow | None:
        videos = self._videos(VIDEOS.c.camera_id == camera_id, VIDEOS.c.start == to_milliseconds(start))
        return videos[0] if videos else None

    def videos_of(self, content_hash: str) -> list[VideoRow]:
        return self._videos(VIDEOS.c.content_hash == content_hash)

    def unfinished_videos(self) -> list[VideoRow]:
        return self._videos(VIDEOS.c.result.is_(None))

    def videos(self) -> list[VideoRow]:
        return self._videos()

    def _by_id(self, first: str, condition: ColumnElement[bool]) -> Iterator[Crop]:
        query = sa.select(*CROP_COLUMNS).where(condition).order_by(CROPS.c.crop_id)
        page = self._rows(query.where(CROPS.c.crop_id >= first))
        while page:  # each page starts behind the last: no transaction stays open between pages
            yield from map(from_row, page)
            if len(page) < PAGE_ROWS:
                return
            page = self._rows(query.where(CROPS.c.crop_id > page[-1].crop_id))

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._database.reading() as connection:
            return connection.execute(query.limit(PAGE_ROWS)).all()

    def _changes(
        self, table: sa.Table, columns: Sequence[sa.Column[Any]], sequence: int, until: int | None = None
    ) -> Iterator[sa.Row[Any]]:
        number = table.c.sequence
        query = sa.select(number, *columns).order_by(number)
        if until is not None:
            query = query.where(number <= until)
        while page := self._rows(query.where(number > sequence)):
            yield from page
            sequence = page[-1].sequence

    def _number(self, query: sa.Select[int]) -> int:
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def _videos(self, *conditions: ColumnElement[bool]) -> list[VideoRow]:
        query = sa.select(VIDEOS).where(*conditions).order_by(VIDEOS.c.camera_id, VIDEOS.c.start)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [VideoRow(row[0], from_milliseconds(row[1]), *row[2:]) for row in rows]


class RowTurn:
    """A writer's turn in a database: one transaction, which begins with its first change."""

    def __init__(self, database: Database, turn: Turn, transaction: ExitStack) -> None:
        self._database = database
        self._turn = turn
        self._transaction = transaction

    @cached_property
    def _connection(self) -> sa.Connection:
        return self._transaction.enter_context(self._turn.transaction)

    def add(self, crops: Sequence[Crop]) -> int:
        connection = self._connection
        self._database.serialise(connection, "sequence")
        known = known_among(connection, [crop.crop_id for crop in crops])
        new = [crop for crop in crops if crop.crop_id not in known]
        first = last_sequence(connection) + 1  # one number per crop: a catch-up can stop and resume anywhere
        if new:
            rows = [{"sequence": first + n, **to_row(crop)} for n, crop in enumerate(new)]
            connection.execute(sa.insert(CROPS), rows)
        settle_named(connection, [crop.image_uri for crop in crops])
        return len(new)

    def erase(self, crop_filter: CropFilter) -> int:
        condition, now = where(crop_filter), to_milliseconds(datetime.now(UTC))
        connection = self._connection
        self._database.serialise(connection, "sequence")
        self._database.serialise(connection, "alerts")
        query = sa.select(CROPS.c.crop_id, CROPS.c.image_uri).where(condition).order_by(CROPS.c.crop_id)
        held = connection.execute(query).all()
        first = last_sequence(connection) + 1
        if held:
            tombstones = [
                {"sequence": first + n, "crop_id": row.crop_id, "erased_at": now} for n, row in enumerate(held)
            ]
            connection.execute(sa.insert(TOMBSTONES), tombstones)
            shown = sa.select(CROPS.c.crop_id).where(condition)
            connection.execute(sa.delete(ALERTS).where(ALERTS.c.crop_id.in_(shown)))
            connection.execute(sa.delete(CROPS).where(condition))
            list_pictures(connection, [row.image_uri for row in held])
        return len(held)

    def put_video(self, video: VideoRow) -> None:
        start = to_milliseconds(video.start)
        own = (VIDEOS.c.camera_id == video.camera_id, VIDEOS.c.start == start)
        self._connection.execute(sa.delete(VIDEOS).where(*own))
        values = (video.camera_id, start, video.content_hash, video.settings, video.result)
        self._connection.execute(sa.insert(VIDEOS).values(values))


def last_sequence(connection: sa.Connection) -> int:
    """The number of the latest change, 0 in an empty gallery; tombstones stay, so it never decreases."""
    return max(number or 0 for number in connection.execute(LATEST).one())


def known_among(connection: sa.Connection, crop_ids: Sequence[str]) -> set[str]:
    """The ids that are stored or were erased."""
    return set(connection.scalars(KNOWN_AMONG, given(crop_ids)))


def list_pictures(connection: sa.Connection, image_uris: Sequence[str]) -> None:
    """Put pictures on the list of those being written or to be removed; some may be on it."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    uris = elements(sa.literal(sorted(image_uris), sa.JSON())).table_valued("value")  # in order: no deadlock
    new = sa.select(uris.c.value).where(uris.c.value != "")  # without WHERE, SQLite takes ON CONFLICT for a join's
    connection.execute(insert(PENDING_PICTURES).from_select(["image_uri"], new).on_conflict_do_nothing())


def settle_named(connection: sa.Connection, image_uris: Sequence[str]) -> None:
    """Take the pictures that rows name off that list."""
    connection.execute(SETTLE_NAMED, given(image_uris))


class elements(FunctionElement[str]):  # noqa: N801 (named as SQL functions are)
    """The strings of a JSON list as rows. The list is one value of a statement, so its length has no limit."""

    inherit_cache = True


@compiles(elements, "sqlite")
def _sqlite_elements(element: elements, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(elements, "postgresql")
def _postgresql_elements(element: elements, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text({compiler.process(element.clauses, **options)})"


def among(column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column holds one of the values, however many they are."""
    return column.in_(sa.select(elements(sa.literal(_storable(values), sa.JSON())).table_valued("value").c.value))


def _among_given(column: ColumnElement[str]) -> ColumnElement[bool]:
    """The same for the values that `given` makes of them."""
    return column.in_(sa.select(elements(sa.bindparam("given", type_=sa.JSON())).table_valued("value").c.value))


def given(values: Sequence[str]) -> dict[str, list[str]]:
    """The parameter of a statement with `_among_given`."""
    return {"given": _storable(values)}


def _storable(values: Sequence[str]) -> list[str]:
    return [value for value in values if NUL not in value]


def _first_of_each_day() -> sa.Select[int]:
    """The moment of the first crop of each day: an index gives each at once, however many crops lie between."""

    def first_from(moment: ColumnElement[int]) -> ColumnElement[int]:
        captured = CROPS.c.captured_at
        first = sa.select(sa.func.min(captured)).where(captured >= moment, captured < sa.bindparam("before"))
        return first.scalar_subquery()

    days = sa.select(first_from(sa.bindparam("after")).label("first")).cte("days", recursive=True)
    next_day = days.c.first - days.c.first % DAY + DAY
    days = days.union_all(sa.select(first_from(next_day)).where(days.c.first.is_not(None)))
    return sa.select(days.c.first).where(days.c.first.is_not(None)).order_by(days.c.first)


DAYS = _first_of_each_day()

# Asked with every search and every crop, so built once, too.
HELD_AMONG, ERASED_AMONG = (
    sa.select(ids).where(_among_given(ids)).order_by(ids) for ids in (CROPS.c.crop_id, TOMBSTONES.c.crop_id)
)
KNOWN_AMONG = sa.union_all(
    *(sa.select(ids).where(_among_given(ids)) for ids in (CROPS.c.crop_id, TOMBSTONES.c.crop_id))
)
SETTLE_NAMED = sa.delete(PENDING_PICTURES).where(
    _among_given(PENDING_PICTURES.c.image_uri),
    PENDING_PICTURES.c.image_uri.in_(sa.select(CROPS.c.image_uri).where(_among_given(CROPS.c.image_uri))),
)


def where(crop_filter: CropFilter) -> ColumnElement[bool]:
    """A filter as an SQL condition, with the meaning of `CropFilter.admits`."""
    allowed = {"camera_id": crop_filter.cameras, "track_id": crop_filter.tracks, "crop_id": crop_filter.crop_ids}
    conditions = [among(CROPS.c[name], values) for name, values in allowed.items() if values is not None]
    if crop_filter.after is not None:
        conditions.append(CROPS.c.captured_at >= ceiling_milliseconds(crop_filter.after))
    if crop_filter.before is not None:
        conditions.append(CROPS.c.captured_at < ceiling_milliseconds(crop_filter.before))
    if crop_filter.time_of_day is not None:
        conditions.append(sa.or_(sa.false(), *map(_in_windows, crop_filter.windows())))
    return sa.and_(sa.true(), *conditions)


def _in_windows(zone: ZoneWindows) -> ColumnElement[bool]:
    named = among(CROPS.c.camera_id, zone.cameras)
    return sa.and_(sa.not_(named) if zone.is_others else named, sa.or_(sa.false(), *map(_in_window, zone.windows)))


def _in_window(window: Window) -> ColumnElement[bool]:
    captured, passed = CROPS.c.captured_at, CROPS.c.captured_at % DAY
    return sa.and_(captured >= window.start, captured < window.end, passed >= window.low, passed < window.high)


def to_row(crop: Crop) -> dict[str, Any]:
    """A crop's values by column."""
    box = crop.bbox
    return {
        "crop_id": crop.crop_id,
        "camera_id": crop.camera_id,
        "captured_at": to_milliseconds(crop.captured_at),
        "track_id": crop.track_id,
        "image_uri": crop.image_uri,
        **{name: int(getattr(box, name)) for name in ("x", "y", "width", "height")},
        "frame_uri": crop.frame_uri,
        "quality": float(crop.quality),
        "ingested_at": to_milliseconds(crop.ingested_at),
    }


def from_row(row: Sequence[Any]) -> Crop:
    """A crop of the values of CROP_COLUMNS."""
    crop_id, camera_id, captured_at, track_id, image_uri, x, y, width, height, frame_uri, quality, ingested_at = row
    return Crop(
        crop_id=crop_id,
        camera_id=camera_id,
        captured_at=from_milliseconds(captured_at),
        track_id=track_id,
        image_uri=image_uri,
        bbox=BoundingBox(x, y, width, height),
        frame_uri=frame_uri,
        quality=quality,
        ingested_at=from_milliseconds(ingested_at),
    )
