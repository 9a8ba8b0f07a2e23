"""The stage `ingest`: a camera's video becomes crops of people in the gallery."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile

import cv2

from personsearch.errors import UserError
from personsearch.files import hash_file
from personsearch.gallery.ingest import ledger
from personsearch.gallery.ingest.selection import TrackViews, View
from personsearch.gallery.ingest.tracks import IngestConfig, TrackFinder, detector_file
from personsearch.gallery.ingest.video import VideoInfo, read_info
from personsearch.gallery.rows import Turn
from personsearch.gallery.store import Gallery, checked_camera
from personsearch.progress import announce
from personsearch.run_record import write_run_record
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.filters import CropFilter

logger = logging.getLogger(__name__)

JPEG_QUALITY = 92


def ingest(
    config: IngestConfig, video: Path, gallery: Gallery, *, camera_id: str, start: datetime, again: bool = False
) -> dict[str, float]:
    """Add the people of a video to the gallery: the best crops of each track, then `run.json` in `ingests/`.

    Each track is stored when it ends. After a kill, run the ingest again: it starts from the beginning and stores what
    is missing, because ids are derived from camera, start, track and frame. A video that is already in adds nothing,
    unless `again`: then the new crops take the place of its earlier ones, all at once when the last is found. `start`
    is when the first frame was taken.

    Raises:
        UserError: the video cannot be read, the camera's name is no name, `start` has no zone, the ledger holds
            something else for this camera and time, another process ingests it in another way meanwhile, or `again`
            could bring back people who were erased, before or meanwhile.
    """
    if start.tzinfo is None:
        raise UserError(f"start {start.isoformat()}: a time zone expected, such as {start.isoformat()}Z")
    info = read_info(video, frames_per_second=config.frames_per_second)
    new = ledger.VideoEntry(
        checked_camera(camera_id), start.astimezone(UTC), hash_file(video), settings_text(config), file=video.name
    )
    held = ledger.find(gallery.rows, new.camera_id, new.start)
    entry = new if held is None else ledger.next_take(held, new, again=again)
    if held is not None and entry is None:
        _warn_of_settings(video, held.entry, new)
        return {**(held.metrics or {}), "crops_added": 0, "crops_replaced": 0}
    assert entry is not None
    _refuse_doubles(video, info, gallery, entry)
    work = _Ingest(config, video, info, gallery, entry)
    if held is None:
        with gallery.rows.turn() as turn:
            ledger.begin(turn, entry)
    return work.add() if held is None or entry.take == 1 else work.replace(held.entry)


def _warn_of_settings(video: Path, held: ledger.VideoEntry, entry: ledger.VideoEntry) -> None:
    if different := ledger.differences(held, entry):
        message = "%s: already in the gallery under other settings (%s); nothing added. --again replaces its crops"
        logger.warning(message, video.name, different)
    else:
        logger.warning("%s: already in the gallery; nothing added", video.name)


def _refuse_doubles(video: Path, info: VideoInfo, gallery: Gallery, entry: ledger.VideoEntry) -> None:
    """One file at two overlapping times would show everybody twice; under two cameras it is only worth a warning."""
    for other in ledger.copies(gallery.rows, entry.content_hash):
        apart = abs((other.start - entry.start).total_seconds())
        if (other.camera_id, other.start) == (entry.camera_id, entry.start) or apart >= info.seconds:
            continue
        if not any(True for _ in _crops_of(gallery, other)):
            continue
        if other.camera_id == entry.camera_id:
            raise UserError(
                f"{video.name}: already in the gallery as {other}, {apart:g} s apart; everybody would be in it twice. "
                "Is --start right? If the earlier one was wrong, erase its crops first"
            )
        logger.warning("%s: also in the gallery as %s: everybody is in it twice", video.name, other)


class _Ingest:
    """A video on its way into a gallery."""

    def __init__(
        self, config: IngestConfig, video: Path, info: VideoInfo, gallery: Gallery, entry: ledger.VideoEntry
    ) -> None:
        self._config, self._video, self._info, self._gallery, self._entry = config, video, info, gallery, entry
        self._finder = TrackFinder(config, video, info)
        self._tracks = 0

    def add(self) -> dict[str, float]:
        """Store each track when it ends."""
        self._gallery.sweep()
        added = sum(self._gallery.add(self._while_held(self._entry, crops)) for crops in self._found())
        with self._gallery.rows.turn() as turn:
            self._refuse_other_than(self._entry)
            return self._complete(turn, added=added, replaced=0)

    def replace(self, held: ledger.VideoEntry) -> dict[str, float]:
        """Put the crops of all tracks in the place of those that the ledger holds.

        Until then they wait in a nameless file: in the gallery, people would be in it twice, and who is erased as one
        of two would stay as the other.
        """
        self._refuse_return_of_the_erased()
        with TemporaryFile() as pictures:
            waiting = [(crop, pictures.write(jpeg)) for crops in self._found() for crop, jpeg in crops]
            pictures.seek(0)
            with self._gallery.replacing((crop, pictures.read(size)) for crop, size in waiting) as (turn, new):
                self._refuse_other_than(held)
                self._refuse_return_of_the_erased()
                own = f"{self._entry.name}-"
                crops = _crops_of(self._gallery, self._entry)
                old = tuple(crop.crop_id for crop in crops if not crop.track_id.startswith(own))
                turn.erase(CropFilter(crop_ids=old))
                return self._complete(turn, added=turn.add(new), replaced=len(old))

    def _found(self) -> Iterator[Iterator[tuple[Crop, bytes]]]:
        for track in self._finder:
            self._tracks += 1
            yield _crops(self._config, self._video, self._entry, number=self._tracks, track=track)
        self._report()

    def _while_held(
        self, entry: ledger.VideoEntry, crops: Iterator[tuple[Crop, bytes]]
    ) -> Iterator[tuple[Crop, bytes]]:
        self._refuse_other_than(entry)
        yield from crops

    def _refuse_other_than(self, entry: ledger.VideoEntry) -> None:
        held = ledger.find(self._gallery.rows, entry.camera_id, entry.start)
        if held is None or held.entry != entry:
            raise UserError(f"{entry}: ingested by another process meanwhile, in another way; nothing more is added")

    def _refuse_return_of_the_erased(self) -> None:
        """Erased ids are refused for good, but another take has other ids."""
        if erased := ledger.erased(self._gallery.rows, replace(self._entry, take=self._entry.take - 1)):
            raise UserError(
                f"{self._entry}: {erased} of its crops were erased; taken in again these people would come back, "
                "so nothing was replaced"
            )

    def _report(self) -> None:
        """Say what is missing from the result, and why."""
        if missing := self._frames_missing():
            message = "%s: %d of %d frames are missing: it ends early or is damaged"
            logger.warning(message, self._video.name, missing, self._info.frame_count)
        if not self._tracks:
            logger.warning("%s: no people found: %s", self._video.name, self._finder.why_nobody())
        elif self._finder.rejected:
            rejected, why = self._finder.rejected.total(), self._finder.why_rejected()
            announce(f"{self._video.name}: tracks rejected {rejected}: {why}")

    def _frames_missing(self) -> int:
        if not self._info.frame_count:
            return 0
        return max(0, self._info.frame_count - (self._finder.last_frame + self._finder.every))

    def _complete(self, turn: Turn, *, added: int, replaced: int) -> dict[str, float]:
        metrics: dict[str, float] = {
            "frames": self._finder.frames,
            "frames_missing": self._frames_missing(),
            "detections": self._finder.detections,
            "tracks": self._tracks,
            "tracks_rejected": self._finder.rejected.total(),
            "crops_added": added,
            "crops_replaced": replaced,
        }
        lineage = {"video": self._video.name, "sha256": self._entry.content_hash}
        folder = self._gallery.folder / "ingests" / self._entry.name
        write_run_record(folder, "ingest", self._config, metrics, lineage)
        ledger.complete(turn, self._entry, metrics)
        return metrics


def _crops_of(gallery: Gallery, entry: ledger.VideoEntry) -> Iterator[Crop]:
    """The crops of this video from every take."""
    own = re.compile(re.escape(replace(entry, take=1).name) + r"(-take\d+)?-\d+")
    held = gallery.crops(crop_filter=CropFilter(cameras=(entry.camera_id,), after=entry.start))
    return (crop for crop in held if own.fullmatch(crop.track_id))


def _crops(
    config: IngestConfig, video: Path, entry: ledger.VideoEntry, *, number: int, track: TrackViews
) -> Iterator[tuple[Crop, bytes]]:
    track_id = f"{entry.name}-{number:04d}"
    for view in track.select(config.selection.crops_per_track):
        crop = Crop(
            crop_id=f"{track_id}-f{view.frame_index:06d}",
            camera_id=entry.camera_id,
            captured_at=entry.start + timedelta(seconds=view.seconds),
            track_id=track_id,
            image_uri="",
            bbox=BoundingBox(*view.crop_box()),
            frame_uri=f"{video.name}#frame={view.frame_index}",
            quality=view.quality,
            ingested_at=datetime.now(UTC),
        )
        yield crop, jpeg_of(view)


def jpeg_of(view: View) -> bytes:
    """The crop of a view as the gallery keeps it."""
    encoded, jpeg = cv2.imencode(".jpg", view.crop(), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise ValueError(f"frame {view.frame_index}: crop {view.crop_box()} cannot be encoded")
    return bytes(jpeg)


def settings_text(config: IngestConfig) -> str:
    """Everything that determines the crops of a video, as one line; a detector is named by its content hash."""
    values = config.model_dump(mode="json")
    if (trained := detector_file(config)) is not None:
        values["detector"] = hash_file(trained)
    return json.dumps(values, sort_keys=True)
