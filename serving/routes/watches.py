"""`/v1/watched-searches`: searches that are compared with every crop that arrives. Each change is recorded."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, time
from http import HTTPStatus
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from personsearch.errors import UserError
from personsearch.gallery.alerts import QuietHours, WatchedSearch
from personsearch.gallery.cameras import NoSuchGroup, PlaceAndTime
from personsearch.installation.alerts.delivery import watch_record
from personsearch.installation.alerts.matching import NOT_CALIBRATED
from personsearch.installation.alerts.webhook import LONGEST_ADDRESS, checked_address
from personsearch.integrations.database.watches import TooManyWatched
from personsearch.search.filters import CropFilter, Moment
from serving.alert_watch import Alerting, is_quiet
from serving.json_body import JsonRoute
from serving.problems import Problem, WrongField, responses
from serving.routes.ingest import PRINTABLE
from serving.routes.search import MAX_CAMERAS, CameraId, GroupName, live_or_unavailable
from serving.security import Caller, SearchingCaller
from serving.service import Service, ServiceDep
from serving.written_text import NotTurned, Purpose, Text

router = APIRouter(prefix="/v1/watched-searches", tags=["alerts"], route_class=JsonRoute)

SWITCHED_OFF = "Alerts are switched off here: PERSONSEARCH_ALERTS is not set."
REFUSED = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
BODY_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a name that is none, a folder of them, one that is not there
        raise ValueError(f"{name!r}: a time zone such as Europe/Vienna expected") from None
    return name


def _minutes(clock: time) -> time:
    if clock.tzinfo is not None or clock.second or clock.microsecond:
        raise ValueError("HH:MM expected")
    return clock


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=PRINTABLE, min_length=1, max_length=200), NotTurned
]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_known_zone)]
Clock = Annotated[time, AfterValidator(_minutes)]
Threshold = Annotated[float, Field(gt=0, lt=1, description="Confidence from which a crop raises an alert.")]
Limit = Annotated[int, Field(ge=1, le=1000, description="Alerts that are shown and sent in an hour; others wait.")]
Webhook = Annotated[str, StringConstraints(max_length=LONGEST_ADDRESS)]
WatchId = Annotated[str, Path(min_length=1, max_length=64)]


class QuietHoursView(BaseModel):
    """Every day from `start` to before `end`; over midnight if `end` is the earlier."""

    model_config = ConfigDict(extra="forbid")

    start: Clock
    end: Clock
    time_zone: Zone

    @model_validator(mode="after")
    def _is_some_time(self) -> "QuietHoursView":
        if self.start == self.end:
            raise ValueError("start and end must differ")
        return self

    def hours(self) -> QuietHours:
        return QuietHours(self.start, self.end, self.time_zone)


class WatchRequest(BaseModel):
    """Whom to watch for: one description, or a search that was made, with a threshold."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "red jacket", "text": "a woman in a red jacket", "threshold": 0.7}]},
    )

    name: Name
    text: Text | None = Field(default=None, description="Description of the person, in English.")
    search_request_id: str | None = Field(
        default=None, min_length=1, max_length=256, description="A search of one description to watch for instead."
    )
    cameras: list[CameraId] | None = Field(default=None, min_length=1, max_length=MAX_CAMERAS)
    camera_groups: list[GroupName] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CAMERAS,
        description="Groups of cameras, beside `cameras`: those that are in them now.",
    )
    after: Moment | None = Field(default=None, description="Only crops taken then or later.")
    before: Moment | None = Field(default=None, description="Only crops taken before this time.")
    threshold: Threshold
    webhook: Webhook = Field(default="", description="Address that alerts are sent to, signed; empty for none.")
    quiet_hours: QuietHoursView | None = Field(default=None, description="Alerts wait until these have passed.")
    most_per_hour: Limit = 60
    enabled: bool = True
    purpose: Purpose = Field(default="", description="Purpose or case; kept in the audit log.")

    @model_validator(mode="after")
    def _has_one_query(self) -> "WatchRequest":
        if (self.text is None) == (self.search_request_id is None):
            raise ValueError("text or search_request_id expected, and not both")
        if self.search_request_id is not None and (self.cameras or self.camera_groups or self.after or self.before):
            raise ValueError("search_request_id brings its own cameras and times")
        return self


