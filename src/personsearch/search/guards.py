"""Input checks shared by all indexes, so that engines agree: Milvus Lite would silently store most of it.

Shapes: N crops, D embedding dimension.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personsearch.search.crop import Crop

MAX_K = 16384
UNIT_TOLERANCE = 1e-3
MAX_BYTES = {"crop_id": 512, "camera_id": 512, "track_id": 512, "image_uri": 4096, "frame_uri": 4096}
TIMES = ("captured_at", "ingested_at")


def check_vectors(vectors_ND: NDArray[np.float32], count: int, embedding_dim: int) -> None:
    """Refuse what an engine would silently store or compare wrongly.

    Raises:
        ValueError: the shape is not [count, embedding_dim], a value is not finite, or a length is not 1.
    """
    if vectors_ND.shape != (count, embedding_dim):
        raise ValueError(f"vectors of shape {list(vectors_ND.shape)}; [{count}, {embedding_dim}] expected")
    if not np.isfinite(vectors_ND).all():
        raise ValueError("vectors hold NaN or infinity; finite values expected")
    lengths_N = np.linalg.norm(vectors_ND, axis=1)
    if (np.abs(lengths_N - 1) > UNIT_TOLERANCE).any():
        worst = float(lengths_N[np.abs(lengths_N - 1).argmax()])
        raise ValueError(f"a vector of length {worst:.4g}; unit length expected")


def check_k(k: int) -> None:
    """Raise ValueError if some engine cannot return `k` results."""
    if not 1 <= k <= MAX_K:
        raise ValueError(f"k={k}; 1 to {MAX_K} expected")


def latest_of_each(crops: Sequence[Crop], vectors_ND: NDArray[np.float32]) -> tuple[list[Crop], NDArray[np.float32]]:
    """Keep the last of the crops that share a `crop_id`: engines differ on duplicate keys in one call."""
    rows = sorted({crop.crop_id: row for row, crop in enumerate(crops)}.values())
    return [crops[row] for row in rows], vectors_ND[rows]


def check_crop(crop: Crop) -> None:
    """Refuse metadata that an engine would truncate, round or fail on.

    Raises:
        ValueError: an empty or over-long string, a time without zone or finer than a millisecond.
    """
    for name, max_bytes in MAX_BYTES.items():
        length = len(getattr(crop, name).encode())
        if length > max_bytes:
            raise ValueError(f"crop {crop.crop_id[:80]!r}: {name} of {length} bytes; at most {max_bytes} expected")
    if not crop.crop_id:
        raise ValueError("a crop without crop_id")
    for name in TIMES:
        moment = getattr(crop, name)
        if moment.tzinfo is None or moment.microsecond % 1000:
            raise ValueError(f"crop {crop.crop_id!r}: {name}={moment}; a time with zone in whole milliseconds expected")
