"""Records which videos the gallery holds, so that none is ingested twice, at two times or under two settings."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from personsearch.errors import UserError
from personsearch.gallery.rows import GalleryRows, Turn, VideoRow
from personsearch.gallery.store import path_name


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """A camera's video from a start time on. A camera records one video at a time, so these two identify it.

    `take` counts how often it was taken in, from 1; each take has ids of its own. `file` is what the video was called,
    unknown of those that an earlier version took in; `removed_at` is when its footage was, if it was.
    """

    camera_id: str
    start: datetime
    content_hash: str
    settings: str
    take: int = 1
    file: str | None = field(default=None, compare=False)  # a renamed file is the same video
    removed_at: datetime | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"camera {self.camera_id} from {self.start.isoformat()}"

    @property
    def name(self) -> str:
        """What the ids of a video's tracks begin with, and the name of its record."""
        name = f"{path_name(self.camera_id)}-{_stamp(self.start)}"
        return name if self.take == 1 else f"{name}-take{self.take}"


@dataclass(frozen=True, slots=True)
class Found:
    """What the ledger holds of a video: the entry, and the metrics of its ingest if that was completed."""

    entry: VideoEntry
    metrics: dict[str, float] | None


def find(rows: GalleryRows, camera_id: str, start: datetime) -> Found | None:
    """The video of this camera and time."""
    row = rows.video(camera_id, start)
    return None if row is None else _found(row)


def copies(rows: GalleryRows, content_hash: str) -> list[VideoEntry]:
    """Every camera and time at which the same file was taken in."""
    return [_found(row).entry for row in rows.videos_of(content_hash)]


def all_videos(rows: GalleryRows) -> list[VideoEntry]:
    """Every video that the gallery has taken in."""
    return [_found(row).entry for row in rows.videos()]


def record_removal(rows: GalleryRows, entries: Iterable[VideoEntry], when: datetime) -> None:
    """Record that the footage of videos is no longer kept."""
    with rows.turn() as turn:
        for entry in entries:
            row = rows.video(entry.camera_id, entry.start)  # as it is in this turn
            if row is not None:
                turn.put_video(replace(_row(replace(_found(row).entry, removed_at=when)), result=row.result))


def begin(turn: Turn, entry: VideoEntry) -> None:
    """Record that a video is being taken in. A killed ingest starts again from the beginning: the same video, settings
    and take give the same crops.
    """
    turn.put_video(_row(entry))


def complete(turn: Turn, entry: VideoEntry, metrics: Mapping[str, float]) -> None:
    """Record that every crop of a video is in the gallery."""
    turn.put_video(replace(_row(entry), result=json.dumps(dict(metrics))))


def next_take(held: Found, entry: VideoEntry, *, again: bool) -> VideoEntry | None:
    """The entry to take in where the ledger holds one of this camera and time; None if nothing is left to do.

    Raises:
        UserError: it holds another video, or part of this one under other settings and `again` is not said.
    """
    if held.entry.content_hash != entry.content_hash:
        raise UserError(f"{entry}: the gallery already holds another video of this camera and time; is --start right?")
    if held.metrics is not None:
        return replace(entry, take=held.entry.take + 1) if again else None
    if held.entry.settings == entry.settings:
        return replace(held.entry, file=entry.file)
    if not again:
        raise UserError(
            f"{entry}: an ingest under other settings was interrupted ({differences(held.entry, entry)}); "
            "finish it with its settings, or replace it with --again"
        )
    return replace(entry, take=held.entry.take + 1)


def differences(held: VideoEntry, entry: VideoEntry) -> str:
    """The settings that differ, as `name: then, now value`; empty where none does."""
    then, now = _flat(json.loads(held.settings)), _flat(json.loads(entry.settings))
    names = sorted(then.keys() | now.keys())
    return "; ".join(f"{n}: {then.get(n)}, now {now.get(n)}" for n in names if then.get(n) != now.get(n))


def _row(entry: VideoEntry) -> VideoRow:
    values = {"settings": json.loads(entry.settings), "take": entry.take, "file": entry.file}
    if entry.removed_at is not None:
        values["removed_at"] = entry.removed_at.isoformat()
    settings = json.dumps(values, sort_keys=True)
    return VideoRow(entry.camera_id, entry.start, entry.content_hash, settings)


def _found(row: VideoRow) -> Found:
    values = json.loads(row.settings)
    if "settings" not in values:  # galleries of earlier versions hold the settings alone
        values = {"settings": values}
    removed = values.get("removed_at")
    entry = VideoEntry(
        row.camera_id,
        row.start,
        row.content_hash,
        json.dumps(values["settings"], sort_keys=True),
        values.get("take", 1),
        file=values.get("file"),
        removed_at=None if removed is None else datetime.fromisoformat(removed),
    )
    return Found(entry, json.loads(row.result) if row.result is not None else None)


def erased(rows: GalleryRows, entry: VideoEntry) -> int:
    """How many crops of this take were erased."""
    return rows.count_erased(f"{entry.name}-0", f"{entry.name}-:")  # a digit follows; ":" comes after "9"


def _stamp(start: datetime) -> str:
    milliseconds = f"{start.microsecond // 1000:03d}" if start.microsecond >= 1000 else ""
    return f"{start:%Y%m%dT%H%M%S}{milliseconds}"


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
