"""The requests of both clients, as data: what to send, and how to read the answer."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from http import HTTPStatus
from pathlib import Path
from typing import Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from personsearch.addresses import hide_credentials
from personsearch.client.models import (
    AlertFigures,
    Alerts,
    Camera,
    Cameras,
    Embedded,
    Found,
    HeatMaps,
    ProblemDetails,
    Readiness,
    RecordedVerdict,
    ReportedCandidate,
    Status,
    Track,
    Verdict,
    WatchedSearch,
    WatchedSearches,
    WrongField,
)
from personsearch.client.retries import Outcome

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Picture = Path | bytes
WATCHED = "/v1/watched-searches"


class ApiError(Exception):
    """The service refused a request. `request_id` finds it in the service's log."""

    def __init__(self, status: int, detail: str, request_id: str = "", errors: Sequence[WrongField] = ()) -> None:
        super().__init__(f"{status}: {detail}" + (f" (request {request_id})" if request_id else ""))
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.errors = tuple(errors)


class Unreachable(Exception):
    """The service did not answer, also not when asked again."""


def headers(key: str) -> dict[str, str]:
    """What each request of a client with this API key says; without a key, nothing.

    Raises:
        ValueError: no header can carry the key, so it is none of the service's.
    """
    if not (key.isascii() and key.isprintable()):
        raise ValueError("key: printable ASCII expected, as `personsearch keys create` writes it")
    return {"X-API-Key": key} if key else {}


class SearchOptions(TypedDict, total=False):
    """What narrows a search; each is described in the OpenAPI document under the same name."""

    cameras: Sequence[str]
    camera_groups: Sequence[str]
    after: datetime
    before: datetime
    daily_after: time
    daily_before: time
    sort: Literal["score", "newest", "oldest"]
    k: int
    group_by_track: bool
    purpose: str
    also: Sequence[str]
    without: Sequence[str]
    image: Picture
    like: str
    image_weight: float


class WatchOptions(TypedDict, total=False):
    """What a watched search is; each is described in the OpenAPI document under the same name."""

    text: str
    search_request_id: str
    cameras: Sequence[str]
    camera_groups: Sequence[str]
    after: datetime
    before: datetime
    webhook: str
    quiet_hours: Mapping[str, str]
    most_per_hour: int
    enabled: bool
    purpose: str


class WatchChanges(TypedDict, total=False):
    """What may change of a watched search."""

    name: str
    threshold: float
    webhook: str
    quiet_hours: Mapping[str, str] | None
    most_per_hour: int
    enabled: bool
    purpose: str


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and what reads its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: dict[str, Any] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    answers: tuple[int, ...] = ()  # statuses of an error that are an answer nevertheless
    repeatable: bool = True  # whether it may be sent again when it is not known whether it arrived


def search(text: str, options: SearchOptions, cursor: str = "") -> Call[Found]:
    body = {"text": text or None, **_as_json(dict(options))} | ({"cursor": cursor} if cursor else {})
    return Call("POST", "/v1/search", _reader(Found), body)


def embed(texts: Sequence[str], images: Sequence[Picture], purpose: str) -> Call[Embedded]:
    body = {"texts": list(texts), "images": [encoded(image) for image in images], "purpose": purpose}
    return Call("POST", "/v1/embed", _reader(Embedded), body)


def heat_maps(crop_id: str, text: str, purpose: str) -> Call[HeatMaps]:
    path = f"/v1/crops/{quote(crop_id, safe='')}/heat-maps"
    return Call("POST", path, _reader(HeatMaps), {"text": text, "purpose": purpose})


def judge(search_request_id: str, crop_id: str, verdict: Verdict, note: str) -> Call[RecordedVerdict]:
    body = {"search_request_id": search_request_id, "crop_id": crop_id, "verdict": verdict, "note": note}
    return Call("POST", "/v1/verdicts", _reader(RecordedVerdict), body)


def cameras() -> Call[list[Camera]]:
    return Call("GET", "/v1/cameras", lambda response: _reader(Cameras)(response).cameras)


def track(camera_id: str, track_id: str, limit: int) -> Call[Track]:
    parameters = {"camera_id": camera_id, "track_id": track_id, "limit": limit}
    return Call("GET", "/v1/crops", _reader(Track), parameters=parameters)


def image(crop_id: str) -> Call[bytes]:
    return Call("GET", f"/v1/crops/{quote(crop_id, safe='')}/image", lambda response: response.content)


def frame(crop_id: str) -> Call[bytes]:
    return Call("GET", f"/v1/crops/{quote(crop_id, safe='')}/frame", lambda response: response.content)


