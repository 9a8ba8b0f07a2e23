"""`POST /v1/reports`: chosen candidates as one ZIP file, to be given to somebody. Recorded before it is sent."""

import hashlib
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from personsearch.images import ImageRejected, open_image
from personsearch.search.crop import Crop
from serving.json_body import JsonRoute
from serving.problems import Problem, responses
from serving.report import Report, Reported, zipped
from serving.routes.crops import held_picture, no_image
from serving.security import SearchingCaller
from serving.service import Service, ServiceDep
from serving.written_text import NotTurned, Purpose

MAX_CANDIDATES = 100
MEDIA_TYPE = "application/zip"

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ReportedCandidate(BaseModel):
    """A candidate, and the search that showed it."""

    model_config = ConfigDict(extra="forbid")

    search_request_id: Identifier
    crop_id: Identifier


class ReportRequest(BaseModel):
    """What a report is for, and whom it shows."""

    model_config = ConfigDict(extra="forbid")

    purpose: Annotated[Purpose, StringConstraints(min_length=1)] = Field(
        description="Purpose or case; in the report and in the audit log."
    )
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), NotTurned] = ""
    candidates: list[ReportedCandidate] = Field(min_length=1, max_length=MAX_CANDIDATES)


@router.post(
    "/reports",
    response_class=Response,
    responses={
        200: {
            "content": {MEDIA_TYPE: {}},
            "description": "`report.html`, `report.json`, `pictures/` and `SHA256SUMS`.",
        },
        **responses(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    },
)
def report(body: ReportRequest, request: Request, service: ServiceDep, caller: SearchingCaller) -> Response:
    """Candidates with their pictures, queries, models and verdicts. Every picture is marked as a candidate's."""
    request_id = request.scope["request_id"]
    searches = {name: service.audit.find("search", name) for name in {one.search_request_id for one in body.candidates}}
    reported = [_reported(service, one, searches[one.search_request_id]) for one in body.candidates]
    made = Report(request_id, caller, body.purpose, body.note, reported)
    file = zipped(made)
    values = {
        "request_id": request_id,
        "who": caller,
        "purpose": body.purpose,
        "note": body.note,
        "results": [candidate.crop_id for candidate in body.candidates],
        "searches": sorted(searches),
        "sha256": hashlib.sha256(file).hexdigest(),
    }
    service.audit.append("report", values)
    headers = {"Content-Disposition": f'attachment; filename="report-{request_id[-8:]}.zip"'}
    return Response(file, media_type=MEDIA_TYPE, headers=headers)


def _reported(service: Service, chosen: ReportedCandidate, search: dict[str, Any] | None) -> Reported:
    """A candidate with all that is known of it. `search` is the record of the search that showed it.

    Raises:
        Problem: 404, the search is not recorded or did not show it, or it was erased.
    """
    if search is None or chosen.crop_id not in search["results"]:
        detail = f"Search {chosen.search_request_id!r} is not recorded, or did not show crop {chosen.crop_id!r}."
        raise Problem(HTTPStatus.NOT_FOUND, detail)
    crop, picture = held_picture(service, chosen.crop_id)
    try:
        open_image(picture)
    except ImageRejected as error:
        raise no_image(chosen.crop_id) from error
    return Reported(crop, picture, _of_search(search, crop), service.verdicts.of([crop.crop_id]))


def _of_search(search: dict[str, Any], crop: Crop) -> dict[str, Any]:
    """What a report says of the search that showed a crop."""
    place = search["results"].index(crop.crop_id)
    first = search["filters"].get("first_rank", 1)
    kept = (
        "request_id",
        "at",
        "who",
        "purpose",
        "query",
        "beside_text",
        "filters",
        "model",
        "model_version",
        "collection",
    )
    return {
        **{name: search[name] for name in kept if name in search},
        "rank": first + place,
        "score": search["scores"][place],
        "record_hash": search["hash"],
    }
