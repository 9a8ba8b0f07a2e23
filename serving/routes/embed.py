"""`POST /v1/embed`: turns descriptions and pictures into the vectors of the live collection's model."""

from http import HTTPStatus

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from personsearch.encoders.encoder import Encoder
from personsearch.installation.audited_search import embed_record
from serving.json_body import JsonRoute
from serving.problems import responses
from serving.routes.search import ModelView, live_or_unavailable, model_view
from serving.security import SearchingCaller
from serving.sent_picture import SentPicture, file_of, pixels_of
from serving.service import ServiceDep
from serving.written_text import Purpose, Text

MAX_TEXTS = 64
MAX_IMAGES = 16
DECIMALS = 7

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)


class EmbedRequest(BaseModel):
    """Descriptions, pictures, or both."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"texts": ["a woman in a red jacket and blue jeans"]}]}
    )

    texts: list[Text] = Field(default=[], max_length=MAX_TEXTS, description="Descriptions of people, in English.")
    images: list[SentPicture] = Field(default=[], max_length=MAX_IMAGES, description="Pictures of one person each.")
    purpose: Purpose = Field(default="", description="Purpose or case; kept in the audit log.")

    @model_validator(mode="after")
    def _something(self) -> "EmbedRequest":
        if not (self.texts or self.images):
            raise ValueError("texts, images or both expected")
        return self


class EmbedResponse(BaseModel):
    """Unit vectors in the order of the inputs; the cosine of two is their inner product."""

    request_id: str
    text_vectors: list[list[float]]
    text_cut_after: list[int | None] = Field(
        description="For each text, how many of its characters the model read, in whole words; null if it read all."
    )
    image_vectors: list[list[float]]
    dimensions: int
    collection: str = Field(description="The live collection: its vectors are of the same model.")
    model: ModelView


@router.post(
    "/embed",
    responses=responses(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
def embed(body: EmbedRequest, request: Request, service: ServiceDep, caller: SearchingCaller) -> EmbedResponse:
    """Turn descriptions and pictures into vectors, for a client that searches the collection itself.

    Recorded in the audit log, as a search is.
    """
    live = live_or_unavailable(service)
    files = [file_of(image, f"images.{number}") for number, image in enumerate(body.images)]
    image_ND = _encode_pictures(live.encoder, files)
    text_ND = live.encoder.encode_texts(body.texts)
    request_id = request.scope["request_id"]
    record = embed_record(
        body.texts,
        files,
        who=caller,
        purpose=body.purpose,
        request_id=request_id,
        collection=live.collection,
        properties=live.properties,
    )
    service.audit.append("embed", record)  # before the answer: nobody gets a vector that was not recorded
    service.metrics.embedded.labels("text").inc(len(text_ND))
    service.metrics.embedded.labels("image").inc(len(image_ND))
    return EmbedResponse(
        request_id=request_id,
        text_vectors=_rows(text_ND),
        text_cut_after=[live.encoder.text_cut_after(text) for text in body.texts],
        image_vectors=_rows(image_ND),
        dimensions=live.encoder.embedding_dim,
        collection=live.collection,
        model=model_view(live.properties),
    )


def _encode_pictures(encoder: Encoder, files: list[bytes]) -> NDArray[np.float32]:
    if not files:
        return np.empty((0, encoder.embedding_dim), dtype=np.float32)
    pixels = [pixels_of(file, f"images.{number}", encoder.preprocessing) for number, file in enumerate(files)]
    return encoder.encode_images(np.stack(pixels))


def _rows(vectors_ND: NDArray[np.float32]) -> list[list[float]]:
    return [[round(float(value), DECIMALS) for value in row] for row in vectors_ND]
