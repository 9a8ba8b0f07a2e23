"""The gallery: crops of people as JPEG pictures, their metadata in a database, and a record of what was erased.

    images/<camera>/<date>/<crop_id>.<hash>.jpg   the pictures, in the gallery's folder or an object store; <camera> as
                                                  `path_name` spells it, <hash> of the picture
    gallery.db                                    rows, tombstones, ingested videos, unless the database is elsewhere

Pictures are written before their rows and removed after them, and the database lists those under way. So a process that
is killed at any moment, or a store that fails, leaves at most pictures on that list, which `sweep` removes without
looking through all others. Writers take turns; readers never wait. Writers that add the same crop with different
pictures at the same time write two files: the first row keeps its own, and the other is swept.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import Any

from personsearch.errors import UserError
from personsearch.gallery.pictures import IMAGES, Pictures
from personsearch.gallery.rows import CameraSummary, GalleryRows, Turn
from personsearch.images import ImageRejected
from personsearch.search.crop import Crop
from personsearch.search.filters import EVERYTHING, CropFilter

DATABASE = "gallery.db"
JPEG_START = b"\xff\xd8\xff"
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LONGEST_CAMERA_NAME = 128
HASH_DIGITS = 16  # of a picture, in its name
BATCH = 100  # crops looked up, or pictures written, at once
SWEPT_AT_ONCE = 500  # pictures removed in one turn; writers wait for that long


class PicturesLeft(UserError):
    """Crops were erased, but the store did not remove all their pictures; `erased` counts the crops."""

    def __init__(self, erased: int, reason: UserError) -> None:
        super().__init__(f"their pictures are still there: {reason}")
        self.erased = erased


class Gallery:
    """Crops with pictures in a store and rows in a database. Several processes and threads may use them.

    `folder` keeps what belongs to neither, the settings with which each video was ingested.
    """

    def __init__(self, folder: Path, rows: GalleryRows, pictures: Pictures) -> None:
        self.folder = folder
        self.rows = rows
        self.pictures = pictures

    def add(self, crops: Iterable[tuple[Crop, bytes]]) -> int:
        """Store crops with their JPEG bytes, all of them or none. Returns how many were new.

        A crop that is already stored, or was erased before, is skipped. The gallery decides where the picture goes: the
        stored crop's `image_uri` is its name in `pictures`, whatever the given one is. Nobody erases anything while
        `crops` are read.

        Raises:
            ValueError: bytes that are not a JPEG, a time without a zone, a quality outside [0, 1].
            UserError: a crop id that cannot be part of a file name, no name for a camera (see `checked_camera`), or a
                store or database that does not take them.
        """
        with self._adding(crops) as (turn, new):
            added = turn.add(new)
        if added < len(new):  # somebody else added or erased the same crops at the same time
            self.sweep()
        return added

    @contextmanager
    def replacing(self, crops: Iterable[tuple[Crop, bytes]]) -> Iterator[tuple[Turn, list[Crop]]]:
        """A turn that nobody shares, to add crops and erase others in their place: all of it happens, or nothing.

        Yields the turn and those of `crops` that are new, whose pictures are written. Reading shows the gallery as it
        was before. Pictures without a row are removed afterwards.

        Raises:
            ValueError, UserError: as `add` does.
        """
        with self._adding(crops, alone=True) as (turn, new):
            yield turn, new
        try:
            self.sweep()
        finally:
            self.rows.scrub()

    def crops(self, crop_filter: CropFilter = EVERYTHING) -> Iterator[Crop]:
        """Crops in the order of `crop_id`, with one page in memory at a time."""
        return self.rows.crops(crop_filter)

    def crops_between(self, first: str, end: str | None) -> Iterator[Crop]:
        """Crops with ids from `first` to before `end`, in that order, with one page in memory at a time."""
        return self.rows.crops_between(first, end)

    def crops_since(self, sequence: int, until: int | None = None) -> Iterator[Crop]:
        """Crops added after change number `sequence`, and not after `until`, oldest change first.

        See `last_sequence`.
        """
        return self.rows.crops_since(sequence, until)

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

    def count_until(self, sequence: int) -> int:
        """The number of crops that were added up to change number `sequence`."""
        return self.rows.count_until(sequence)

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

    def picture(self, crop: Crop) -> bytes:
        """A crop's picture as JPEG.

        Raises:
            ImageRejected: there is none (`PictureMissing`).
            UserError: the store cannot be used.
        """
        return self.pictures.read(crop.image_uri)

    def read_pictures(self, crops: Sequence[Crop]) -> Iterator[bytes | ImageRejected]:
        """The pictures of crops, in their order; the error of `picture` in the place of one that there is not.

        Raises:
            UserError: the store cannot be used.
        """
        return self.pictures.read_many([crop.image_uri for crop in crops])

    def picture_address(self, crop: Crop) -> str:
        """Where a crop's picture is: a path or an address."""
        return self.pictures.address(crop.image_uri)

    def erase(self, crop_filter: CropFilter) -> int:
        """Remove the pictures and rows of all crops that the filter admits, for good. Returns the number of crops.

        Raises:
            UserError: the filter admits everything.
            PicturesLeft: the rows are gone, but the store did not remove every picture; the next call does.
        """
        if crop_filter == EVERYTHING:
            raise UserError("erase: no condition given; name cameras, times, tracks or crops")
        with self.rows.turn(alone=True) as turn:
            erased = turn.erase(crop_filter)
        try:
            self.sweep()
        except UserError as error:
            raise PicturesLeft(erased, error) from error
        finally:
            self.rows.scrub()
        return erased

    def is_erased(self, crop_id: str) -> bool:
        """Whether this crop was erased and may not be added again."""
        return bool(self.erased_among([crop_id]))

    def erased_among(self, crop_ids: Sequence[str]) -> list[str]:
        """The ids among `crop_ids` that were erased, in order."""
        return self.rows.erased_among(crop_ids)

    def held_among(self, crop_ids: Sequence[str]) -> set[str]:
        """The ids among `crop_ids` that are stored."""
        return self.rows.held_among(crop_ids)

    def building(self) -> AbstractContextManager[None]:
        """Hold the turn of whoever creates, copies or drops collections, while nobody is `feeding`; says so when it has
        to wait.
        """
        return self.rows.building()

    def feeding(self) -> AbstractContextManager[None]:
        """Write to collections, together with others who do; nobody is `building` meanwhile."""
        return self.rows.feeding()

    def build_turn(self) -> AbstractContextManager[None]:
        """Hold the turn of whoever fills a new collection; says so when it has to wait."""
        return self.rows.build_turn()

    def sweep(self) -> int:
        """Remove the pictures that were left by erasures and by writers that were killed or failed. Returns their
        number. It costs as much as there are of them, however large the gallery is.
        """
        removed, last = 0, ""
        while self.rows.pending_pictures(1, after=last):
            with self.rows.turn(alone=True):  # nobody is writing, so what has no row now never gets one
                names = self.rows.pending_pictures(SWEPT_AT_ONCE, after=last)
                removed += len(self._remove_nameless(names))
                self.rows.settle_pictures(names)
            last = names[-1] if names else last
        return removed

    def orphans(self, *, remove: bool = False) -> Iterator[str]:
        """Look through the whole store for pictures without a row, and remove them if so told.

        Raises:
            UserError: no crop is in the database, which is then probably not the one of these pictures.
        """
        for names in self.pictures.names():
            if not self.count():
                raise UserError(
                    f"{self.pictures.place}: has pictures, but {self.rows.place} has no crops; the wrong one?"
                )
            with self.rows.turn(alone=True):
                nameless = self._nameless(names)
                if remove:
                    self.pictures.remove(nameless)
            yield from nameless

    @contextmanager
    def _adding(self, crops: Iterable[tuple[Crop, bytes]], *, alone: bool = False) -> Iterator[tuple[Turn, list[Crop]]]:
        """A turn, and those of `crops` that are new, whose pictures are written; none is left if the turn fails."""
        written: dict[str, Crop] = {}
        given = iter(crops)
        try:
            with self.rows.turn(alone=alone) as turn:
                while batch := list(islice(given, BATCH)):
                    written |= self._write_new(batch, written)
                yield turn, list(written.values())
        except BaseException:  # also Ctrl-C
            with suppress(UserError):
                self.sweep()
            raise

    def _remove_nameless(self, names: Sequence[str]) -> list[str]:
        nameless = self._nameless(names)
        self.pictures.remove(nameless)
        return nameless

    def _nameless(self, names: Sequence[str]) -> list[str]:
        return sorted(set(names) - self.rows.pictures_among(names))

    def _write_new(self, batch: Sequence[tuple[Crop, bytes]], written: Mapping[str, Crop]) -> dict[str, Crop]:
        """Write the pictures of crops that are neither stored nor `written`; returns these crops by id."""
        known = self.rows.known_among([crop.crop_id for crop, _ in batch]) | written.keys()
        new: dict[str, tuple[Crop, bytes]] = {}
        for crop, jpeg in batch:
            if crop.crop_id not in known:
                new.setdefault(crop.crop_id, (_checked(crop, jpeg), jpeg))
        pictures = [(crop.image_uri, jpeg) for crop, jpeg in new.values()]
        if pictures:
            self.rows.announce_pictures([name for name, _ in pictures])
            self.pictures.write(pictures)
        return {crop_id: crop for crop_id, (crop, _) in new.items()}


def _checked(crop: Crop, jpeg: bytes) -> Crop:
    """The crop as it is stored."""
    if not jpeg.startswith(JPEG_START):
        raise ValueError(f"crop {crop.crop_id}: not a JPEG picture")
    if not 0.0 <= crop.quality <= 1.0:
        raise ValueError(f"crop {crop.crop_id}: quality {crop.quality}; 0 to 1 expected")
    return replace(crop, image_uri=image_uri(crop, jpeg))


def image_uri(crop: Crop, jpeg: bytes) -> str:
    """The name of a crop's picture, which no other picture has.

    Raises:
        UserError: a crop id that cannot be part of a file name, or no name for a camera (see `checked_camera`).
    """
    if crop.captured_at.tzinfo is None:
        raise ValueError(f"{crop.captured_at.isoformat()}: a time with a zone expected")
    date = crop.captured_at.astimezone(UTC).strftime("%Y-%m-%d")
    camera, content = path_name(checked_camera(crop.camera_id)), hashlib.sha256(jpeg).hexdigest()[:HASH_DIGITS]
    return f"{IMAGES}/{camera}/{date}/{_checked_crop_id(crop.crop_id)}.{content}.jpg"


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
