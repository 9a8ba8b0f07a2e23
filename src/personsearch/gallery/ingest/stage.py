"""The stage `ingest`: a camera's video becomes crops of people in the gallery."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2

from personsearch.errors import UserError
from personsearch.files import hash_file
from personsearch.gallery.ingest import ledger
from personsearch.gallery.ingest.selection import TrackViews, View
from personsearch.gallery.ingest.tracks import IngestConfig, TrackFinder
from personsearch.gallery.ingest.video import VideoInfo, read_info
from personsearch.gallery.store import Gallery, checked_camera, path_name
from personsearch.run_record import write_run_record
from personsearch.search.crop import BoundingBox, Crop

logger = logging.getLogger(__name__)

JPEG_QUALITY = 92


def ingest(config: IngestConfig, video: Path, gallery: Gallery, *, camera_id: str, start: datetime) -> dict[str, float]:
    """Add the people of a video to the gallery: the best crops of each track, then `run.json` in `ingests/`.

    Each track is stored when it ends. After a kill, run the ingest again: it starts from the beginning and stores what
    is missing, because ids are derived from camera, start, track and frame. A video that is already in adds nothing.
    `start` is when the first frame was taken.

    Raises:
        UserError: the video cannot be read, the camera's name is no name, `start` has no zone, or the ledger
            holds something else for this camera and time.
    """
    if start.tzinfo is None:
        raise UserError(f"start {start.isoformat()}: a time zone expected, such as {start.isoformat()}Z")
    info = read_info(video, frames_per_second=config.frames_per_second)
    content_hash = hash_file(video)
    entry = ledger.VideoEntry(checked_camera(camera_id), start.astimezone(UTC), content_hash, _settings(config))
    earlier = ledger.begin(gallery.database, entry)
    if earlier is not None:
        logger.warning("%s: already in the gallery; nothing added", video.name)
        return {**earlier, "crops_added": 0}
    gallery.sweep()
    metrics = _take_in(config, video, info, gallery, entry)
    name = f"{path_name(camera_id)}-{_stamp(entry.start)}"
    write_run_record(
        gallery.folder / "ingests" / name, "ingest", config, metrics, {"video": video.name, "sha256": content_hash}
    )
    ledger.complete(gallery.database, entry, metrics)
    return metrics


def _take_in(
    config: IngestConfig, video: Path, info: VideoInfo, gallery: Gallery, entry: ledger.VideoEntry
) -> dict[str, float]:
    finder = TrackFinder(config, video, info)
    tracks = crops = 0
    for tracks, track in enumerate(finder, start=1):
        crops += gallery.add(_crops(config, video, entry, number=tracks, track=track))
    missing = max(0, info.frame_count - (finder.last_frame + config.every)) if info.frame_count else 0
    if missing:
        logger.warning(
            "%s: %d of %d frames are missing: it ends early or is damaged", video.name, missing, info.frame_count
        )
    if not tracks:
        logger.warning("%s: no people found", video.name)
    return {
        "frames": finder.frames,
        "frames_missing": missing,
        "detections": finder.detections,
        "tracks": tracks,
        "tracks_rejected": finder.rejected_tracks,
        "crops_added": crops,
    }


def _crops(
    config: IngestConfig, video: Path, entry: ledger.VideoEntry, *, number: int, track: TrackViews
) -> Iterator[tuple[Crop, bytes]]:
    track_id = f"{path_name(entry.camera_id)}-{_stamp(entry.start)}-{number:04d}"
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
        yield crop, _jpeg(view)


def _jpeg(view: View) -> bytes:
    encoded, jpeg = cv2.imencode(".jpg", view.crop(), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise ValueError(f"frame {view.frame_index}: crop {view.crop_box()} cannot be encoded")
    return bytes(jpeg)


def _settings(config: IngestConfig) -> str:
    """Everything that determines the crops of a video, as one line; a detector is named by its content hash."""
    values = config.model_dump(mode="json")
    if config.detector is not None:
        if not config.detector.is_file():
            raise UserError(f"detector {config.detector}: no such file")
        values["detector"] = hash_file(config.detector)
    return json.dumps(values, sort_keys=True)


def _stamp(start: datetime) -> str:
    milliseconds = f"{start.microsecond // 1000:03d}" if start.microsecond >= 1000 else ""
    return f"{start:%Y%m%dT%H%M%S}{milliseconds}"
