"""Decodes image files to pixels, identically in training, indexing and serving. Needs PIL and numpy only.

Shapes: H height, W width, N images; channels are RGB.
"""

import io
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from personsearch.errors import UserError

Interpolation = Literal["bicubic", "bilinear"]
DEFAULT_INTERPOLATION: Interpolation = "bicubic"
RESAMPLING: dict[Interpolation, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
MAX_PIXELS = 50_000_000
DEPTHS = (8, 10, 12, 14, 16)
"""Bits in which a sensor counts."""
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "GIF",
    "TIFF",
)  # others are attack surface (EPS starts an interpreter)
SENT_FORMATS = ("JPEG", "PNG", "WEBP")
"""Formats of a picture that somebody searches for."""


class ImageRejected(UserError):
    """An image that cannot or must not be decoded; the message is the reason."""


def open_image(
    source: Path | bytes, *, max_pixels: int = MAX_PIXELS, formats: tuple[str, ...] = FORMATS
) -> Image.Image:
    """Decode a whole image as upright RGB (EXIF rotation applied, alpha and CMYK converted).

    Raises:
        ImageRejected: missing, empty, not an image in one of `formats`, truncated, or over `max_pixels`.
    """
    try:
        if isinstance(source, Path) and source.exists() and not source.is_file():
            raise ImageRejected("not a regular file")  # reading a pipe might never end
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file, formats=formats) as image:
            if image.width * image.height > max_pixels:
                raise ImageRejected(f"{image.width}×{image.height} pixels; at most {max_pixels:,} are read")
            deep_colour = image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in image.tile)
            image.load()
            upright = _as_rgb(ImageOps.exif_transpose(image))
            if deep_colour and np.asarray(upright).max() < 1 << (12 - 8):
                raise ImageRejected("16 bits per channel of which the upper 4 are empty; scale them to the full range")
            return upright
    except ImageRejected:
        raise
    except FileNotFoundError as error:
        raise ImageRejected("file is missing") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageRejected(f"too many pixels; at most {max_pixels:,} are read") from error
    except UnidentifiedImageError as error:
        raise ImageRejected(f"not an image in one of the formats {', '.join(formats)}") from error
    except Exception as error:  # PIL plug-ins raise OSError, SyntaxError, ValueError, struct.error … on bad bytes
        raise ImageRejected(f"cannot be decoded: {error}") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    """Eight bits per channel; PIL would clip sixteen to white instead of scaling them."""
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image)
        # Sensors of 10, 12 or 14 bits are stored in sixteen without being scaled, and the file does not say so.
        depth = next(depth for depth in DEPTHS if not (pixels >> depth).any())
        return Image.fromarray((pixels >> (depth - 8)).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ImageRejected(f"pixels of mode {image.mode}; 8 or 16 bits per channel are read")
    return image.convert("RGB")


def resize(
    image: Image.Image, height: int, width: int, interpolation: Interpolation = DEFAULT_INTERPOLATION
) -> NDArray[np.uint8]:
    """Squash to height×width, antialiased. Returns uint8 [H, W, 3]."""
    return np.asarray(image.resize((width, height), RESAMPLING[interpolation]), dtype=np.uint8)


def normalise(
    pixels_NHW3: NDArray[np.uint8], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Scale uint8 pixels to [0, 1], standardise per channel, put channels first: float32 [N, 3, H, W]."""
    scale = (1.0 / (255.0 * np.asarray(std))).astype(np.float32)
    shift = (np.asarray(mean) / np.asarray(std)).astype(np.float32)
    scaled = pixels_NHW3.astype(np.float32) * scale - shift
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
