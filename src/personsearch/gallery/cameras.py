"""What people say of cameras, and the filter of a search that names cameras, groups of them and times of day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from personsearch.errors import UserError
from personsearch.gallery.store import LONGEST_CAMERA_NAME, Gallery, checked_camera
from personsearch.search.filters import CropFilter
from personsearch.search.time_of_day import EPOCH, TimeOfDay, checked_zone

DAY = timedelta(days=1)
AHEAD = DAY  # by which a camera's clock may be ahead
LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)  # has no end that can be written


@dataclass(frozen=True, slots=True)
class CameraDetails:
    """A camera, the name to show, its group, and the zone of its clock; "" for each that is not known."""

    camera_id: str
    name: str = ""
    group: str = ""
    zone: str = ""


class CameraRegister(Protocol):
    """Where the details of cameras are kept. Every method may raise UserError."""

    def all(self) -> list[CameraDetails]:
        """Those of every camera of which something is known, by id."""
        ...

    def put(self, cameras: Sequence[CameraDetails]) -> None:
        """Replace the details of these cameras; one without any is forgotten."""
        ...


class NoSuchGroup(UserError):
    """No camera is in a group that was named."""


@dataclass(frozen=True, slots=True)
class PlaceAndTime:
    """Where and when a search looks: any of these cameras, or of these groups; from `after` to before `before`; between
    two times of day by each camera's clock. None is no condition; one time of day alone reaches to midnight.
    """

    cameras: tuple[str, ...] | None = None
    groups: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None
    daily_after: time | None = None
    daily_before: time | None = None

    @property
    def by_time_of_day(self) -> bool:
        return self.daily_after is not None or self.daily_before is not None

    @property
    def needs_cameras(self) -> bool:
        """Whether the filter depends on what is known of cameras."""
        return bool(self.groups) or self.by_time_of_day

    def crop_filter(self, gallery: Gallery, register: CameraRegister, zone: str) -> CropFilter:
        """The filter. `zone` is that of cameras of which none is known.

        Raises:
            NoSuchGroup: a group is none.
            UserError: the database cannot be read, or the time of day is none.
        """
        known = register.all() if self.needs_cameras else []
        cameras = self._cameras(known)
        plain = CropFilter(cameras=cameras, after=self.after, before=self.before)
        if not self.by_time_of_day:
            return plain
        start, end = self.daily_after or time(), self.daily_before or time()
        if start == end:
            raise UserError(f"from {start:%H:%M} to {end:%H:%M}: two different times of day expected")
        zones = {each.camera_id: each.zone for each in known if each.zone and _among(each.camera_id, cameras)}
        stretches = self._stretches(gallery)
        return CropFilter(
            cameras=cameras,
            after=stretches[0][0] if self.after is None else self.after,
            before=stretches[-1][1] if self.before is None else min(self.before, LAST_DAY),
            time_of_day=TimeOfDay(start=start, end=end, zone=zone, zones=zones),
            stretches=stretches,
        )

    def _cameras(self, known: Sequence[CameraDetails]) -> tuple[str, ...] | None:
        if not self.groups:
            return self.cameras
        groups = {each.group for each in known if each.group}
        for name in self.groups:
            if name not in groups:
                raise NoSuchGroup(f"no group {name!r}; {', '.join(sorted(groups)) or 'there is none'}")
        members = [each.camera_id for each in known if each.group in self.groups]
        return tuple(dict.fromkeys([*(self.cameras or ()), *members]))

    def _stretches(self, gallery: Gallery) -> tuple[tuple[datetime, datetime], ...]:
        """The days in which there are crops, or may be soon, joined where one follows another. A camera whose clock
        says 1970 adds a day, not the years since.
        """
        today = datetime.now(UTC).date()
        held = gallery.rows.days(self.after or EPOCH, min(self.before or LAST_DAY, LAST_DAY))
        joined: list[tuple[datetime, datetime]] = []
        for day in sorted({*held, today, today + AHEAD}):
            start = datetime.combine(day, time(), UTC)
            begin = joined.pop()[0] if joined and joined[-1][1] == start else start
            joined.append((begin, start + DAY))
        return tuple(joined)


def checked_details(details: CameraDetails) -> CameraDetails:
    """The details.

    Raises:
        UserError: a name of camera or group that no line can show, or no time zone.
    """
    checked_camera(details.camera_id)
    for what, value in (("name", details.name), ("group", details.group)):
        if len(value) > LONGEST_CAMERA_NAME or not value.isprintable() or value != value.strip():
            raise UserError(
                f"camera {details.camera_id!r}: {what} {value!r}; at most {LONGEST_CAMERA_NAME} printable characters "
                "expected"
            )
    try:
        checked_zone(details.zone or "UTC")
    except ValueError as error:
        raise UserError(f"camera {details.camera_id!r}: {error}") from error
    return details


def _among(camera_id: str, cameras: tuple[str, ...] | None) -> bool:
    return cameras is None or camera_id in cameras
