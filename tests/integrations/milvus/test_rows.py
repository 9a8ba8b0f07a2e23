"""A crop and its row in a Milvus collection."""

from datetime import UTC, datetime

import pytest

from personsearch.integrations.milvus.rows import crop_of, row_of
from personsearch.search.crop import BoundingBox, Crop


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("clip.mp4#frame=3", "clip.mp4#frame=3"),
        ("rtsp://10.0.0.7/a#our-time=2026-03-01T09:00:00Z", "rtsp://10.0.0.7/a#our-time=2026-03-01T09:00:00Z"),
        ("rtsp://10.0.0.7/a?token=hunter2&x=1", "rtsp://10.0.0.7/a?token=***&x=1"),
        ("https://ann:hunter2@10.0.0.7/a", "https://***@10.0.0.7/a"),
    ],
)
def test_a_token_that_an_earlier_version_stored_is_not_read(stored: str, read: str) -> None:
    at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    crop = Crop("gate-1", "gate", at, "track-1", "images/1.jpg", BoundingBox(1, 2, 3, 4), stored, 0.5, at)
    assert crop_of(row_of(crop)).frame_uri == read
