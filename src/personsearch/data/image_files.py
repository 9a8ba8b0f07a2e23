"""Reads one image of a raw data set: checks that it decodes, and converts it to upright RGB if needed."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from personsearch.data.checks import Refused
from personsearch.errors import dangling_link
from personsearch.images import ImageRejected, open_image

SMALLEST_SIDE = 8
LARGEST_FILE_BYTES = 100_000_000
JPEG_QUALITY = 95
EXIF_ORIENTATION = 0x0112
SUFFIX_OF_FORMAT = {"JPEG": ".jpg", "PNG": ".png"}


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """`digest` is the SHA-256 of the original bytes; `content` is what to store, usually the same bytes."""

    digest: str
    content: bytes
    suffix: str
    height: int
    width: int


def read_image(path: Path, shown: str) -> CheckedImage:
    """Read and decode one image file; `shown` is its name in messages.

    Raises:
        Refused: missing, not a regular file, not decodable, or smaller than SMALLEST_SIDE.
    """
    return check_image(_read_bytes(path, shown), shown)


def check_image(content: bytes, shown: str) -> CheckedImage:
    """Decode one image; `shown` is its name in messages.

    Raises:
        Refused: not decodable, or smaller than SMALLEST_SIDE.
    """
    try:
        image = open_image(content)
    except ImageRejected as error:
        raise Refused("image-unreadable", f"{shown}: {error}") from error
    if min(image.size) < SMALLEST_SIDE:
        raise Refused(
            "image-too-small", f"{shown}: {image.width}×{image.height} pixels; at least {SMALLEST_SIDE} a side"
        )
    digest = hashlib.sha256(content).hexdigest()
    try:
        stored, suffix = _as_stored(content, image)
    except (OSError, ValueError) as error:
        raise Refused("image-unreadable", f"{shown}: cannot be stored upright: {error}") from error
    return CheckedImage(digest, stored, suffix, image.height, image.width)


def _read_bytes(path: Path, shown: str) -> bytes:
    try:
        if not path.exists():
            raise Refused("image-missing", f"{shown}: {dangling_link(path) or 'no such file'}")
        if not path.is_file():  # a folder, or a pipe that would never end
            raise Refused("image-unreadable", f"{shown}: not a regular file")
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise Refused("image-unreadable", f"{shown}: over {LARGEST_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise Refused("image-unreadable", f"{shown}: cannot be read: {error}") from error


def _as_stored(content: bytes, upright: Image.Image) -> tuple[bytes, str]:
    """The original bytes if every reader sees the same upright RGB in them, otherwise a new encoding."""
    with Image.open(io.BytesIO(content)) as original:
        format_name, mode = original.format or "", original.mode
        orientation = original.getexif().get(EXIF_ORIENTATION, 1)
    if format_name in SUFFIX_OF_FORMAT and mode in ("RGB", "L") and orientation == 1:
        return content, SUFFIX_OF_FORMAT[format_name]
    encoded = io.BytesIO()
    if format_name in ("JPEG", "MPO"):
        upright.save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return encoded.getvalue(), ".jpg"
    upright.save(encoded, "PNG")
    return encoded.getvalue(), ".png"
