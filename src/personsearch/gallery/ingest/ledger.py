"""Records which videos the gallery holds, so that none is ingested twice or under two settings."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from personsearch.errors import UserError
from personsearch.gallery.database import connect, to_milliseconds


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """A camera's video from a start time on. A camera records one video at a time, so these two identify it."""

    camera_id: str
    start: datetime
    content_hash: str
    settings: str


def begin(database: Path, entry: VideoEntry) -> dict[str, float] | None:
    """Record that a video is being ingested; returns the metrics of its completed ingest if there was one.

    A killed ingest starts again from the beginning: the same video and settings give the same crops.

    Raises:
        UserError: the gallery holds another video of this camera and time, or part of this one under other settings.
    """
    with connect(database) as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(f"SELECT content_hash, settings, result FROM videos {_WHERE}", _key(entry)).fetchone()
        if row is None:
            values = (*_key(entry), entry.content_hash, entry.settings)
            connection.execute("INSERT INTO videos VALUES (?, ?, ?, ?, NULL)", values)
            return None
        return _earlier(entry, row)


def complete(database: Path, entry: VideoEntry, metrics: Mapping[str, float]) -> None:
    """Record that every crop of a video is in the gallery."""
    with connect(database) as connection:
        connection.execute(f"UPDATE videos SET result = ?3 {_WHERE}", (*_key(entry), json.dumps(dict(metrics))))


_WHERE = "WHERE camera_id = ?1 AND start = ?2"


def _key(entry: VideoEntry) -> tuple[str, int]:
    return entry.camera_id, to_milliseconds(entry.start)


def _earlier(entry: VideoEntry, row: sqlite3.Row | tuple[str, str, str | None]) -> dict[str, float] | None:
    content_hash, settings, result = row
    place = f"camera {entry.camera_id} from {entry.start.isoformat()}"
    if content_hash != entry.content_hash:
        raise UserError(f"{place}: the gallery already holds another video of this camera and time; is --start right?")
    if result is None and settings != entry.settings:
        raise UserError(f"{place}: an ingest under other settings was interrupted; finish it with {settings}")
    return dict(json.loads(result)) if result is not None else None