class WatchChange(BaseModel):
    """What to change; what is not given stays. Another description is another watched search."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    threshold: Threshold | None = None
    webhook: Webhook | None = None
    quiet_hours: QuietHoursView | None = Field(default=None, description="null ends them.")
    most_per_hour: Limit | None = None
    enabled: bool | None = None
    purpose: Purpose = Field(default="", description="Purpose or case; kept in the audit log.")


class WatchView(BaseModel):
    """A watched search of the caller's."""

    watch_id: str
    name: str
    text: str
    cameras: list[str] | None
    after: datetime | None
    before: datetime | None
    threshold: float
    webhook: str
    quiet_hours: QuietHoursView | None
    quiet: bool = Field(description="Whether it is in its quiet hours now.")
    most_per_hour: int
    enabled: bool
    ended: str = Field(description="Why it was switched off other than by its owner; empty if it was not.")
    alerts: int = Field(description="How many it has raised, without those of erased crops.")
    waiting: int = Field(description="How many of them wait for the end of quiet hours or for the limit.")
    created_at: datetime
    changed_at: datetime


class Watches(BaseModel):
    """The caller's watched searches, oldest first."""

    watched_searches: list[WatchView]


def alerting(service: Service) -> Alerting:
    """Watched searches and alerts.

    Raises:
        Problem: 404 where they are switched off.
    """
    if not service.settings.alerts:
        raise Problem(HTTPStatus.NOT_FOUND, SWITCHED_OFF)
    return service.alerts.stored


@router.post("", status_code=HTTPStatus.CREATED, responses=responses(*REFUSED, *BODY_REFUSED, HTTPStatus.CONFLICT))
def watch(body: WatchRequest, request: Request, service: ServiceDep, caller: SearchingCaller) -> WatchView:
    """Watch for somebody: compare every crop that arrives from now on. Recorded in the audit log."""
    stored = alerting(service)
    most = service.settings.alert_searches
    if len(stored.watches.of_owner(caller)) >= most:
        raise Problem(HTTPStatus.CONFLICT, str(TooManyWatched(most)))
    if body.enabled:
        _check_calibrated(service)
    text, crop_filter = _asked(service, body, caller)
    if "\0" in text:
        errors = [WrongField(field="text", message="no NUL expected")]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "text: no database keeps a NUL.", errors=errors)
    now = datetime.now(UTC)
    watched = WatchedSearch(
        watch_id=uuid.uuid4().hex,
        owner=caller,
        name=body.name,
        text=text,
        crop_filter=crop_filter,
        threshold=body.threshold,
        created_at=now,
        changed_at=now,
        webhook=_checked_webhook(service, body.webhook),
        quiet_hours=body.quiet_hours.hours() if body.quiet_hours else None,
        most_per_hour=body.most_per_hour,
        enabled=body.enabled,
    )
    _record(service, request, watched, "created", who=caller, purpose=body.purpose)
    try:
        return _view(service, stored.watches.put(watched, most=most))
    except TooManyWatched as error:  # another request came first
        raise Problem(HTTPStatus.CONFLICT, str(error)) from error


@router.get("", responses=responses(*REFUSED))
def watches(service: ServiceDep, caller: Caller) -> Watches:
    """The caller's watched searches."""
    stored = alerting(service)
    counts = stored.alerts.counts(caller)
    return Watches(watched_searches=[_view(service, each, counts) for each in stored.watches.of_owner(caller)])


@router.patch("/{watch_id}", responses=responses(*REFUSED, *BODY_REFUSED, HTTPStatus.CONFLICT))
def change(
    watch_id: WatchId, body: WatchChange, request: Request, service: ServiceDep, caller: SearchingCaller
) -> WatchView:
    """Change a watched search, or switch it on or off. Switched on again, it sees what arrives from then on."""
    stored = alerting(service)
    watched = _own(stored, watch_id, caller)
    given: dict[str, Any] = {
        name: getattr(body, name)
        for name in ("name", "threshold", "most_per_hour", "enabled")
        if getattr(body, name) is not None
    }
    if body.webhook is not None:
        given["webhook"] = _checked_webhook(service, body.webhook)
    if "quiet_hours" in body.model_fields_set:
        given["quiet_hours"] = body.quiet_hours.hours() if body.quiet_hours else None
    if body.enabled:
        _check_calibrated(service)
        given["ended"] = ""
    _record(service, request, replace(watched, **given), "changed", who=caller, purpose=body.purpose)
    changed = stored.watches.change(watch_id, given)
    if changed is None:
        raise _none(watch_id)
    return _view(service, changed, stored.alerts.counts(caller))


@router.delete("/{watch_id}", status_code=HTTPStatus.NO_CONTENT, responses=responses(*REFUSED))
def stop(watch_id: WatchId, request: Request, service: ServiceDep, caller: SearchingCaller) -> None:
    """Delete a watched search with its alerts. The audit log keeps what it was."""
    stored = alerting(service)
    watched = _own(stored, watch_id, caller)
    _record(service, request, watched, "deleted", who=caller)
    stored.watches.remove(watch_id)


