"""Routes for crop images, the crops of a track, and the cameras."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from personsearch.gallery.cameras import CameraDetails
from personsearch.images import ImageRejected
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from serving.problems import Problem, responses
from serving.routes.search import CropView, crop_view
from serving.security import Caller, ViewingCaller
from serving.service import Service, ServiceDep

router = APIRouter(prefix="/v1", tags=["gallery"])

KEY_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
LOOK_REFUSED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
IMAGE_CACHE = "private, no-store"  # an erased picture must not stay in a browser
Identifier = Annotated[str, Path(min_length=1, max_length=256)]


class CameraView(BaseModel):
    """A camera, its number of crops in the gallery, and the times of the first and the last."""

    camera_id: str
    name: str = Field(description="The name to show: the id where it has no other.")
    group: str = Field(description="The group that a search can name; empty for none.")
    zone: str = Field(description="Time zone of its clock, such as Europe/Vienna.")
    crops: int
    first: datetime
    last: datetime


class Cameras(BaseModel):
    """All cameras in the gallery, by name."""

    cameras: list[CameraView]


class Track(BaseModel):
    """The crops of one person passing a camera, in order of time."""

    track_id: str
    crops: list[CropView]


@router.get("/cameras", responses=responses(*KEY_REFUSED))
def cameras(service: ServiceDep, _: Caller) -> Cameras:
    """The cameras to which a search can be restricted."""
    return Cameras(cameras=camera_views(service))


@router.get(
    "/crops/{crop_id}/image",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}},
        **responses(*KEY_REFUSED, HTTPStatus.NOT_FOUND, *LOOK_REFUSED),
    },
)
def image(crop_id: Identifier, request: Request, service: ServiceDep, caller: ViewingCaller) -> Response:
    """The image of a crop. Recorded in the audit log, unless a record of the last hour names the crop already."""
    _, picture = held_picture(service, crop_id)
    if not service.shown.holds(caller, crop_id):
        values = {"request_id": request.scope["request_id"], "who": caller, "results": [crop_id]}
        service.audit.append("image", values)
        service.shown.add(caller, [crop_id])
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": IMAGE_CACHE})


@router.get("/crops", responses=responses(*KEY_REFUSED, *LOOK_REFUSED))
def crops(
    request: Request,
    service: ServiceDep,
    caller: ViewingCaller,
    *,
    camera_id: Annotated[str, Query(min_length=1, max_length=256)],
    track_id: Annotated[str, Query(min_length=1, max_length=256)],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Track:
    """The crops of a candidate's track. Recorded in the audit log."""
    crop_filter = CropFilter(cameras=(camera_id,), tracks=(track_id,))
    held = sorted(service.gallery.crops(crop_filter), key=lambda crop: crop.captured_at)[:limit]
    crop_ids = [crop.crop_id for crop in held]
    looked = {"request_id": request.scope["request_id"], "who": caller, "camera_id": camera_id, "track_id": track_id}
    service.audit.append("track", {**looked, "results": crop_ids})
    service.shown.add(caller, crop_ids)
    return Track(track_id=track_id, crops=[CropView(**crop_view(crop)) for crop in held])


def camera_views(service: Service) -> list[CameraView]:
    """Every camera that has crops, with what people say of it.

    Raises:
        UserError: the database cannot be read.
    """
    known = {each.camera_id: each for each in service.cameras.all()}
    views = []
    for held in service.gallery.cameras():
        details = known.get(held.camera_id, CameraDetails(held.camera_id))
        views.append(
            CameraView(
                camera_id=held.camera_id,
                name=details.name or held.camera_id,
                group=details.group,
                zone=details.zone or service.settings.time_zone,
                crops=held.crops,
                first=held.first,
                last=held.last,
            )
        )
    return views


def held_picture(service: Service, crop_id: str) -> tuple[Crop, bytes]:
    """A crop of the gallery with its image file.

    Raises:
        Problem: 404, there is none.
    """
    crop = service.gallery.crop(crop_id)
    if crop is None:
        raise no_image(crop_id)
    try:
        return crop, service.gallery.picture(crop)
    except ImageRejected as error:
        raise no_image(crop_id) from error


def no_image(crop_id: str) -> Problem:
    """What is said of a crop that was erased, or whose image cannot be read."""
    return Problem(HTTPStatus.NOT_FOUND, f"The gallery holds no image of crop {crop_id!r}.")
