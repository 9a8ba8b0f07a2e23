"""A picture that a request carries as base64, to be searched for or turned into a vector."""

import base64
import binascii
from http import HTTPStatus
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from personsearch.bundle import Preprocessing
from personsearch.images import SENT_FORMATS, ImageRejected, open_image, resize
from serving.problems import Problem, WrongField

MAX_BYTES = 2**20
MAX_PIXELS = 4_000_000

SentPicture = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_BYTES * 4 // 3 + 8,
        description="One person, cut out of a frame: JPEG, PNG or WebP in base64, at most 1 MiB and 4 million pixels.",
        json_schema_extra={"contentEncoding": "base64"},
    ),
]


def file_of(sent: str, field: str) -> bytes:
    """The bytes of a sent picture; `field` is its name in the request.

    Raises:
        Problem: 422, it is no base64 or too large.
    """
    try:
        file = base64.b64decode(sent, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused(field, "not base64") from error
    if len(file) > MAX_BYTES:
        raise _refused(field, f"{len(file):,} bytes; at most {MAX_BYTES:,} expected")
    return file


def pixels_of(file: bytes, field: str, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """A sent picture as the model takes it: uint8 [H, W, 3].

    Raises:
        Problem: 422, it is no picture, or one of too many pixels.
    """
    try:
        picture = open_image(file, max_pixels=MAX_PIXELS, formats=SENT_FORMATS)
    except ImageRejected as error:
        raise _refused(field, str(error)) from error
    return resize(picture, preprocessing.height, preprocessing.width, preprocessing.interpolation)


def _refused(field: str, reason: str) -> Problem:
    errors = [WrongField(field=field, message=reason)]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: {reason}", errors=errors)
