"""`/v1/alerts`: alerts of the caller's watched searches, as pages and as a stream of events. Each that is shown is
recorded.
"""

import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from personsearch.gallery.alerts import Alert, Delivery
from personsearch.installation.alerts.figures import Figures, read_figures
from personsearch.search.filters import CropFilter
from serving.problems import Problem, responses
from serving.routes.search import CropView, crop_view
from serving.routes.watches import REFUSED, alerting
from serving.security import Caller, ViewingCaller, is_still_caller
from serving.service import Service, ServiceDep

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

LOOK_SECONDS = 0.25
QUIET_SECONDS = 15.0  # without an event, until a comment shows that the stream is alive
STREAM_SECONDS = 600.0  # then it is opened again
KEY_SECONDS = 3.0  # until it is noticed that a key has ended
EVENTS_AT_ONCE = 50
CURSOR = r"^\d{1,18}$"


class AlertView(CropView):
    """A track that fits a watched search, by the best crop of it."""

    alert_id: str = Field(description="The same wherever this alert is told.")
    watch_id: str
    name: str = Field(description="Of the watched search.")
    confidence: float
    score: float = Field(description="Cosine similarity of the description and the image.")
    threshold: float = Field(description="That of the search when the alert was raised.")
    raised_at: datetime
    released_at: datetime | None = Field(
        description="When it was shown and sent; null while it waits for the end of quiet hours or for the limit."
    )
    delivery: Delivery = Field(description="What became of its webhook.")
    attempts: int = Field(description="Tries to tell its webhook that failed.")
    failure: str = Field(description="Why the last of them failed.")


class Alerts(BaseModel):
    """Alerts, the latest first."""

    alerts: list[AlertView]
    next: str | None = Field(description="The cursor of the next page; null after the last one.")


class AlertFigures(BaseModel):
    """Whether searches can be watched here, and how precise and complete alerts were where that was measured."""

    enabled: bool
    problem: str = Field(description="Why no crop is compared at the moment; empty if they are.")
    webhooks: bool = Field(description="Whether a watched search may have a webhook.")
    most_searches: int = Field(description="How many searches each key may watch.")
    measured: Figures


@router.get("", responses=responses(*REFUSED))
def alerts(
    request: Request,
    service: ServiceDep,
    caller: ViewingCaller,
    *,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern=CURSOR, description="`next` of the page before.")] = None,
    watch_id: Annotated[str, Query(max_length=64, description="Only of this watched search.")] = "",
) -> Alerts:
    """The caller's alerts, those that wait among them. Recorded in the audit log."""
    before = int(cursor) if cursor else None
    found = alerting(service).alerts.latest(caller, limit + 1, before=before, watch_id=watch_id)
    page = found[:limit]
    shown = _shown(service, caller, page, request.scope["request_id"])
    return Alerts(alerts=shown, next=str(page[-1].number) if len(found) > limit else None)


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Alerts"}, **responses(*REFUSED)},
)
def events(
    request: Request,
    service: ServiceDep,
    caller: Caller,
    last_event_id: Annotated[str | None, Header(pattern=CURSOR)] = None,
) -> StreamingResponse:
    """The caller's alerts as they are released, as server-sent events `alert`; one that gets a better picture comes
    again. The first event names an id alone, from which the stream begins; a client that names the last id that it saw
    misses none. A stream ends with its key.
    """
    stored = alerting(service)
    if not service.alert_streams.has_room(caller):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS, "Too many streams of alerts are open.", headers={"Retry-After": "30"}
        )
    latest = stored.alerts.latest_change()
    since = min(int(last_event_id), latest) if last_event_id else latest
    stream = _stream(service, request, caller, since)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get(
    "/figures", responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)
)
def figures(service: ServiceDep, _: Caller) -> AlertFigures:
    """How precise and complete alerts were at each threshold, to be read before a search is watched."""
    settings = service.settings
    return AlertFigures(
        enabled=settings.alerts,
        problem=service.alerts.problem if settings.alerts else "",
        webhooks=bool(settings.alert_secret.get_secret_value()),
        most_searches=settings.alert_searches,
        measured=read_figures(),
    )


async def _stream(service: Service, request: Request, caller: str, since: int) -> AsyncIterator[str]:
    began = said_at = asked_at = time.monotonic()
    yield f"retry: 2000\nid: {since}\n\n"
    with service.alert_streams.opened(caller):
        while time.monotonic() - began < STREAM_SECONDS:
            is_news = service.alerts.change > since
            if is_news or time.monotonic() - asked_at > KEY_SECONDS:
                if not await run_sync(is_still_caller, request, caller):
                    return
                asked_at = time.monotonic()
            if is_news:
                since, told = await run_sync(_events, service, caller, since, request.scope["request_id"])
                yield told
                said_at = time.monotonic()
            elif time.monotonic() - said_at > QUIET_SECONDS:
                yield ":\n\n"
                said_at = time.monotonic()
            else:
                await anyio.sleep(LOOK_SECONDS)


def _events(service: Service, caller: str, since: int, request_id: str) -> tuple[int, str]:
    """The next events after a change, and the change that they reach."""
    latest = service.alerts.change
    changed = service.alerts.stored.alerts.changed_since(since, caller, EVENTS_AT_ONCE)
    reached = (
        changed[-1].change if len(changed) == EVENTS_AT_ONCE else max([latest, *(each.change for each in changed)])
    )
    change_of = {alert.alert_id: alert.change for alert in changed}
    shown = _shown(service, caller, changed, request_id)
    return reached, "".join(
        f"id: {change_of[view.alert_id]}\nevent: alert\ndata: {view.model_dump_json()}\n\n" for view in shown
    )


def _shown(service: Service, caller: str, found: Sequence[Alert], request_id: str) -> list[AlertView]:
    """Alerts as clients see them, once the audit log says that the caller was shown them."""
    if not found:
        return []
    names = {each.watch_id: each.name for each in service.alerts.stored.watches.of_owner(caller)}
    wanted = CropFilter(crop_ids=tuple(alert.crop_id for alert in found))
    crops = {crop.crop_id: crop for crop in service.gallery.crops(wanted)}
    there = [alert for alert in found if alert.crop_id in crops and alert.watch_id in names]
    crop_ids = [alert.crop_id for alert in there]
    looked = {"request_id": request_id, "who": caller, "alerts": [alert.alert_id for alert in there]}
    service.audit.append("alerts", {**looked, "results": crop_ids})
    service.shown.add(caller, crop_ids)
    own = ("alert_id", "watch_id", "confidence", "score", "threshold", "raised_at", "released_at", "delivery")
    return [
        AlertView(
            **crop_view(crops[alert.crop_id]),
            **{name: getattr(alert, name) for name in (*own, "attempts", "failure")},
            name=names[alert.watch_id],
        )
        for alert in there
    ]
