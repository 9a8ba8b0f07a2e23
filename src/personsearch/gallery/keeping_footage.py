"""Keeps videos that were ingested, for whole frames around their crops, and removes those that are too old."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from personsearch.errors import UserError, check_exists, explain
from personsearch.files import hash_file
from personsearch.gallery.footage import FRAME, Footage, places
from personsearch.gallery.ingest import ledger
from personsearch.gallery.rows import GalleryRows

PIECE_BYTES = 2**20
AT_ONCE = 500  # files that one record of the audit log names


def place_to_keep(footage: Footage, video: Path, camera_id: str) -> str | None:
    """The name under which a camera's video is to be kept; None if it is kept already.

    Raises:
        UserError: another recording of the camera is kept under this name, a store would change the name, the video
            cannot be read, or the store cannot be used.
    """
    check_exists(video, "a video file")
    if "\\" in video.name or not video.name.isprintable():
        raise UserError(
            f"{str(video)!r}: a file name of printable characters without \\ expected; rename it to keep it"
        )
    own, shared = places(camera_id, video.name)
    held = _hash(footage, own)
    try:
        if hash_file(video) == (held or _hash(footage, shared)):
            return None
    except OSError as error:
        raise UserError(f"{video}: {explain(error)}") from error
    if held is not None:
        raise UserError(f"{footage.place}/{own}: another recording is kept under this name; rename {video}")
    return own


def _hash(footage: Footage, name: str) -> str | None:
    if (file := footage.open(name)) is None:
        return None
    digest = hashlib.sha256()
    with file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class OldFootage:
    """What is kept of recordings that began before a time.

    `recordings` have `files`. `others` have the name of such a recording, but not its content, or that of a younger one
    too. `unnamed` recordings were ingested by an earlier version and have no crops left, so their files are not known.
    """

    recordings: tuple[ledger.VideoEntry, ...]
    files: tuple[str, ...]
    others: tuple[str, ...]
    unnamed: int


def find_old_footage(footage: Footage, rows: GalleryRows, before: datetime) -> OldFootage:
    """What is kept of recordings whose first frame was taken before a time. Reads each file that has the name of one:
    recorders use names again, so a name does not say whose a file is.

    Raises:
        UserError: the store or the database cannot be used.
    """
    kept = set(footage.files())
    named: dict[str, list[ledger.VideoEntry]] = {}
    unnamed = 0
    for entry in ledger.all_videos(rows):
        if (file := _file(entry, rows)) is None:
            unnamed += entry.start < before
            continue
        for name in kept.intersection(places(entry.camera_id, file)):
            named.setdefault(name, []).append(entry)
    files: dict[str, list[ledger.VideoEntry]] = {}
    others: list[str] = []
    for name, entries in sorted(named.items()):
        if all(entry.start >= before for entry in entries):
            continue
        content = _hash(footage, name)
        same = [entry for entry in entries if entry.content_hash == content]
        if same and all(entry.start < before for entry in same):
            files[name] = same
        elif content is not None:  # else somebody has just removed it
            others.append(name)
    recordings = {(entry.camera_id, entry.start): entry for entries in files.values() for entry in entries}
    return OldFootage(tuple(recordings.values()), tuple(files), tuple(others), unnamed)


def remove_old_footage(
    footage: Footage, rows: GalleryRows, old: OldFootage, *, record: Callable[[Sequence[str]], None]
) -> None:
    """Remove the files; `record` is called with the names of some before these are removed. Crops stay.

    Interrupted, it is completed by running it again.

    Raises:
        UserError: a file cannot be removed, or the database cannot be written.
    """
    # First, so that a killed removal leaves no frame unexplained.
    ledger.record_removal(rows, old.recordings, datetime.now(UTC))
    for first in range(0, len(old.files), AT_ONCE):
        names = old.files[first : first + AT_ONCE]
        record(names)
        footage.remove(names)


def _file(entry: ledger.VideoEntry, rows: GalleryRows) -> str | None:
    """What the video was called: as the ledger says, else as one of its crops does."""
    if entry.file is not None:
        return entry.file
    crop = next(rows.crops_between(f"{entry.name}-0", f"{entry.name}-:"), None)
    named = None if crop is None else FRAME.fullmatch(crop.frame_uri)
    return None if named is None else named["video"]
