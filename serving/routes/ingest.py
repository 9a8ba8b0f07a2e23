"""`POST /v1/crops`: a camera with its own detector sends what it found."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from personsearch.addresses import hide_credentials
from personsearch.gallery.arrivals import MAX_IMAGE_BYTES, Arrival, Outcome, Receipt, receive
from personsearch.gallery.store import LONGEST_CAMERA_NAME, SAFE_NAME
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.filters import Moment
from serving.json_body import JsonRoute
from serving.problems import Problem, WrongField, listed, responses
from serving.routes.search import Box
from serving.security import SendingCaller
from serving.service import Service, ServiceDep

MAX_CROPS = 100
BACKLOG_SECONDS = 30
STATUSES: dict[Outcome, HTTPStatus] = {
    "stored": HTTPStatus.CREATED,
    "there already": HTTPStatus.OK,
    "other content": HTTPStatus.CONFLICT,
    "erased": HTTPStatus.GONE,
    "refused": HTTPStatus.UNPROCESSABLE_ENTITY,
}
ACCEPTED = (HTTPStatus.CREATED, HTTPStatus.OK)

router = APIRouter(prefix="/v1", tags=["gallery"], route_class=JsonRoute)

CropId = Annotated[str, StringConstraints(pattern=rf"^{SAFE_NAME.pattern}$")]
CameraId = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_CAMERA_NAME)]
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
TrackId = Annotated[str, StringConstraints(pattern=PRINTABLE, min_length=1, max_length=128)]
FrameAddress = Annotated[str, StringConstraints(pattern=PRINTABLE, max_length=1024)]


class SentBox(Box):
    """Where the person is in the frame, in pixels: left, top, width, height."""

    model_config = ConfigDict(extra="forbid")

    x: int = Field(ge=-100_000, le=100_000)
    y: int = Field(ge=-100_000, le=100_000)
    width: int = Field(ge=1, le=100_000)
    height: int = Field(ge=1, le=100_000)


class SentCrop(BaseModel):
    """One picture of one person at one camera and time."""

    model_config = ConfigDict(extra="forbid")

    crop_id: CropId = Field(description="Chosen by the sender, the same whenever this crop is sent again.")
    camera_id: CameraId
    captured_at: Moment = Field(
        description="When the picture was taken; ISO 8601 with a zone, kept to the millisecond."
    )
    image: str = Field(
        max_length=MAX_IMAGE_BYTES * 4 // 3 + 8,
        description="The person cut out of the frame, as JPEG in base64: at most 1 MiB and 4 million pixels.",
        json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/jpeg"},
    )
    track_id: TrackId | None = Field(
        default=None, description="The same for all pictures of one person passing by; the crop's own id if absent."
    )
    bbox: SentBox | None = Field(default=None, description="The whole picture if absent.")
    score: float = Field(default=1.0, ge=0, le=1, description="The detector's confidence; kept as the crop's quality.")
    frame_uri: FrameAddress = Field(default="", description="Where the frame can be found, for people; never opened.")

    def arrival(self, now: datetime) -> Arrival:
        """The crop as the gallery takes it."""
        box = None if self.bbox is None else BoundingBox(**self.bbox.model_dump())
        crop = Crop(
            crop_id=self.crop_id,
            camera_id=self.camera_id,
            captured_at=self.captured_at,
            track_id=self.track_id or self.crop_id,
            image_uri="",
            bbox=box or BoundingBox(0, 0, 0, 0),
            frame_uri=hide_credentials(self.frame_uri),
            quality=self.score,
            ingested_at=now,
        )
        return Arrival(crop, self.image, box)


class SentCrops(BaseModel):
    """A batch of crops; each is answered for itself."""

    model_config = ConfigDict(extra="forbid")

    crops: list[SentCrop] = Field(min_length=1, max_length=MAX_CROPS)


class CropReceipt(BaseModel):
    """What became of a crop."""

    crop_id: str
    status: int = Field(
        description="201 stored, 200 there already with this content, 409 there with another, 410 erased, 422 refused."
    )
    detail: str = Field(description="What became of it, in words.")


class Receipts(BaseModel):
    """What became of each crop, in the order in which they were sent."""

    request_id: str
    crops: list[CropReceipt]


@router.post(
    "/crops",
    response_model=Receipts,
    responses={
        200: {"model": Receipts, "description": "Every crop was there already."},
        201: {"model": Receipts, "description": "Every crop is stored, at least one of them by this request."},
        207: {"model": Receipts, "description": "Some crops are stored, others are not; each has its status."},
        **responses(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.CONFLICT,
            HTTPStatus.GONE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    },
)
def send(body: SentCrops, request: Request, response: Response, service: ServiceDep, caller: SendingCaller) -> Receipts:
    """Add crops to the gallery. Send them again whenever no answer came: nothing is stored twice."""
    _refuse_backlog(service)
    request_id = request.scope["request_id"]

    def record(receipts: Sequence[Receipt]) -> None:
        # before anything is stored: if the log cannot be written, nothing enters unrecorded
        service.audit.append("crops", {"request_id": request_id, "who": caller, **_record(receipts)})

    now = datetime.now(UTC)
    receipts = receive(service.gallery, [crop.arrival(now) for crop in body.crops], record=record)
    for receipt in receipts:
        service.metrics.crops_sent.labels(receipt.outcome.replace(" ", "_")).inc()
    response.status_code = _status(receipts)
    views = [
        CropReceipt(crop_id=one.crop_id, status=STATUSES[one.outcome], detail=one.detail or one.outcome)
        for one in receipts
    ]
    return Receipts(request_id=request_id, crops=views)


def _refuse_backlog(service: Service) -> None:
    """Raises Problem 429 while too many crops wait to be found by a search."""
    limit, waiting = service.settings.ingest_backlog, service.backlog.crops()
    if waiting > limit:
        service.metrics.refused.labels("backlog").inc()
        detail = f"{waiting:,} crops wait to be indexed, at most {limit:,} expected. Try again in {BACKLOG_SECONDS} s."
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(BACKLOG_SECONDS)})


def _record(receipts: Sequence[Receipt]) -> dict[str, object]:
    """What the audit log keeps: ids by what became of them."""
    record: dict[str, list[str]] = {}
    for receipt in receipts:
        record.setdefault(receipt.outcome.replace(" ", "_"), []).append(receipt.crop_id)
    return dict(record)


def _status(receipts: Sequence[Receipt]) -> HTTPStatus:
    """The status of the whole batch.

    Raises:
        Problem: no crop was accepted, all for reasons of one status.
    """
    statuses = {STATUSES[receipt.outcome] for receipt in receipts}
    if statuses <= set(ACCEPTED):
        return HTTPStatus.CREATED if HTTPStatus.CREATED in statuses else HTTPStatus.OK
    if len(statuses) > 1:
        return HTTPStatus.MULTI_STATUS
    errors = [
        WrongField(field=f"crops.{number}", message=f"{receipt.crop_id}: {receipt.detail}")
        for number, receipt in enumerate(receipts)
    ]
    raise Problem(statuses.pop(), listed(errors), errors=errors)
