"""The stage `ingest`: a camera's video becomes crops of people in the gallery."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2

from personsearch.errors import UserError
from personsearch.files import hash_file
from personsearch.gallery.ingest import ledger
from personsearch.gallery.ingest.selection import TrackViews, View
from personsearch.gallery.ingest.tracks import IngestConfig, TrackFinder, detector_file
from personsearch.gallery.ingest.video import VideoInfo, read_info
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
    unless `again`: then the new crops replace its earlier ones. `start` is when the first frame was taken.

    Raises:
        UserError: the video cannot be read, the camera's name is no name, `start` has no zone, the ledger holds
            something else for this camera and time, or `again` could bring back people who were erased.
    """
    if start.tzinfo is None:
        raise UserError(f"start {start.isoformat()}: a time zone expected, such as {start.isoformat()}Z")
    info = read_info(video, frames_per_second=config.frames_per_second)
    new = ledger.VideoEntry(checked_camera(camera_id), start.astimezone(UTC), hash_file(video), settings_text(config))
    held = ledger.find(gallery.rows, new.camera_id, new.start)
    entry = new if held is None else ledger.next_take(held, new, again=again)
    if held is not None and entry is None:
        _warn_of_settings(video, held.entry, new)
        return {**(held.metrics or {}), "crops_added": 0, "crops_replaced": 0}
    assert entry is not None
    _refuse_doubles(video, info, gallery, entry)
    _refuse_return_of_the_erased(gallery, entry)
    ledger.begin(gallery.rows, entry)
    gallery.sweep()
    metrics = _take_in(config, video, info, gallery, entry)
    lineage = {"video": video.name, "sha256": entry.content_hash}
    write_run_record(gallery.folder / "ingests" / entry.name, "ingest", config, metrics, lineage)
    ledger.complete(gallery.rows, entry, metrics)
    return metrics


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


def _refuse_return_of_the_erased(gallery: Gallery, entry: ledger.VideoEntry) -> None:
    """Erased ids are refused for good, but another take has other ids."""
    if entry.take == 1:
        return
    erased = ledger.erased(gallery.rows, replace(entry, take=entry.take - 1))
    if erased:
        raise UserError(f"{entry}: {erased} of its crops were erased; taken in again these people would come back")


def _crops_of(gallery: Gallery, entry: ledger.VideoEntry) -> Iterator[Crop]:
    """The crops of this video from every take."""
    own = re.compile(re.escape(replace(entry, take=1).name) + r"(-take\d+)?-\d+")
    held = gallery.crops(crop_filter=CropFilter(cameras=(entry.camera_id,), after=entry.start))
    return (crop for crop in held if own.fullmatch(crop.track_id))


def _take_in(
    config: IngestConfig, video: Path, info: VideoInfo, gallery: Gallery, entry: ledger.VideoEntry
) -> dict[str, float]:
    finder = TrackFinder(config, video, info)
    tracks = crops = 0
    for tracks, track in enumerate(finder, start=1):
        crops += gallery.add(_crops(config, video, entry, number=tracks, track=track))
    missing = max(0, info.frame_count - (finder.last_frame + finder.every)) if info.frame_count else 0
    if missing:
        message = "%s: %d of %d frames are missing: it ends early or is damaged"
        logger.warning(message, video.name, missing, info.frame_count)
    if not tracks:
        logger.warning("%s: no people found: %s", video.name, finder.why_nobody())
    elif finder.rejected:
        announce(f"{video.name}: tracks rejected {finder.rejected.total()}: {finder.why_rejected()}")
    return {
        "frames": finder.frames,
        "frames_missing": missing,
        "detections": finder.detections,
        "tracks": tracks,
        "tracks_rejected": finder.rejected.total(),
        "crops_added": crops,
        "crops_replaced": _remove_other_takes(gallery, entry),
    }


def _remove_other_takes(gallery: Gallery, entry: ledger.VideoEntry) -> int:
    """Erase what earlier takes left, now that this one is complete. Returns the number of crops."""
    if entry.take == 1:
        return 0
    own = f"{entry.name}-"
    old = tuple(crop.crop_id for crop in _crops_of(gallery, entry) if not crop.track_id.startswith(own))
    return gallery.erase(CropFilter(crop_ids=old)) if old else 0


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
