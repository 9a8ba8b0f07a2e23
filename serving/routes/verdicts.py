"""`POST /v1/verdicts`: a person says whether a candidate is right. Kept in the audit log."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from serving.json_body import JsonRoute
from serving.problems import Problem, responses
from serving.security import SearchingCaller
from serving.service import ServiceDep

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class VerdictRequest(BaseModel):
    """A person's judgement of a candidate."""

    model_config = ConfigDict(extra="forbid")

    search_request_id: Identifier = Field(description="`request_id` of the search that showed the candidate.")
    crop_id: Identifier
    verdict: Literal["confirmed", "rejected", "withdrawn"]
    note: Annotated[str, StringConstraints(max_length=500)] = ""


class VerdictResponse(BaseModel):
    """The record of the verdict in the audit log."""

    request_id: str
    record_hash: str


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
