"""From a file to pixels, the same pixels in training, indexing and serving. PIL and numpy only.

Shapes: H height, W width, N images; channels are RGB.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from personsearch.errors import UserError

MAX_PIXELS = 50_000_000


class ImageRejected(UserError):
    """An image that cannot or must not be decoded; the message is the reason."""


def open_image(source: Path | bytes) -> Image.Image:
    """Decode a whole image as upright RGB (EXIF rotation applied, alpha and CMYK converted).

    Raises:
        ImageRejected: missing, empty, not an image, truncated, or over MAX_PIXELS.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageRejected(f"{image.width}×{image.height} pixels; at most {MAX_PIXELS:,} are read")
                image.load()
                return ImageOps.exif_transpose(image).convert("RGB")
    except ImageRejected:
        raise
    except FileNotFoundError as error:
        raise ImageRejected("file is missing") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageRejected(f"too many pixels; at most {MAX_PIXELS:,} are read") from error
    except UnidentifiedImageError as error:
        raise ImageRejected("not an image") from error
    except Exception as error:  # PIL plug-ins raise OSError, SyntaxError, ValueError, struct.error … on bad bytes
        raise ImageRejected(f"cannot be decoded: {error}") from error


def resize(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """Squash to height×width by antialiased bicubic interpolation. Returns uint8 [H, W, 3]."""
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8)


def normalise(
    pixels_NHW3: NDArray[np.uint8], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Scale uint8 pixels to [0, 1], standardise per channel, put channels first: float32 [N, 3, H, W]."""
    scale = (1.0 / (255.0 * np.asarray(std))).astype(np.float32)
    shift = (np.asarray(mean) / np.asarray(std)).astype(np.float32)
    scaled = pixels_NHW3.astype(np.float32) * scale - shift
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
