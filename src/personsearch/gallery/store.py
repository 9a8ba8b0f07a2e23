"""The gallery: crops of people as JPEG files, their metadata in SQLite, and a record of what was erased.

    <folder>/gallery.db                             rows, tombstones, which videos were ingested
    <folder>/images/<camera>/<date>/<crop_id>.jpg   the pictures; <camera> as `path_name` spells it

Image files are written before their rows and removed after them, so a process killed at any moment leaves at most files
without a row, which `sweep` removes. Writers take turns (a lock file). Readers never wait: SQLite is in WAL mode.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from personsearch.errors import UserError
from personsearch.files import locked, private_folder, replacing
from personsearch.gallery.database import (
    COLUMNS,
    connect,
    create_schema,
    from_milliseconds,
    from_row,
    last_sequence,
    next_sequence,
    to_milliseconds,
    to_row,
    where,
)
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter

IMAGES = "images"
DATABASE = "gallery.db"
JPEG_START = b"\xff\xd8\xff"
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LONGEST_CAMERA_NAME = 128
PAGE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """A camera, its number of crops, and the times of the first and the last."""

    camera_id: str
    crops: int
    first: datetime
    last: datetime


class Gallery:
    """Crops in a folder. Several processes and threads may read and write it."""

    def __init__(self, folder: Path) -> None:
        """Open the gallery in a folder; create an empty one if there is none.

        Raises:
            UserError: the folder cannot be used, or its database has another schema version.
        """
        self.folder = folder
        try:
            private_folder(folder)
        except OSError as error:
            raise UserError(f"{folder}: cannot hold a gallery: {error.strerror}") from error
        self.database = folder / DATABASE
        with self._writing():
            create_schema(self.database)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder holds a gallery; opening it would make one."""
        return (folder / DATABASE).is_file()

    def add(self, crops: Iterable[tuple[Crop, bytes]]) -> int:
        """Store crops with their JPEG bytes, all of them or none. Returns how many were new.

        A crop that is already stored, or was erased before, is skipped. The gallery decides where the picture goes: the
        stored crop's `image_uri` is relative to `folder`, whatever the given one is.

        Raises:
            ValueError: bytes that are not a JPEG, a time without a zone, a quality outside [0, 1].
            UserError: a crop id that cannot be part of a file name, or no name for a camera (see `checked_camera`).
        """
        with self._writing():
            written: dict[str, Crop] = {}
            try:
                for crop, jpeg in crops:
                    if crop.crop_id not in written and not self._is_known(crop.crop_id):
                        written[crop.crop_id] = self._write_image(crop, jpeg)
                with self._transaction() as connection:
                    return _insert(connection, list(written.values()))
            except BaseException:  # also Ctrl-C: without rows, nothing would ever name these files
                for crop in written.values():
                    self.image(crop).unlink(missing_ok=True)
                raise

    def crops(self, crop_filter: CropFilter = EVERYTHING) -> Iterator[Crop]:
        """Crops in the order of `crop_id`, with one page in memory at a time."""
        condition, values = where(crop_filter)
        last = ""  # each page starts behind the last: no read transaction stays open between pages
        while page := self._rows(
            f"SELECT {COLUMNS} FROM crops WHERE crop_id > ? AND {condition} ORDER BY crop_id LIMIT {PAGE_ROWS}",
            [last, *values],
        ):
            yield from map(from_row, page)
            last = page[-1][0]

    def crops_since(self, sequence: int) -> Iterator[Crop]:
        """Crops added after change number `sequence`, oldest change first (see `last_sequence`)."""
        while page := self._rows(
            f"SELECT sequence, {COLUMNS} FROM crops WHERE sequence > ? ORDER BY sequence LIMIT {PAGE_ROWS}", [sequence]
        ):
            yield from (from_row(row[1:]) for row in page)
            sequence = page[-1][0]

    def erased_since(self, sequence: int) -> Iterator[str]:
        """Ids of crops erased after change number `sequence`, oldest change first."""
        while page := self._rows(
            f"SELECT sequence, crop_id FROM tombstones WHERE sequence > ? ORDER BY sequence LIMIT {PAGE_ROWS}",
            [sequence],
        ):
            yield from (row[1] for row in page)
            sequence = page[-1][0]

    def last_sequence(self) -> int:
        """The number of the latest change.

        To catch up, read it *before* `crops_since` and `erased_since`, and start the next catch-up from it: a change
        that comes in between is then seen twice rather than missed.
        """
        with connect(self.database) as connection:
            return last_sequence(connection)

    def crop(self, crop_id: str) -> Crop | None:
        """One crop by its id."""
        rows = self._rows(f"SELECT {COLUMNS} FROM crops WHERE crop_id = ?", [crop_id])
        return from_row(rows[0]) if rows else None

    def count(self, crop_filter: CropFilter = EVERYTHING) -> int:
        """The number of crops that the filter admits."""
        condition, values = where(crop_filter)
        return int(self._rows(f"SELECT COUNT(*) FROM crops WHERE {condition}", values)[0][0])

    def cameras(self) -> list[CameraSummary]:
        """A summary of every camera, by name."""
        rows = self._rows(
            "SELECT camera_id, COUNT(*), MIN(captured_at), MAX(captured_at) FROM crops GROUP BY 1 ORDER BY 1", []
        )
        return [CameraSummary(row[0], row[1], from_milliseconds(row[2]), from_milliseconds(row[3])) for row in rows]

    def summary(self) -> dict[str, Any]:
        """Counts and the time covered, in total and by camera."""
        query = """SELECT camera_id, COUNT(*), COUNT(DISTINCT track_id), MIN(captured_at), MAX(captured_at)
                   FROM crops GROUP BY camera_id ORDER BY camera_id"""
        cameras = {
            camera: {"crops": crops, "tracks": tracks, "first": _iso(first), "last": _iso(last)}
            for camera, crops, tracks, first, last in self._rows(query, [])
        }
        erased = self._rows("SELECT COUNT(*) FROM tombstones", [])[0][0]
        return {"folder": str(self.folder), "crops": self.count(), "erased": erased, "cameras": cameras}

    def image(self, crop: Crop) -> Path:
        """The path of a crop's picture."""
        return self.folder / crop.image_uri

    def erase(self, crop_filter: CropFilter) -> int:
        """Remove the pictures and rows of all crops that the filter admits, for good. Returns the number of crops.

        Raises:
            UserError: the filter admits everything.
        """
        if crop_filter == EVERYTHING:
            raise UserError("erase: no condition given; name cameras, times, tracks or crops")
        condition, values = where(crop_filter)
        with self._writing():
            with self._transaction() as connection:
                rows = connection.execute(f"SELECT crop_id FROM crops WHERE {condition}", values).fetchall()
                sequence = next_sequence(connection)
                now = to_milliseconds(datetime.now(UTC))
                tombstones = [(sequence + n, crop_id, now) for n, (crop_id,) in enumerate(sorted(rows))]
                connection.executemany("INSERT INTO tombstones VALUES (?, ?, ?)", tombstones)
                connection.execute(f"DELETE FROM crops WHERE {condition}", values)
            self._sweep()
            with connect(self.database) as connection:
                # erased rows live on in the write-ahead log until it is copied into the database and cut
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return len(rows)

    def is_erased(self, crop_id: str) -> bool:
        """Whether this crop was erased and may not be added again."""
        return bool(self._rows("SELECT 1 FROM tombstones WHERE crop_id = ?", [crop_id]))

    def erased_among(self, crop_ids: Sequence[str]) -> list[str]:
        """The ids among `crop_ids` that were erased, in order."""
        query = "SELECT crop_id FROM tombstones WHERE crop_id IN (SELECT value FROM json_each(?)) ORDER BY crop_id"
        return [row[0] for row in self._rows(query, [json.dumps(list(crop_ids))])]

    def count_erased(self, pattern: str) -> int:
        """How many erased ids fit a GLOB pattern."""
        return int(self._rows("SELECT COUNT(*) FROM tombstones WHERE crop_id GLOB ?", [pattern])[0][0])

    def sweep(self) -> int:
        """Remove picture files without a row, left by a killed writer. Returns their number."""
        with self._writing():
            return self._sweep()

    def _sweep(self) -> int:
        removed = 0
        with connect(self.database) as connection:
            for path in (self.folder / IMAGES).glob("*/*/*"):
                uri = path.relative_to(self.folder).as_posix()
                known = connection.execute("SELECT 1 FROM crops WHERE image_uri = ?", [uri]).fetchone()
                if not known and path.suffix in (".jpg", ".partial"):
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _is_known(self, crop_id: str) -> bool:
        query = "SELECT 1 FROM crops WHERE crop_id = ?1 UNION ALL SELECT 1 FROM tombstones WHERE crop_id = ?1"
        return bool(self._rows(query, [crop_id]))

    def _write_image(self, crop: Crop, jpeg: bytes) -> Crop:
        if not jpeg.startswith(JPEG_START):
            raise ValueError(f"crop {crop.crop_id}: not a JPEG picture")
        if not 0.0 <= crop.quality <= 1.0:
            raise ValueError(f"crop {crop.crop_id}: quality {crop.quality}; 0 to 1 expected")
        stored = replace(crop, image_uri=image_uri(crop.camera_id, crop.captured_at, crop.crop_id))
        private_folder(self.folder / IMAGES)
        with replacing(self.image(stored), mode=0o600) as temporary:
            temporary.write_bytes(jpeg)
        return stored

    def _rows(self, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
        with connect(self.database) as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with connect(self.database) as connection:
            connection.execute("BEGIN IMMEDIATE")  # take SQLite's write lock now: upgrading a read lock can fail later
            yield connection

    def _writing(self) -> AbstractContextManager[int]:
        """Hold the gallery's writer lock."""
        return locked(self.folder / "writer.lock")


def image_uri(camera_id: str, captured_at: datetime, crop_id: str) -> str:
    """The path of a crop's picture, relative to the gallery's folder.

    Raises:
        UserError: a crop id that cannot be part of a file name, or no name for a camera (see `checked_camera`).
    """
    date = from_milliseconds(to_milliseconds(captured_at)).strftime("%Y-%m-%d")
    return f"{IMAGES}/{path_name(checked_camera(camera_id))}/{date}/{_checked_crop_id(crop_id)}.jpg"


def checked_camera(name: str) -> str:
    """A camera's name, which is any text that fits on a line.

    Raises:
        UserError: it is empty, too long, has spaces at its ends or characters that cannot be printed.
    """
    if not (0 < len(name) <= LONGEST_CAMERA_NAME and name.isprintable() and name == name.strip()):
        raise UserError(f"camera {name!r}: a name of 1 to {LONGEST_CAMERA_NAME} printable characters expected")
    return name


def path_name(camera: str) -> str:
    """A camera's name as part of a path or an id: as it is where every file system takes it, else with a hash.

    The hash keeps apart `gate 3` and `gate/3`, of which no more than `gate-3` would be left.
    """
    if SAFE_NAME.fullmatch(camera):
        return camera
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", camera)[:40].strip("-._") or "camera"
    return f"{readable}-{hashlib.sha256(camera.encode()).hexdigest()[:8]}"


def _checked_crop_id(crop_id: str) -> str:
    if not SAFE_NAME.fullmatch(crop_id):
        raise UserError(f"crop {crop_id!r}: letters, digits, '-', '_' and '.' expected, a letter or digit first")
    return crop_id


def _iso(milliseconds: int) -> str:
    return from_milliseconds(milliseconds).isoformat(timespec="milliseconds")


def _insert(connection: sqlite3.Connection, crops: list[Crop]) -> int:
    sequence = next_sequence(connection)  # then one number per crop, so that a catch-up can stop and resume anywhere
    places = ", ".join("?" * (COLUMNS.count(",") + 2))
    connection.executemany(
        f"INSERT INTO crops (sequence, {COLUMNS}) VALUES ({places})",
        [(sequence + n, *to_row(crop)) for n, crop in enumerate(crops)],
    )
    return len(crops)