def clip(crop_id: str, seconds: float) -> Call[bytes]:
    path = f"/v1/crops/{quote(crop_id, safe='')}/clip"
    return Call("GET", path, lambda response: response.content, parameters={"seconds": seconds})


def watch(name: str, threshold: float, options: WatchOptions) -> Call[WatchedSearch]:
    body = {"name": name, "threshold": threshold, **_as_json(dict(options))}
    return Call("POST", WATCHED, _reader(WatchedSearch), body, repeatable=False)


def watched() -> Call[list[WatchedSearch]]:
    return Call("GET", WATCHED, lambda response: _reader(WatchedSearches)(response).watched_searches)


def change_watch(watch_id: str, changes: WatchChanges) -> Call[WatchedSearch]:
    return Call("PATCH", f"{WATCHED}/{quote(watch_id, safe='')}", _reader(WatchedSearch), dict(changes))


def stop_watch(watch_id: str) -> Call[None]:
    return Call("DELETE", f"{WATCHED}/{quote(watch_id, safe='')}", lambda _: None)


def alerts(watch_id: str, limit: int, cursor: str) -> Call[Alerts]:
    parameters = {"limit": limit, "watch_id": watch_id} | ({"cursor": cursor} if cursor else {})
    return Call("GET", "/v1/alerts", _reader(Alerts), parameters=parameters)


def alert_figures() -> Call[AlertFigures]:
    return Call("GET", "/v1/alerts/figures", _reader(AlertFigures))


def alert_events() -> Call[None]:
    """The stream itself is read by `events.py`."""
    return Call("GET", "/v1/alerts/events", lambda _: None)


def ready() -> Call[Readiness]:
    return Call("GET", "/readyz", _reader(Readiness), answers=(HTTPStatus.SERVICE_UNAVAILABLE,))


def status() -> Call[Status]:
    return Call("GET", "/v1/status", _reader(Status))


def report(purpose: str, candidates: Sequence[ReportedCandidate], note: str) -> Call[bytes]:
    body = {"purpose": purpose, "note": note, "candidates": [each.model_dump() for each in candidates]}
    return Call("POST", "/v1/reports", lambda response: response.content, body)


def encoded(picture: Picture) -> str:
    """A picture as a request carries it."""
    content = picture.read_bytes() if isinstance(picture, Path) else picture
    return base64.b64encode(content).decode()


def answer_of(call: Call[T], response: httpx.Response) -> T:
    """What a response says.

    Raises:
        ApiError: it is a refusal, or no answer of this service.
    """
    if response.is_success or response.status_code in call.answers:
        return call.read(response)
    try:
        problem = ProblemDetails.model_validate_json(response.content)
    except ValidationError:
        raise ApiError(response.status_code, response.reason_phrase or "no reason was given") from None
    raise ApiError(problem.status, problem.detail, problem.request_id, problem.errors)


def stands(call: Call[T], outcome: Outcome) -> bool:
    """Whether an outcome is one that asking again would not change, or after which nobody may ask again."""
    if isinstance(outcome, httpx.TransportError):
        return not (call.repeatable or isinstance(outcome, httpx.ConnectError))
    return outcome.status_code in call.answers


def concluded(call: Call[T], outcome: Outcome, address: str) -> T:
    """What the last try gave.

    Raises:
        Unreachable: no answer.
        ApiError: a refusal.
    """
    if isinstance(outcome, httpx.TransportError):
        raise Unreachable(hide_credentials(f"{address}: {str(outcome) or type(outcome).__name__}")) from outcome
    return answer_of(call, outcome)


def _reader(kind: type[M]) -> Callable[[httpx.Response], M]:
    def read(response: httpx.Response) -> M:
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            detail = f"not an answer of this service: {error.error_count()} fields of {kind.__name__} are wrong"
            raise ApiError(response.status_code, detail) from error

    return read


def _as_json(options: dict[str, Any]) -> dict[str, Any]:
    """Times as ISO 8601, times of day as HH:MM, an image in base64.

    Raises:
        ValueError: a time without a zone.
    """
    if options.get("image") is not None:
        options["image"] = encoded(options["image"])
    for name in ("after", "before"):
        moment = options.get(name)
        if moment is None:
            options.pop(name, None)
        elif moment.tzinfo is None:
            raise ValueError(f"{name}={moment.isoformat()}: a time with a zone expected")
        else:
            options[name] = moment.isoformat()
    for name in ("daily_after", "daily_before"):
        if (clock := options.get(name)) is not None:
            options[name] = f"{clock:%H:%M}"
    return options
