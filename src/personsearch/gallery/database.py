"""The gallery's SQLite database: its schema, its connections, and crops as rows."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from personsearch.errors import UserError
from personsearch.files import private_file
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.filters import CropFilter

SCHEMA_VERSION = 1
BUSY_TIMEOUT_SECONDS = 30.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

COLUMNS = "crop_id, camera_id, captured_at, track_id, image_uri, x, y, width, height, frame_uri, quality, ingested_at"

# `sequence` counts every change of the gallery, additions and erasures alike, so that an indexer catches up on
# both from one number. Times are milliseconds since 1970 in UTC.
SCHEMA = """
CREATE TABLE crops (
    sequence INTEGER PRIMARY KEY,
    crop_id TEXT NOT NULL UNIQUE,
    camera_id TEXT NOT NULL,
    captured_at INTEGER NOT NULL,
    track_id TEXT NOT NULL,
    image_uri TEXT NOT NULL UNIQUE,
    x INTEGER NOT NULL, y INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    frame_uri TEXT NOT NULL,
    quality REAL NOT NULL CHECK (quality BETWEEN 0 AND 1),
    ingested_at INTEGER NOT NULL
) STRICT;
CREATE INDEX crops_by_camera_and_time ON crops (camera_id, captured_at);
CREATE INDEX crops_by_time ON crops (captured_at);
CREATE INDEX crops_by_track ON crops (track_id);
CREATE TABLE tombstones (
    sequence INTEGER PRIMARY KEY,
    crop_id TEXT NOT NULL UNIQUE,
    erased_at INTEGER NOT NULL
) STRICT;
CREATE TABLE videos (
    camera_id TEXT NOT NULL,
    start INTEGER NOT NULL,
    content_hash TEXT NOT NULL,
    settings TEXT NOT NULL,
    result TEXT,
    PRIMARY KEY (camera_id, start)
) STRICT;
"""


def create_schema(path: Path) -> None:
    """Create the database if there is none.

    Raises:
        UserError: the file is not a gallery database, or has another schema version.
    """
    private_file(path)  # SQLite gives its journal the same permissions
    with connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise UserError(f"{path}: gallery schema version {version}; this code reads version {SCHEMA_VERSION}")


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one operation; its transaction is committed if the block succeeds and else rolled back."""
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise UserError(f"{path}: cannot be opened: {error}") from error
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        yield connection
        if connection.in_transaction:
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path}: {error}") from error
    finally:
        connection.close()


def next_sequence(connection: sqlite3.Connection) -> int:
    """The number of the next change; tombstones are never removed, so it never decreases."""
    return last_sequence(connection) + 1


def last_sequence(connection: sqlite3.Connection) -> int:
    """The number of the latest change, 0 in an empty gallery."""
    changes = "SELECT sequence FROM crops UNION ALL SELECT sequence FROM tombstones"
    query = f"SELECT COALESCE(MAX(sequence), 0) FROM ({changes})"
    return int(connection.execute(query).fetchone()[0])


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 in UTC; a time without a zone is refused with ValueError."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()}: a time with a zone expected")
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(milliseconds: int) -> datetime:
    """The inverse of `to_milliseconds`, in UTC."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def to_row(crop: Crop) -> tuple[Any, ...]:
    """A crop's values in the order of COLUMNS."""
    box = crop.bbox
    return (
        crop.crop_id,
        crop.camera_id,
        to_milliseconds(crop.captured_at),
        crop.track_id,
        crop.image_uri,
        *(int(value) for value in (box.x, box.y, box.width, box.height)),
        crop.frame_uri,
        float(crop.quality),
        to_milliseconds(crop.ingested_at),
    )


def from_row(row: tuple[Any, ...]) -> Crop:
    """The inverse of `to_row`."""
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


def where(crop_filter: CropFilter) -> tuple[str, list[Any]]:
    """A filter as an SQL condition and its values, with the meaning of `CropFilter.admits`."""
    among = {"camera_id": crop_filter.cameras, "track_id": crop_filter.tracks, "crop_id": crop_filter.crop_ids}
    conditions = ["TRUE"]
    values: list[Any] = []
    for column, allowed in among.items():
        if allowed is not None:
            conditions.append(f"{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(allowed))
    for operator, moment in ((">=", crop_filter.after), ("<", crop_filter.before)):
        if moment is not None:
            conditions.append(f"captured_at {operator} ?")
            values.append(_ceiling_milliseconds(moment))
    return " AND ".join(conditions), values


def _ceiling_milliseconds(moment: datetime) -> int:
    """Stored times are whole milliseconds: t >= 1.5 ms means t >= 2, and t < 1.5 ms means t < 2."""
    return -((EPOCH - moment) // timedelta(milliseconds=1))
