"""Routes for whatever runs the service: liveness, readiness, metrics.

They are coroutines and read memory only: were they run by threads, as searches are, a database that never answers would
hold every thread, and each replica would be called dead at once.
"""

from http import HTTPStatus

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from personsearch.installation.service_records import installation_id
from serving.service import ServiceDep

router = APIRouter(tags=["health"])


class Readiness(BaseModel):
    """Whether searches are answered. `problem` says what is wrong, even while an earlier collection still answers."""

    ready: bool
    problem: str = ""
    collection: str | None = None
    model_version: str | None = None
    sequence: int = Field(
        default=0,
        description="Crops erased up to this change number of the gallery are out of this service's memory.",
    )


@router.get("/healthz")
async def healthz(service: ServiceDep) -> dict[str, str]:
    """Report that the process is alive, and the id of the installation that it serves."""
    return {"status": "alive", "installation": installation_id(service.settings.home)}


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Searches cannot be answered yet."}})
async def readyz(service: ServiceDep, response: Response) -> Readiness:
    """Report whether a collection is loaded and has answered a first search."""
    live, problem = service.live.current, service.live.problem
    if live is None:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(ready=False, problem=problem)
    return Readiness(
        ready=True,
        problem=problem,
        collection=live.collection,
        model_version=live.properties.model_version,
        sequence=live.sequence,
    )


@router.get("/metrics", include_in_schema=False)
async def metrics(service: ServiceDep) -> Response:
    """Metrics for Prometheus."""
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)
