"""The stage `add-dataset`: the images of a prepared data set become gallery crops, each as its own track.

The n-th image of the split (in the manifest's order, from 0) was "captured" n seconds after the start, by the camera
that the manifest names, or by a camera `dataset` if it names none.
"""

import io
import itertools
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast, get_args

from PIL import Image

from personsearch.data.dataset import Dataset
from personsearch.data.records import ImageRecord, Split
from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.images import ImageRejected, open_image
from personsearch.progress import track
from personsearch.search.crop import BoundingBox, Crop

logger = logging.getLogger(__name__)

UNNAMED_CAMERA = "dataset"
CROP_PREFIX = "dataset-"
IMAGES_PER_TRANSACTION = 200
JPEG_QUALITY = 95


def add_dataset(dataset: Path, gallery: Gallery, *, split: str, start: datetime) -> dict[str, float]:
    """Add one split of a prepared data set; images that cannot be decoded are logged, counted and skipped.

    Crop ids are derived from image ids, so adding a data set again adds nothing.

    Raises:
        UserError: no prepared data set, an unknown or empty split, or `start` without a time zone.
    """
    if split not in get_args(Split):
        raise UserError(f"split {split!r}: one of {', '.join(get_args(Split))} expected")
    if start.tzinfo is None:
        raise UserError(f"start {start.isoformat()}: a time zone expected, such as {start.isoformat()}Z")
    data = Dataset.open(dataset)
    records = data.records(cast(Split, split))
    if not records:
        raise UserError(f"{dataset}: no images in split {split!r}")
    gallery.sweep()
    source = f"dataset:{data.hash[:12]}"
    added = rejected = erased = 0
    numbered = enumerate(track(records, "add images to the gallery"))
    while batch := list(itertools.islice(numbered, IMAGES_PER_TRANSACTION)):
        readable = list(_readable(data, batch, source=source, start=start))
        rejected += len(batch) - len(readable)
        erased += len(gallery.erased_among([crop.crop_id for crop, _ in readable]))
        added += gallery.add(readable)
    if erased:
        logger.warning("%d of these crops were erased and are not taken in again", erased)
    return {"images": len(records), "images_rejected": rejected, "crops_added": added, "crops_erased_before": erased}


def crop_id_of(record: ImageRecord) -> str:
    """The id of the crop that an image becomes."""
    return f"{CROP_PREFIX}{record.image_id}"


def _readable(
    dataset: Dataset, batch: list[tuple[int, ImageRecord]], *, source: str, start: datetime
) -> Iterator[tuple[Crop, bytes]]:
    for number, record in batch:
        try:
            image = open_image(stored := dataset.picture(record))
        except ImageRejected as error:
            logger.warning("%s: %s; left out", record.path, error)
            continue
        yield (
            _crop(record, image, source=source, captured_at=start + timedelta(seconds=number)),
            _jpeg(stored, image),
        )


def _crop(record: ImageRecord, image: Image.Image, *, source: str, captured_at: datetime) -> Crop:
    return Crop(
        crop_id=crop_id_of(record),
        camera_id=record.camera_id or UNNAMED_CAMERA,
        captured_at=captured_at,
        track_id=f"dataset:{record.image_id}",
        image_uri="",
        bbox=BoundingBox(0, 0, image.width, image.height),
        frame_uri=f"{source}/{record.path}",
        quality=1.0,
        ingested_at=datetime.now(UTC),
    )


def _jpeg(stored: Path | bytes, image: Image.Image) -> bytes:
    """The file itself if it is already an upright RGB JPEG, else the decoded image as JPEG."""
    content = stored if isinstance(stored, bytes) else stored.read_bytes()
    with Image.open(io.BytesIO(content)) as file:
        if file.format == "JPEG" and file.mode == "RGB" and file.getexif().get(0x0112, 1) == 1:
            return content
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
