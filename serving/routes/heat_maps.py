"""`POST /v1/crops/{crop_id}/heat-maps`: where the model sees in a crop what a description says."""

import time
from http import HTTPStatus
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from personsearch.encoders.encoder import Encoder
from personsearch.images import ImageRejected, open_image, resize
from personsearch.installation.audited_search import heat_map_record
from personsearch.search.heat_map import COLUMNS, COVERED, ROWS, heat_maps
from personsearch.search.phrases import Phrase, phrases
from serving.json_body import JsonRoute
from serving.problems import Problem, responses
from serving.routes.crops import held_picture, no_image
from serving.routes.search import ModelView, live_or_unavailable, model_view
from serving.security import SearchingCaller
from serving.service import Service, ServiceDep
from serving.written_text import Purpose, Text

LONGEST_SECONDS = 10.0
DECIMALS = 4

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)
CropId = Annotated[str, Path(min_length=1, max_length=256)]


class HeatMapsRequest(BaseModel):
    """A description, as it was searched for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "a man with a red backpack"}]})

    text: Text = Field(description="Description of the person, in English.")
    purpose: Purpose = Field(default="", description="Purpose or case; kept in the audit log.")


class HeatMap(BaseModel):
    """Where one phrase of the description is seen."""

    text: str
    start: int = Field(description="The phrase is `text[start:end]` of the description without spaces around it.")
    end: int
    heat: list[list[float]] = Field(
        description="Rows from the top, columns from the left: how much of the cosine similarity to the phrase is lost "
        "when this part of the crop is covered. What is not above 0 speaks against the phrase or says nothing of it."
    )


class HeatMaps(BaseModel):
    """One map for each thing that the description names."""

    request_id: str
    crop_id: str
    rows: int
    columns: int
    maps: list[HeatMap]
    collection: str
    model: ModelView
    seconds: float


@router.post(
    "/crops/{crop_id}/heat-maps",
    responses=responses(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.NOT_IMPLEMENTED,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
def show_heat_maps(
    crop_id: CropId, body: HeatMapsRequest, request: Request, service: ServiceDep, caller: SearchingCaller
) -> HeatMaps:
    """Show where the model sees in a crop what a description says, phrase by phrase. Recorded in the audit log."""
    start = time.perf_counter()
    live = live_or_unavailable(service)
    pixels_HW3 = _pixels(service, crop_id, live.encoder)
    whole_D = _encoded_in_time(live.encoder, pixels_HW3)
    asked = phrases(body.text) or [Phrase(body.text, 0, len(body.text), body.text)]
    maps_PRC = heat_maps(live.encoder, pixels_HW3, whole_D, [phrase.sentence for phrase in asked])
    request_id = request.scope["request_id"]
    record = heat_map_record(
        body.text,
        crop_id,
        who=caller,
        purpose=body.purpose,
        request_id=request_id,
        collection=live.collection,
        properties=live.properties,
    )
    service.audit.append("heat_map", record)  # before the answer: nobody learns of a crop what was not recorded
    return HeatMaps(
        request_id=request_id,
        crop_id=crop_id,
        rows=ROWS,
        columns=COLUMNS,
        maps=[
            HeatMap(text=phrase.text, start=phrase.start, end=phrase.end, heat=map_RC.round(DECIMALS).tolist())
            for phrase, map_RC in zip(asked, maps_PRC.astype(float), strict=True)
        ],
        collection=live.collection,
        model=model_view(live.properties),
        seconds=round(time.perf_counter() - start, 6),
    )


def _pixels(service: Service, crop_id: str, encoder: Encoder) -> NDArray[np.uint8]:
    """The crop as the model takes it: uint8 [H, W, 3].

    Raises:
        Problem: 404, the gallery holds no such crop, or its image cannot be read.
    """
    size = encoder.preprocessing
    _, picture = held_picture(service, crop_id)
    try:
        return resize(open_image(picture), size.height, size.width, size.interpolation)
    except ImageRejected as error:
        raise no_image(crop_id) from error


def _encoded_in_time(encoder: Encoder, pixels_HW3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The vector of the whole crop. How long it took keeps a large model on a small machine from working for minutes
    while searches wait for it.

    Raises:
        Problem: 501, with how long it would take.
    """
    start = time.perf_counter()
    [whole_D] = encoder.encode_images(pixels_HW3[None])
    needed = COVERED * (time.perf_counter() - start)
    if needed > LONGEST_SECONDS:
        detail = (
            f"The model would take about {needed:.0f} s on this machine; at most {LONGEST_SECONDS:.0f} s are spent."
        )
        raise Problem(HTTPStatus.NOT_IMPLEMENTED, detail)
    return np.asarray(whole_D)
