"""Crops for tests; each test names the fields that it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from personsearch.search.crop import BoundingBox, Crop

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ANY = Crop("", "camera", START, "track", "", BoundingBox(0, 0, 1, 1), "", 1.0, START)


def make_crop(crop_id: str, **fields: object) -> Crop:
    """A crop with these fields; the others are valid and of no importance."""
    return replace(ANY, crop_id=crop_id, **fields)  # type: ignore[arg-type]


def numbered_crop(number: int, **fields: object) -> Crop:
    """One of a sequence, a second apart: three cameras in turn, four crops to a track."""
    own = {
        "crop_id": f"crop{number:05d}",
        "camera_id": f"camera{number % 3}",
        "captured_at": START + timedelta(seconds=number),
        "track_id": f"track{number // 4}",
    }
    return make_crop(**(own | fields))  # type: ignore[arg-type]
