"""Which crops a search may return, as a typed value; each engine translates it into its own language."""

from datetime import datetime

from pydantic import AwareDatetime

from personsearch.config import Config
from personsearch.search.crop import Crop


class CropFilter(Config):
    """Every condition that is set must hold."""

    cameras: tuple[str, ...] | None = None
    """One of these cameras."""

    after: AwareDatetime | None = None
    """Taken at this time or later."""

    before: AwareDatetime | None = None
    """Taken earlier than this time."""

    tracks: tuple[str, ...] | None = None
    """On one of these tracks."""

    crop_ids: tuple[str, ...] | None = None
    """One of these crops."""

    def admits(self, crop: Crop) -> bool:
        """The meaning of the filter, which every index must reproduce."""
        return (
            _among(crop.camera_id, self.cameras)
            and _among(crop.track_id, self.tracks)
            and _among(crop.crop_id, self.crop_ids)
            and _within(crop.captured_at, self.after, self.before)
        )


EVERYTHING = CropFilter()


def _among(value: str, allowed: tuple[str, ...] | None) -> bool:
    return allowed is None or value in allowed


def _within(moment: datetime, after: datetime | None, before: datetime | None) -> bool:
    return (after is None or moment >= after) and (before is None or moment < before)
