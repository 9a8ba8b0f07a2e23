"""Footage that crops were cut from: where its files are, and in which one a crop was seen."""

import glob
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from personsearch.errors import UserError, explain
from personsearch.files import inner_path, replacing
from personsearch.gallery.ingest import ledger
from personsearch.gallery.rows import GalleryRows
from personsearch.gallery.store import path_name
from personsearch.search.crop import Crop

TRACK = re.compile(r"-(?P<stamp>\d{8}T\d{6}(?:\d{3})?)(?:-take\d+)?-\d{4,}")
FRAME = re.compile(r"(?P<video>[^/\\\0]+)#frame=(?P<number>\d+)")
LIVE = re.compile(r"[a-z]+://", re.IGNORECASE)


class NoFootage(UserError):
    """There is nothing to show around a crop; the message is the reason."""


class PeopleErased(NoFootage):
    """Somebody was erased from the footage of a crop.

    What is left of them is the ids of their crops. These do not say for how long they were in the picture, nor where,
    so no frame of the video can be known to be without them.
    """


class Footage(Protocol):
    """The video files of an installation. Any number of threads may use them."""

    @property
    def place(self) -> str:
        """The folder or address, for messages."""
        ...

    def open(self, name: str) -> BinaryIO | None:
        """A file, which is read piece by piece; None if there is none of this name.

        Raises:
            UserError: the name lies outside, or the store cannot be used.
        """
        ...

    def files(self) -> Iterator[str]:
        """Every file there.

        Raises:
            UserError: the store cannot be used.
        """
        ...

    def keep(self, name: str, video: Path) -> None:
        """Copy a file there, whole or not at all.

        Raises:
            UserError: as `open`.
        """
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Remove files; one that is gone already is left out.

        Raises:
            UserError: as `open`.
        """
        ...


class FolderFootage:
    """Video files in a folder of this machine, or on a volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = str(folder)

    def open(self, name: str) -> BinaryIO | None:
        path = self.folder / inner_path(name, self.place)
        try:
            is_inside = path.resolve().is_relative_to(self.folder.resolve())  # a link may lead elsewhere
            return path.open("rb") if is_inside and path.is_file() else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(f"{path}: {explain(error)}") from error

    def files(self) -> Iterator[str]:
        for path in self.folder.rglob("*"):
            if path.is_file() and path.suffix != ".partial":
                yield path.relative_to(self.folder).as_posix()

    def keep(self, name: str, video: Path) -> None:
        path = self.folder / inner_path(name, self.place)
        try:
            for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):  # of a copy that was killed
                leftover.unlink(missing_ok=True)
            with replacing(path, mode=0o600) as temporary:
                shutil.copyfile(video, temporary)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {explain(error)}") from error

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            path = self.folder / inner_path(name, self.place)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(f"{path}: cannot be removed: {explain(error)}") from error


@dataclass(frozen=True, slots=True)
class Origin:
    """The video that a crop was cut from, and how many seconds after its first frame.

    `frames_per_second` is what ingest was told of a stream without timestamps; `removed_at` is when its footage was
    removed, if it was.
    """

    camera_id: str
    video: str
    seconds: float
    frames_per_second: float | None
    removed_at: datetime | None = None

    def open(self, footage: Footage) -> BinaryIO:
        """The file: in a folder of its camera, or beside those of all cameras.

        Raises:
            NoFootage: it is not there.
        """
        for name in places(self.camera_id, self.video):
            if (file := footage.open(name)) is not None:
                return file
        if self.removed_at is not None:
            raise NoFootage(f"This footage is no longer kept: it was removed on {self.removed_at:%Y-%m-%d}.")
        raise NoFootage(
            f"There is no file {self.video!r} where footage is kept (PERSONSEARCH_FOOTAGE, else var/videos)."
        )


def places(camera_id: str, video: str) -> tuple[str, str]:
    """Where a camera's file may lie: in a folder of the camera, or beside those of all cameras."""
    return f"{path_name(camera_id)}/{video}", video


def origin_of(crop: Crop, rows: GalleryRows) -> Origin:
    """Where a crop of ingested footage was seen.

    Raises:
        NoFootage: it came from a live camera, a data set or another program, which leave no video.
        PeopleErased: as its name says.
    """
    named, entry = FRAME.fullmatch(crop.frame_uri), _entry(crop, rows)
    if named is None or entry is None:
        source = "a live camera" if LIVE.match(crop.frame_uri) else "no video file that was ingested"
        raise NoFootage(f"There is no footage: the crop comes from {source}.")
    if any(ledger.erased(rows, each) for each in ledger.copies(rows, entry.content_hash)):
        raise PeopleErased("Somebody was erased from this video, so no frame of it is shown any more.")
    return Origin(
        crop.camera_id,
        named["video"],
        (crop.captured_at - entry.start).total_seconds(),
        json.loads(entry.settings).get("frames_per_second"),
        entry.removed_at,
    )


def _entry(crop: Crop, rows: GalleryRows) -> ledger.VideoEntry | None:
    """The video of this crop's track; other programs may send ids that only look like those of ingest."""
    stamped = TRACK.fullmatch(crop.track_id.removeprefix(path_name(crop.camera_id)))
    if stamped is None:
        return None
    text = stamped["stamp"]
    try:
        start = datetime.strptime(text[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    found = ledger.find(rows, crop.camera_id, start.replace(microsecond=1000 * int(text[15:] or 0)))
    return found.entry if found is not None and crop.track_id.startswith(f"{found.entry.name}-") else None
