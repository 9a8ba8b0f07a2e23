"""Routes for crop images, the crops of a track, and the cameras."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel

from personsearch.search.filters import CropFilter
from serving.problems import Problem, responses
from serving.routes.search import CropView, crop_view
from serving.security import Caller, ViewingCaller
from serving.service import ServiceDep

router = APIRouter(prefix="/v1", tags=["gallery"])

IMAGE_CACHE = "private, no-store"  # an erased picture must not stay in a browser
Identifier = Annotated[str, Path(min_length=1, max_length=256)]


class CameraView(BaseModel):
    """A camera, its number of crops in the gallery, and the times of the first and the last."""

    camera_id: str
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


@router.get("/cameras", responses=responses(HTTPStatus.UNAUTHORIZED))
def cameras(service: ServiceDep, _: Caller) -> Cameras:
    """The cameras to which a search can be restricted."""
    held = service.gallery.cameras()
    views = [CameraView(camera_id=c.camera_id, crops=c.crops, first=c.first, last=c.last) for c in held]
    return Cameras(cameras=views)


@router.get(
    "/crops/{crop_id}/image",
    response_class=FileResponse,
    responses={200: {"content": {"image/jpeg": {}}}, **responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND)},
)
def image(crop_id: Identifier, service: ServiceDep, _: ViewingCaller) -> FileResponse:
    """The image of a crop."""
    crop = service.gallery.crop(crop_id)
    path = service.gallery.image(crop) if crop is not None else None
    if path is None or not path.is_file():
        raise Problem(HTTPStatus.NOT_FOUND, f"The gallery holds no image of crop {crop_id!r}.")
    return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": IMAGE_CACHE})


@router.get("/crops", responses=responses(HTTPStatus.UNAUTHORIZED))
def crops(
    service: ServiceDep,
    _: ViewingCaller,
    camera_id: Annotated[str, Query(min_length=1, max_length=256)],
    track_id: Annotated[str, Query(min_length=1, max_length=256)],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Track:
    """The other crops of a candidate's track."""
    crop_filter = CropFilter(cameras=(camera_id,), tracks=(track_id,))
    held = sorted(service.gallery.crops(crop_filter), key=lambda crop: crop.captured_at)
    return Track(track_id=track_id, crops=[CropView(**crop_view(crop)) for crop in held[:limit]])
