"""`/v1/verdicts`: a person says whether a candidate is right, and everybody can read that. Kept in the audit log."""

from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from personsearch.errors import UserError
from personsearch.installation.audit.log import AuditUnavailable
from personsearch.search.filters import CropFilter
from serving.json_body import JsonRoute
from serving.problems import Problem, responses
from serving.security import SearchingCaller, ViewingCaller
from serving.service import ServiceDep
from serving.written_text import NotTurned

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)

MAX_CROPS = 200

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class VerdictRequest(BaseModel):
    """A person's judgement of a candidate."""

    model_config = ConfigDict(extra="forbid")

    search_request_id: Identifier = Field(description="`request_id` of the search that showed the candidate.")
    crop_id: Identifier
    verdict: Literal["confirmed", "rejected", "withdrawn"]
    note: Annotated[str, StringConstraints(max_length=500), NotTurned] = ""


class VerdictResponse(BaseModel):
    """The record of the verdict in the audit log."""

    request_id: str
    record_hash: str


class VerdictView(BaseModel):
    """What a person said of a crop last, in answer to a query."""

    crop_id: str
    verdict: Literal["confirmed", "rejected"]
    note: str
    who: str = Field(description="The name of the key.")
    mine: bool = Field(description="Whether that is the key of this request.")
    at: datetime
    search_request_id: str
    text: str = Field(description="The description that was searched for; empty for a picture alone.")
    beside_text: dict[str, Any] = Field(
        description="What else was searched for: `also`, `without`, `like`, the SHA-256 of an `image`, `image_weight`."
    )


class Verdicts(BaseModel):
    """Verdicts, oldest first."""

    verdicts: list[VerdictView]


@router.post(
    "/verdicts",
    status_code=HTTPStatus.CREATED,
    responses=responses(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
def judge(body: VerdictRequest, request: Request, service: ServiceDep, caller: SearchingCaller) -> VerdictResponse:
    """Record that a person confirmed or rejected a candidate, or withdrew that verdict."""
    if service.gallery.crop(body.crop_id) is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"The gallery holds no crop {body.crop_id!r}.")
    search = service.audit.find("search", body.search_request_id)
    if search is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"No search {body.search_request_id!r} is recorded.")
    if body.crop_id not in search["results"]:
        detail = f"Search {body.search_request_id!r} did not show crop {body.crop_id!r}."
        raise Problem(HTTPStatus.NOT_FOUND, detail)
    request_id = request.scope["request_id"]
    values = {"request_id": request_id, "who": caller, **body.model_dump()}
    record_hash = service.audit.append("verdict", values)
    service.metrics.verdicts.labels(body.verdict).inc()
    return VerdictResponse(request_id=request_id, record_hash=record_hash)


@router.get(
    "/verdicts",
    responses=responses(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)
def verdicts(
    service: ServiceDep,
    caller: ViewingCaller,
    crop_id: Annotated[list[Identifier], Query(min_length=1, max_length=MAX_CROPS)],
) -> Verdicts:
    """What people said of these crops, whoever asks. Of crops that were erased nothing is told."""
    held = [crop.crop_id for crop in service.gallery.crops(CropFilter(crop_ids=tuple(crop_id)))]
    try:
        given = service.verdicts.of(held)
    except (AuditUnavailable, UserError) as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The audit log cannot be read at the moment.") from error
    return Verdicts(verdicts=[VerdictView(**asdict(said), mine=said.who == caller) for said in given])
