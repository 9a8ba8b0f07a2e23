"""Which crops a search may return: a typed filter that each engine translates into its own query language.

Shapes: N crops.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, model_validator

from personsearch.config import Config
from personsearch.search.crop import Crop
from personsearch.search.time_of_day import TimeOfDay, ZoneWindows


def checked_moment(moment: datetime) -> datetime:
    """The time itself.

    Raises:
        ValueError: it cannot be written in UTC.
    """
    try:
        moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999 in UTC") from error
    return moment


def _not_a_number(value: Any) -> Any:
    """Pydantic would take a number, also one in quotes, for seconds or milliseconds since 1970, by its size."""
    try:
        float(value)
    except (TypeError, ValueError):
        return value
    raise ValueError("a number; ISO 8601 with a time zone expected")


Moment = Annotated[AwareDatetime, BeforeValidator(_not_a_number), AfterValidator(checked_moment)]
"""A time with a zone that can be converted to UTC."""


class CropFilter(Config):
    """Conditions on a crop; every one that is set must hold."""

    cameras: tuple[str, ...] | None = None
    """One of these cameras."""

    after: Moment | None = None
    """Taken at this time or later."""

    before: Moment | None = None
    """Taken before this time."""

    tracks: tuple[str, ...] | None = None
    """On one of these tracks."""

    crop_ids: tuple[str, ...] | None = None
    """One of these crops."""

    time_of_day: TimeOfDay | None = None
    """Taken at this time of day by the clock of its camera; `after` and `before` have to say within which days."""

    stretches: tuple[tuple[Moment, Moment], ...] | None = None
    """The stretches of time, in order, to look for a `time_of_day` in, because there are crops in no others. Each
    reaches from a moment to before another.
    """

    @model_validator(mode="after")
    def _bounds_times_of_day(self) -> "CropFilter":
        if self.time_of_day is not None and (self.after is None or self.before is None):
            raise ValueError("time_of_day: after and before expected with it")
        return self

    def admits(self, crop: Crop) -> bool:
        """Whether the filter admits a crop. This defines the filter; every index must agree with it."""
        return (
            _among(crop.camera_id, self.cameras)
            and _among(crop.track_id, self.tracks)
            and _among(crop.crop_id, self.crop_ids)
            and _within(crop.captured_at, self.after, self.before)
            and (self.time_of_day is None or self.time_of_day.admits(crop.camera_id, crop.captured_at))
        )

    def windows(self) -> Sequence[ZoneWindows]:
        """What `time_of_day` admits, as ranges in UTC; none without it."""
        if self.time_of_day is None or self.after is None or self.before is None:
            return ()
        stretches = ((self.after, self.before),) if self.stretches is None else self.stretches
        found = (self.time_of_day.windows(max(start, self.after), min(end, self.before)) for start, end in stretches)
        zones = zip(*found, strict=True)
        return tuple(replace(of[0], windows=tuple(chain.from_iterable(each.windows for each in of))) for of in zones)


EVERYTHING = CropFilter()


def _among(value: str, allowed: tuple[str, ...] | None) -> bool:
    return allowed is None or value in allowed


def _within(moment: datetime, after: datetime | None, before: datetime | None) -> bool:
    return (after is None or moment >= after) and (before is None or moment < before)


@dataclass(frozen=True, slots=True)
class Columns:
    """The fields filtered most often, as arrays: filtering a hundred thousand crops takes a millisecond."""

    cameras: dict[str, int]
    camera_N: NDArray[np.int64]
    captured_N: NDArray[np.datetime64]

    @classmethod
    def of(cls, crops: Sequence[Crop]) -> "Columns":
        cameras = {name: code for code, name in enumerate(sorted({crop.camera_id for crop in crops}))}
        camera_N = np.fromiter((cameras[crop.camera_id] for crop in crops), dtype=np.int64)
        return cls(
            cameras, camera_N, np.array([utc_moment(crop.captured_at) for crop in crops], dtype="datetime64[us]")
        )

    def admitted(self, crop_filter: CropFilter) -> NDArray[np.int64]:
        """The rows whose camera, time and time of day the filter admits."""
        mask_N = np.ones(len(self.camera_N), dtype=bool)
        if crop_filter.cameras is not None:
            mask_N &= np.isin(self.camera_N, [self.cameras.get(name, -1) for name in crop_filter.cameras])
        if crop_filter.after is not None:
            mask_N &= self.captured_N >= utc_moment(crop_filter.after)
        if crop_filter.before is not None:
            mask_N &= self.captured_N < utc_moment(crop_filter.before)
        if crop_filter.time_of_day is not None:
            rows = np.flatnonzero(mask_N)
            mask_N[rows] = crop_filter.time_of_day.admitted(self.cameras, self.camera_N[rows], self.captured_N[rows])
        return np.flatnonzero(mask_N)


def utc_moment(moment: datetime) -> np.datetime64:
    """A time as the columns keep it."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