def _own(stored: Alerting, watch_id: str, caller: str) -> WatchedSearch:
    watched = stored.watches.find(watch_id)
    if watched is None or watched.owner != caller:
        raise _none(watch_id)
    return watched


def _none(watch_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"You watch no search {watch_id!r}.")


def _asked(service: Service, body: WatchRequest, caller: str) -> tuple[str, CropFilter]:
    """The description and the filter that a request gives or names."""
    if body.text is not None:
        cameras = tuple(body.cameras) if body.cameras is not None else None
        plain = CropFilter(cameras=cameras, after=body.after, before=body.before)
        return body.text, _with_groups(service, plain, tuple(body.camera_groups or ()), "camera_groups")
    search = service.audit.find("search", body.search_request_id or "")
    if search is None or search["who"] != caller:
        raise Problem(HTTPStatus.NOT_FOUND, f"No search {body.search_request_id!r} of yours is recorded.")
    if search.get("beside_text") or not search["query"]:
        errors = [WrongField(field="search_request_id", message="a search for one description alone expected")]
        detail = "Confidence is calibrated for one description alone, so no other search can be watched."
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)
    filters = search["filters"]
    if filters.get("daily_after") or filters.get("daily_before"):
        errors = [WrongField(field="search_request_id", message="a search at any time of day expected")]
        detail = "A search by the time of day cannot be watched; quiet hours say when not to tell."
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)
    kept = {name: filters.get(name) for name in CropFilter.model_fields}
    crop_filter = CropFilter.model_validate({name: value for name, value in kept.items() if value})
    return search["query"], _with_groups(
        service, crop_filter, tuple(filters.get("camera_groups") or ()), "search_request_id"
    )


def _with_groups(service: Service, crop_filter: CropFilter, groups: tuple[str, ...], field: str) -> CropFilter:
    """The filter with the cameras that are in these groups now; a field of the request names them.

    Raises:
        Problem: 422, a group is none any more.
    """
    place = PlaceAndTime(crop_filter.cameras, groups)
    try:
        cameras = place.crop_filter(service.gallery, service.cameras, service.settings.time_zone).cameras
    except NoSuchGroup as error:
        errors = [WrongField(field=field, message=str(error))]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"camera_groups: {error}", errors=errors) from error
    return crop_filter.model_copy(update={"cameras": cameras})


def _check_calibrated(service: Service) -> None:
    if not live_or_unavailable(service).is_calibrated:
        raise Problem(HTTPStatus.CONFLICT, f"Nothing can be watched: {NOT_CALIBRATED}.")


def _checked_webhook(service: Service, address: str) -> str:
    if not address:
        return ""
    wrong = ""
    if not service.settings.alert_secret.get_secret_value():
        wrong = "no webhook can be signed here: PERSONSEARCH_ALERT_SECRET is not set"
    else:
        try:
            return checked_address(address, private=service.settings.alert_private_webhooks)
        except UserError as error:
            wrong = str(error).removeprefix("webhook: ")
    errors = [WrongField(field="webhook", message=wrong)]
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"webhook: {wrong}", errors=errors)


def _record(
    service: Service, request: Request, watched: WatchedSearch, action: str, *, who: str, purpose: str = ""
) -> None:
    """Record a change before it is made: if the log cannot be written, nothing changes."""
    values = {"request_id": request.scope["request_id"], "purpose": purpose}
    service.audit.append("watch", values | watch_record(watched, action, who=who))


def _view(service: Service, watched: WatchedSearch, counts: dict[str, tuple[int, int]] | None = None) -> WatchView:
    alerts, waiting = (counts or {}).get(watched.watch_id, (0, 0))
    asked, quiet = watched.crop_filter, watched.quiet_hours
    return WatchView(
        watch_id=watched.watch_id,
        name=watched.name,
        text=watched.text,
        cameras=None if asked.cameras is None else list(asked.cameras),
        after=asked.after,
        before=asked.before,
        threshold=watched.threshold,
        webhook=watched.webhook,
        quiet_hours=quiet and QuietHoursView(start=quiet.start, end=quiet.end, time_zone=quiet.time_zone),
        quiet=is_quiet(watched, service.alerts.stored.alerts.now()),
        most_per_hour=watched.most_per_hour,
        enabled=watched.enabled,
        ended=watched.ended,
        alerts=alerts,
        waiting=waiting,
        created_at=watched.created_at,
        changed_at=watched.changed_at,
    )
