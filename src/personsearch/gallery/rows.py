"""What a gallery keeps in a database: its crops as rows, tombstones of erased ones, and the videos taken in.

`integrations/database` implements it over SQLite and PostgreSQL.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from personsearch.gallery.builds import BuildRecords
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """A camera, its number of crops and of tracks, and the times of the first and the last crop."""

    camera_id: str
    crops: int
    tracks: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class VideoRow:
    """A camera's video from a start time on; `settings` and `result` are JSON, `result` None until it is complete."""

    camera_id: str
    start: datetime
    content_hash: str
    settings: str
    result: str | None = None


class Turn(Protocol):
    """A writer's turn. What it writes becomes visible to others, all at once, when the turn ends; if the turn fails,
    nothing is written.
    """

    def add(self, crops: Sequence[Crop]) -> int:
        """Number and store crops, and take their pictures off the list of those under way. Crops that are stored, or
        were erased, are left out; returns how many were new.
        """
        ...

    def erase(self, crop_filter: CropFilter) -> int:
        """Remove the rows that the filter admits, keep a tombstone of each, and list their pictures for removal.
        Returns their number.
        """
        ...

    def put_video(self, video: VideoRow) -> None:
        """Store a video in the place of the one of the same camera and time."""
        ...


class GalleryRows(Protocol):
    """The rows of one gallery. Any number of processes and threads may use them. Every method may raise UserError."""

    @property
    def place(self) -> str:
        """The address of the database, for messages."""
        ...

    @property
    def builds(self) -> BuildRecords:
        """The builds of collections of this gallery."""
        ...

    def turn(self, *, alone: bool = False) -> AbstractContextManager[Turn]:
        """Write. With `alone` nobody else is inside a turn, so no picture is on its way to a row."""
        ...

    def building(self) -> AbstractContextManager[None]:
        """Hold the turn of whoever creates, copies or drops collections of this gallery, while nobody is `feeding`."""
        ...

    def feeding(self) -> AbstractContextManager[None]:
        """Write to collections of this gallery, together with others who do; nobody is `building` meanwhile."""
        ...

    def build_turn(self) -> AbstractContextManager[None]:
        """Hold the turn of whoever fills a new collection, which may take hours; nobody else does meanwhile."""
        ...

    def scrub(self) -> None:
        """Remove what the engine still holds of erased rows, as far as it can be told to."""
        ...

    def crop(self, crop_id: str) -> Crop | None:
        """One crop by its id."""
        ...

    def crops(self, crop_filter: CropFilter) -> Iterator[Crop]:
        """Crops in the order of `crop_id`."""
        ...

    def crops_between(self, first: str, end: str | None) -> Iterator[Crop]:
        """Crops with ids from `first` to before `end`, in that order."""
        ...

    def crop_id_at(self, first: str, place: int) -> str | None:
        """The id at a place, from 0 on, among those from `first` on; None if there are fewer."""
        ...

    def crops_since(self, sequence: int, until: int | None = None) -> Iterator[Crop]:
        """Crops added after change number `sequence`, and not after `until`, oldest change first."""
        ...

    def erased_since(self, sequence: int) -> Iterator[str]:
        """Ids of crops erased after change number `sequence`, oldest change first."""
        ...

    def last_sequence(self) -> int:
        """The number of the latest change. No change with a smaller number becomes visible later."""
        ...

    def count(self, crop_filter: CropFilter) -> int:
        """The number of crops that the filter admits."""
        ...

    def count_until(self, sequence: int) -> int:
        """The number of crops that were added up to change number `sequence`."""
        ...

    def cameras(self) -> list[CameraSummary]:
        """A summary of every camera, by name."""
        ...

    def days(self, after: datetime, before: datetime) -> list[date]:
        """The days in UTC, from 1970 on, on which crops were taken from `after` to before `before`, in order."""
        ...

    def known_among(self, crop_ids: Sequence[str]) -> set[str]:
        """The ids that are stored or were erased."""
        ...

    def erased_among(self, crop_ids: Sequence[str]) -> list[str]:
        """The ids that were erased, in order."""
        ...

    def held_among(self, crop_ids: Sequence[str]) -> set[str]:
        """The ids that are stored."""
        ...

    def count_erased(self, first: str = "", end: str | None = None) -> int:
        """How many ids were erased, from `first` to before `end` in the order of their characters."""
        ...

    def pictures_among(self, image_uris: Sequence[str]) -> set[str]:
        """The pictures that a row names."""
        ...

    def announce_pictures(self, image_uris: Sequence[str]) -> None:
        """List pictures that are about to be written, at once, also from inside a turn."""
        ...

    def pending_pictures(self, limit: int, *, after: str = "") -> list[str]:
        """The first listed pictures behind a name, in order: those being written, or to be removed."""
        ...

    def settle_pictures(self, image_uris: Sequence[str]) -> None:
        """Take pictures off the list."""
        ...

    def video(self, camera_id: str, start: datetime) -> VideoRow | None:
        """The video of a camera and time."""
        ...

    def videos_of(self, content_hash: str) -> list[VideoRow]:
        """Every camera and time at which the same file was taken in."""
        ...

    def unfinished_videos(self) -> list[VideoRow]:
        """The videos whose ingest runs, or was interrupted."""
        ...

    def videos(self) -> list[VideoRow]:
        """Every camera and time at which a file was taken in."""
        ...
