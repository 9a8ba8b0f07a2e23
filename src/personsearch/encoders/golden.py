"""Golden inputs: a few texts and pictures whose embeddings a bundle carries, so that a loaded model can be checked.

A model that is loaded wrongly (other preprocessing, another tokenizer, damaged weights) or gives all inputs the same
embedding fails here, before it meets a user's gallery.

Shapes: N golden inputs, H height, W width, D embedding dimension.
"""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from personsearch.bundle import GOLDEN, Bundle
from personsearch.config import Config, describe_validation_error
from personsearch.encoders.encoder import Encoder
from personsearch.errors import UserError
from personsearch.files import write_json
from personsearch.images import ImageRejected, open_image

TOLERANCE = 1e-3
MINIMAL_SPREAD = 1e-5
NUM_IMAGES = 4
TEXTS = (
    "a man in a dark jacket and blue jeans",
    "a woman in a red coat with a black backpack",
    "a person wearing a white shirt, grey shorts and sandals, carrying a shopping bag in the left hand",
    "green hood",
)


class Golden(Config):
    """The content of golden.json: N inputs of each kind and the model's embeddings of them."""

    texts: tuple[str, ...]
    """Captions."""

    images: tuple[str, ...]
    """Images, as base64 PNG."""

    text_embeddings: tuple[tuple[float, ...], ...]
    """Unit vectors [N, D] of `texts`."""

    image_embeddings: tuple[tuple[float, ...], ...]
    """Unit vectors [N, D] of `images`."""


def write_golden(bundle: Bundle, encoder: Encoder) -> None:
    """Write golden.json into a bundle.

    Raises:
        UserError: the encoder gives every input the same embedding.
    """
    pixels_NHW3 = _pictures(encoder.preprocessing.height, encoder.preprocessing.width)
    text_ND, image_ND = encoder.encode_texts(TEXTS), encoder.encode_images(pixels_NHW3)
    _check_spread(bundle, text_ND, image_ND)
    golden = Golden(
        texts=TEXTS,
        images=tuple(_to_png(picture) for picture in pixels_NHW3),
        text_embeddings=_rows(text_ND),
        image_embeddings=_rows(image_ND),
    )
    write_json(bundle.path(GOLDEN), golden.model_dump(mode="json"))


def verify_golden(bundle: Bundle, encoder: Encoder, tolerance: float = TOLERANCE) -> float:
    """Encode the golden inputs again; returns the largest cosine distance to the stored embeddings.

    Raises:
        UserError: golden.json is missing or unreadable, an embedding is further than `tolerance` from the stored
            one, or all embeddings are alike.
    """
    golden = _read(bundle)
    pixels_NHW3 = _from_png(bundle, golden.images)
    text_ND, image_ND = encoder.encode_texts(golden.texts), encoder.encode_images(pixels_NHW3)
    text_distance = _largest_distance(bundle, "text", text_ND, golden.text_embeddings)
    image_distance = _largest_distance(bundle, "image", image_ND, golden.image_embeddings)
    distance = float(np.max([text_distance, image_distance]))  # unlike max(), keeps NaN, which must fail
    if not distance <= tolerance:
        raise UserError(
            f"{bundle}: the model does not reproduce its golden embeddings: cosine distance {distance:.2g}, "
            f"expected at most {tolerance:g}"
        )
    _check_spread(bundle, text_ND, image_ND)
    return distance


def _read(bundle: Bundle) -> Golden:
    path = bundle.path(GOLDEN)
    if not path.is_file():
        raise UserError(f"{path}: missing; a bundle must carry golden embeddings")
    try:
        return Golden.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, Golden)}") from error


def _largest_distance(
    bundle: Bundle, kind: str, found_ND: NDArray[np.float32], stored: tuple[tuple[float, ...], ...]
) -> float:
    try:
        stored_ND = np.asarray(stored, dtype=np.float32)
    except ValueError as error:
        raise UserError(f"{bundle.path(GOLDEN)}: golden {kind} embeddings have rows of different length") from error
    if found_ND.shape != stored_ND.shape:
        raise UserError(
            f"{bundle}: golden {kind} embeddings have shape {stored_ND.shape}, the model gives {found_ND.shape}"
        )
    return float((1.0 - (found_ND * stored_ND).sum(axis=1)).max())


def _check_spread(bundle: Bundle, text_ND: NDArray[np.float32], image_ND: NDArray[np.float32]) -> None:
    """Different inputs must differ: a collapsed model answers every query alike."""
    for kind, vectors_ND in (("text", text_ND), ("image", image_ND)):
        spread = float((1.0 - vectors_ND @ vectors_ND.T).max())
        if not spread > MINIMAL_SPREAD:
            raise UserError(f"{bundle}: the model gives {len(vectors_ND)} different {kind}s the same embedding")


def _pictures(height: int, width: int) -> NDArray[np.uint8]:
    """Coarse mosaics of colour, the same on every machine: uint8 [N, H, W, 3]."""
    tiles = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 8, 4, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 4 // width
    return np.ascontiguousarray(tiles[:, rows][:, :, columns])


def _to_png(pixels_HW3: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels_HW3).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _from_png(bundle: Bundle, pictures: tuple[str, ...]) -> NDArray[np.uint8]:
    try:
        return np.stack([np.asarray(open_image(base64.b64decode(picture, validate=True))) for picture in pictures])
    except (ValueError, ImageRejected) as error:
        raise UserError(f"{bundle.path(GOLDEN)}: a golden picture cannot be read: {error}") from error


def _rows(vectors_ND: NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), 7) for value in row) for row in vectors_ND)
