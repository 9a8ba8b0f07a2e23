"""Crops that somebody else's detector found: checked, and stored once however often they are sent.

The same id with the same content is there already. With another content it is refused, and so is the id of an erased
crop, for good.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from personsearch.errors import UserError
from personsearch.gallery.store import JPEG_START, Gallery, image_uri
from personsearch.images import ImageRejected, open_image
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.filters import CropFilter

MAX_IMAGE_BYTES = 1_048_576
MAX_IMAGE_PIXELS = 4_000_000
LONGEST_LEAD = timedelta(days=1)

Outcome = Literal["stored", "there already", "other content", "erased", "refused"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A crop as it was sent, with its picture as base64; without a `bbox` the picture itself is the whole frame."""

    crop: Crop
    image: str
    bbox: BoundingBox | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a crop; `detail` says why where it was not stored."""

    crop_id: str
    outcome: Outcome
    detail: str = ""


Judged = tuple[Crop, bytes]


def receive(
    gallery: Gallery, arrivals: Sequence[Arrival], *, record: Callable[[Sequence[Receipt]], None]
) -> list[Receipt]:
    """Store what is new and sound of a batch, and say of each crop what became of it.

    `record` is called with all of that before anything is stored; if it raises, nothing is.

    Raises:
        UserError: the gallery cannot be reached.
    """
    known = _Known(gallery, [arrival.crop.crop_id for arrival in arrivals])
    receipts = [_judge(arrival, known) for arrival in arrivals]
    record(receipts)
    new = list(known.new.values())
    if gallery.add(new) < len(new):  # somebody else sent or erased one of them in the meantime
        known = _Known(gallery, [crop.crop_id for crop, _ in new])
        receipts = [
            known.judge(*judged) if receipt.outcome == "stored" and (judged := _sound(arrival)) else receipt
            for arrival, receipt in zip(arrivals, receipts, strict=True)
        ]
    return receipts


class _Known:
    """What the gallery holds of some ids, and what a batch adds to it."""

    def __init__(self, gallery: Gallery, crop_ids: Sequence[str]) -> None:
        self._gallery = gallery
        self._held = {crop.crop_id: crop for crop in gallery.crops(CropFilter(crop_ids=tuple(crop_ids)))}
        self._erased = set(gallery.erased_among(crop_ids))
        self.new: dict[str, Judged] = {}

    def judge(self, crop: Crop, jpeg: bytes) -> Receipt:
        if crop.crop_id in self._erased:
            return Receipt(crop.crop_id, "erased", "this crop was erased; its id is never accepted again")
        if (held := self._content(crop.crop_id)) is None:
            self.new[crop.crop_id] = crop, jpeg
            return Receipt(crop.crop_id, "stored")
        differing = _differences(held, (crop, jpeg))
        if differing:
            detail = f"the gallery holds another crop of this id ({', '.join(differing)} differ)"
            return Receipt(crop.crop_id, "other content", detail)
        return Receipt(crop.crop_id, "there already")

    def _content(self, crop_id: str) -> Judged | None:
        if crop_id in self.new:
            return self.new[crop_id]
        crop = self._held.get(crop_id)
        if crop is None:
            return None
        try:
            return crop, self._gallery.picture(crop)
        except ImageRejected:
            return crop, b""


def _judge(arrival: Arrival, known: _Known) -> Receipt:
    try:
        sound = _sound(arrival)
    except UserError as error:
        return Receipt(arrival.crop.crop_id, "refused", str(error))
    return known.judge(*sound)


def _sound(arrival: Arrival) -> Judged:
    """The crop and its JPEG.

    Raises:
        UserError: the picture is none that can be taken, the camera's name is no name, or the time lies ahead.
    """
    crop = arrival.crop
    ahead = crop.captured_at - datetime.now(UTC)
    if ahead > LONGEST_LEAD:
        raise UserError(f"captured_at lies {ahead.days} days ahead; is the camera's clock right?")
    jpeg = _decoded(arrival.image)
    image_uri(crop, jpeg)
    width, height = _checked_size(jpeg)
    at = crop.captured_at.astimezone(UTC)
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)  # as it is stored
    return replace(crop, captured_at=at, bbox=arrival.bbox or BoundingBox(0, 0, width, height)), jpeg


def _decoded(image: str) -> bytes:
    try:
        jpeg = base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError("image: not base64") from error
    if len(jpeg) > MAX_IMAGE_BYTES:
        raise UserError(f"image: {len(jpeg):,} bytes; at most {MAX_IMAGE_BYTES:,} expected")
    if not jpeg.startswith(JPEG_START):
        raise UserError("image: not a JPEG picture")
    return jpeg


def _checked_size(jpeg: bytes) -> tuple[int, int]:
    try:
        return open_image(jpeg, max_pixels=MAX_IMAGE_PIXELS).size
    except ImageRejected as error:
        raise UserError(f"image: {error}") from error


def _differences(held: Judged, sent: Judged) -> list[str]:
    names = ("camera_id", "captured_at", "track_id", "bbox", "frame_uri", "quality")
    differing = [name for name in names if getattr(held[0], name) != getattr(sent[0], name)]
    return differing + ["image"] * (held[1] not in (b"", sent[1]))
