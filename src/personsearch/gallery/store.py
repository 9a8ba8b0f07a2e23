"""The gallery: crops of people as JPEG files, their metadata in a database, and a record of what was erased.

    <folder>/images/<camera>/<date>/<crop_id>.jpg   the pictures; <camera> as `path_name` spells it
    <folder>/gallery.db                             rows, tombstones, ingested videos, unless the database is elsewhere

Image files are written before their rows and removed after them, so a process killed at any moment leaves at most files
without a row, which `sweep` removes. Writers take turns; readers never wait.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from personsearch.errors import UserError
from personsearch.files import private_folder, replacing
from personsearch.gallery.rows import CameraSummary, GalleryRows
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter

IMAGES = "images"
DATABASE = "gallery.db"
JPEG_START = b"\xff\xd8\xff"
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LONGEST_CAMERA_NAME = 128
BATCH = 100  # crops looked up at once


class Gallery:
    """Crops in a folder and a database. Several processes and threads may read and write them."""

    def __init__(self, folder: Path, rows: GalleryRows) -> None:
        self.folder = folder
        self.rows = rows

    def add(self, crops: Iterable[tuple[Crop, bytes]]) -> int:
        """Store crops with their JPEG bytes, all of them or none. Returns how many were new.

        A crop that is already stored, or was erased before, is skipped. The gallery decides where the picture goes: the
        stored crop's `image_uri` is relative to `folder`, whatever the given one is.

        Raises:
            ValueError: bytes that are not a JPEG, a time without a zone, a quality outside [0, 1].
            UserError: a crop id that cannot be part of a file name, or no name for a camera (see `checked_camera`).
        """
        written: dict[str, Crop] = {}
        given = iter(crops)
        try:
            with self.rows.turn() as turn:
                while batch := list(islice(given, BATCH)):
                    known = self.rows.known_among([crop.crop_id for crop, _ in batch])
                    for crop, jpeg in batch:
                        if crop.crop_id not in known and crop.crop_id not in written:
                            written[crop.crop_id] = self._write_image(crop, jpeg)
                return turn.add(list(written.values()))
        except BaseException:  # also Ctrl-C: without rows, nothing would ever name these files
            with suppress(UserError), self.rows.turn(alone=True):
                self._remove_nameless([crop.image_uri for crop in written.values()])
            raise

    def crops(self, crop_filter: CropFilter = EVERYTHING) -> Iterator[Crop]:
        """Crops in the order of `crop_id`, with one page in memory at a time."""
        return self.rows.crops(crop_filter)

    def crops_since(self, sequence: int) -> Iterator[Crop]:
        """Crops added after change number `sequence`, oldest change first (see `last_sequence`)."""
        return self.rows.crops_since(sequence)

    def erased_since(self, sequence: int) -> Iterator[str]:
        """Ids of crops erased after change number `sequence`, oldest change first."""
        return self.rows.erased_since(sequence)

    def last_sequence(self) -> int:
        """The number of the latest change.

        To catch up, read it *before* `crops_since` and `erased_since`, and start the next catch-up from it: a change
        that comes in between is then seen twice rather than missed.
        """
        return self.rows.last_sequence()

    def crop(self, crop_id: str) -> Crop | None:
        """One crop by its id."""
        return self.rows.crop(crop_id)

    def count(self, crop_filter: CropFilter = EVERYTHING) -> int:
        """The number of crops that the filter admits."""
        return self.rows.count(crop_filter)

    def cameras(self) -> list[CameraSummary]:
        """A summary of every camera, by name."""
        return self.rows.cameras()

    def summary(self) -> dict[str, Any]:
        """Counts and the time covered, in total and by camera."""
        cameras = {
            each.camera_id: {
                "crops": each.crops,
                "tracks": each.tracks,
                "first": each.first.isoformat(timespec="milliseconds"),
                "last": each.last.isoformat(timespec="milliseconds"),
            }
            for each in self.cameras()
        }
        erased = self.rows.count_erased()
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
        with self.rows.turn(alone=True) as turn:
            erased = turn.erase(crop_filter)
        self.sweep()
        self.rows.scrub()
        return erased

    def is_erased(self, crop_id: str) -> bool:
        """Whether this crop was erased and may not be added again."""
        return bool(self.erased_among([crop_id]))

    def erased_among(self, crop_ids: Sequence[str]) -> list[str]:
        """The ids among `crop_ids` that were erased, in order."""
        return self.rows.erased_among(crop_ids)

    def building(self) -> AbstractContextManager[None]:
        """Hold the turn of whoever creates, copies or drops collections; says so when it has to wait."""
        return self.rows.building()

    def sweep(self) -> int:
        """Remove picture files without a row, left by a killed writer. Returns their number."""
        pictures = (path for path in (self.folder / IMAGES).glob("*/*/*") if path.suffix in (".jpg", ".partial"))
        uris = (path.relative_to(self.folder).as_posix() for path in pictures)
        removed = 0
        with self.rows.turn(alone=True):
            while batch := list(islice(uris, BATCH)):
                removed += self._remove_nameless(batch)
        return removed

    def _remove_nameless(self, image_uris: Sequence[str]) -> int:
        nameless = set(image_uris) - self.rows.pictures_among(image_uris)
        for uri in nameless:
            (self.folder / uri).unlink(missing_ok=True)
        return len(nameless)

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


def image_uri(camera_id: str, captured_at: datetime, crop_id: str) -> str:
    """The path of a crop's picture, relative to the gallery's folder.

    Raises:
        UserError: a crop id that cannot be part of a file name, or no name for a camera (see `checked_camera`).
    """
    if captured_at.tzinfo is None:
        raise ValueError(f"{captured_at.isoformat()}: a time with a zone expected")
    date = captured_at.astimezone(UTC).strftime("%Y-%m-%d")
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
