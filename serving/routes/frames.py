"""`GET /v1/crops/{crop_id}/frame` and `…/clip`: the whole picture around a crop, and the seconds before and after."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from personsearch.errors import UserError
from personsearch.gallery.footage import NoFootage, PeopleErased
from personsearch.gallery.frames import TooSlow
from personsearch.gallery.ingest.video import NotAVideo
from personsearch.search.crop import Crop
from serving.footage import Busy
from serving.problems import Problem, responses
from serving.routes.crops import IMAGE_CACHE, KEY_REFUSED, LOOK_REFUSED, Identifier, held_picture
from serving.security import SearchingCaller
from serving.service import Service, ServiceDep

LONGEST_SECONDS = 10.0
RETRY_SECONDS = 5

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", tags=["gallery"])


def _answers(media_type: str) -> dict[int | str, dict[str, Any]]:
    refused = (*KEY_REFUSED, HTTPStatus.NOT_FOUND, HTTPStatus.GONE, *LOOK_REFUSED)
    return {200: {"content": {media_type: {}}}, **responses(*refused)}


@router.get("/crops/{crop_id}/frame", response_class=Response, responses=_answers("image/jpeg"))
def frame(crop_id: Identifier, request: Request, service: ServiceDep, caller: SearchingCaller) -> Response:
    """The whole frame that a crop was cut from, where the footage is still there. Recorded in the audit log.

    404 says why there is none: a live camera keeps no footage, a file was removed or replaced. 410: somebody was erased
    from the video, of which nothing is shown any more.
    """
    crop, shown = _shown(service, crop_id, service.footage.frame)
    _record(service, request, caller, crop, seconds=0.0)
    return Response(shown, media_type="image/jpeg", headers={"Cache-Control": IMAGE_CACHE})


@router.get("/crops/{crop_id}/clip", response_class=Response, responses=_answers("video/webm"))
def clip(
    crop_id: Identifier,
    request: Request,
    service: ServiceDep,
    caller: SearchingCaller,
    seconds: Annotated[float, Query(ge=0.5, le=LONGEST_SECONDS, description="Before the crop, and after it.")] = 4.0,
) -> Response:
    """The seconds before and after a crop as a video, where `frame` shows its frame. Recorded in the audit log."""
    crop, shown = _shown(service, crop_id, lambda crop, picture: service.footage.clip(crop, picture, seconds))
    _record(service, request, caller, crop, seconds=seconds)
    return Response(shown, media_type="video/webm", headers={"Cache-Control": IMAGE_CACHE})


def _shown(service: Service, crop_id: str, show: Callable[[Crop, bytes], bytes]) -> tuple[Crop, bytes]:
    """A crop, and what is shown around it.

    Raises:
        Problem: 404 or 410, there is nothing to show; 503, not at the moment.
    """
    crop, picture = held_picture(service, crop_id)
    try:
        return crop, show(crop, picture)
    except PeopleErased as error:
        raise Problem(HTTPStatus.GONE, str(error)) from error
    except NoFootage as error:
        raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error
    except NotAVideo as error:
        detail = "The footage is gone: the file that has its name cannot be read as a video."
        raise Problem(HTTPStatus.NOT_FOUND, detail) from error
    except (Busy, TooSlow) as error:
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}. Try again.", headers=headers) from error
    except UserError as error:
        logger.error("footage of crop %s: %s", crop_id, error)
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The footage cannot be read at the moment.") from error


def _record(service: Service, request: Request, caller: str, crop: Crop, *, seconds: float) -> None:
    """Before the answer: nobody sees a frame that was not recorded."""
    values = {"request_id": request.scope["request_id"], "who": caller, "results": [crop.crop_id]}
    service.audit.append("frame", {**values, "frame": crop.frame_uri, "seconds": seconds})
