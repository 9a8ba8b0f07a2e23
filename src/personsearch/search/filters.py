"""Which crops a search may return, as a typed value; each engine translates it into its own language."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

from personsearch.config import Config
from personsearch.search.crop import Crop


def _within_years(moment: datetime) -> datetime:
    try:
        moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999 in UTC") from error
    return moment


# A time with a zone, which every index can turn to UTC.
Moment = Annotated[AwareDatetime, AfterValidator(_within_years)]


class CropFilter(Config):
    """Every condition that is set must hold."""

    cameras: tuple[str, ...] | None = None
    """One of these cameras."""

    after: Moment | None = None
    """Taken at this time or later."""

    before: Moment | None = None
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
