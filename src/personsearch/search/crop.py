"""A gallery crop: one image of one person at one camera and time, and its metadata."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """Pixels in the frame: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Crop:
    """The metadata of a crop, as stored in the gallery and beside its vector in the index.

    Times are timezone-aware UTC with millisecond precision. `image_uri` is relative to the gallery's folder, or
    absolute if the image is elsewhere; `quality` is in [0, 1].
    """

    crop_id: str
    camera_id: str
    captured_at: datetime
    track_id: str
    image_uri: str
    bbox: BoundingBox
    frame_uri: str
    quality: float
    ingested_at: datetime
