"""`GET /v1/status`: what is live, what is being built and what came of promotions, for the page's operations view."""

from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, Field

from personsearch.errors import UserError
from personsearch.gallery.builds import BuildProgress
from personsearch.installation.promoter_memory import LONGEST_PAUSE_SECONDS
from personsearch.integrations.database.promotions import PastPromotion
from serving.problems import Problem, responses
from serving.routes.crops import CameraView, camera_views
from serving.routes.search import ModelView, model_view
from serving.security import Caller
from serving.service import Service, ServiceDep

PROMOTIONS = 10

router = APIRouter(prefix="/v1", tags=["operation"])


class BuildView(BaseModel):
    """How far the build of a collection is."""

    collection: str
    crops: int
    done: int
    crops_per_second: float
    seconds_left: float | None


class PromotionView(BaseModel):
    """A promotion: the collection that it made live, or why it failed."""

    version: str
    collection: str = Field(description="Empty if it failed.")
    failure: str = Field(description="Empty if it went live.")
    attempts: int = Field(description="In a row that failed.")
    began_at: datetime
    changed_at: datetime


class PromoterView(BaseModel):
    """What a promoter saw."""

    leads: bool
    state: str
    failed: bool
    seconds_ago: float


class DriftView(BaseModel):
    """How a camera's newest crops differ from those that the model was calibrated on, and how its answers are."""

    camera_id: str
    shift: float | None = Field(
        description="Distance of the newest crops from those of the calibration, in their deviations; null before the "
        "first look, and with too few crops."
    )
    quality: float | None = Field(description="Mean quality of the newest crops, from 0 to 1; null as the shift.")
    first_candidates: int = Field(description="Of searches since this service started.")
    no_reliable_match: int = Field(description="How many of them were no reliable match.")


class Status(BaseModel):
    """The state of an installation."""

    problem: str = Field(description="Why the collection that should be live is not; empty if it is.")
    collection: str | None
    model: ModelView | None
    crops: int = Field(description="In the gallery.")
    waiting: int = Field(description="Crops of the gallery that the live collection does not hold yet.")
    cameras: list[CameraView]
    drift: list[DriftView] = Field(description="By camera, in the order of `cameras`.")
    builds: list[BuildView]
    promotions: list[PromotionView] = Field(description="The latest ten, the latest first.")
    promoters: list[PromoterView]


@router.get(
    "/status", responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)
)
def status(service: ServiceDep, _: Caller) -> Status:
    """What is live, how far builds are, what became of promotions, and when each camera sent its last crop."""
    try:
        return _status(service)
    except UserError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be read at the moment.") from error


def _status(service: Service) -> Status:
    live, promotions = service.live.current, service.promotions
    cameras = camera_views(service)
    under_way = [build for build in promotions.builds.progress() if build.idle < LONGEST_PAUSE_SECONDS]
    return Status(
        problem=service.live.problem,
        collection=None if live is None else live.collection,
        model=None if live is None else model_view(live.properties),
        crops=sum(camera.crops for camera in cameras),
        waiting=service.backlog.crops(),
        cameras=cameras,
        drift=[_drift(service, camera.camera_id) for camera in cameras],
        builds=[_build(build) for build in under_way],
        promotions=[_promotion(promotion) for promotion in promotions.latest(PROMOTIONS)],
        promoters=[
            PromoterView(leads=beat.leads, state=beat.state, failed=beat.failed, seconds_ago=round(beat.age, 1))
            for beat in promotions.heartbeats()
        ],
    )


def _drift(service: Service, camera: str) -> DriftView:
    seen = service.drift.found.get(camera)
    shown, unsure = service.metrics.first_candidates_of(camera)
    return DriftView(
        camera_id=camera,
        shift=None if seen is None else round(seen.shift, 3),
        quality=None if seen is None else round(seen.quality, 3),
        first_candidates=shown,
        no_reliable_match=unsure,
    )


def _build(build: BuildProgress) -> BuildView:
    return BuildView(
        collection=build.collection,
        crops=build.crops,
        done=build.done,
        crops_per_second=round(build.rate, 1),
        seconds_left=build.seconds_left,
    )


def _promotion(promotion: PastPromotion) -> PromotionView:
    return PromotionView.model_validate(promotion, from_attributes=True)
