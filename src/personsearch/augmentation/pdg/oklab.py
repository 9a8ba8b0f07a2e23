"""Björn Ottosson's OKLab: equal distances look about equally far, and a scaled colour is the same cloth in other light.

The second property follows from the cube root: (L, a, b)·s is the linear RGB times s³.

Shapes: ... any leading dimensions; the last holds L, a, b or R, G, B.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Real numbers in single precision."""

LMS_OF_RGB = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
LAB_OF_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
RGB_OF_LMS, LMS_OF_LAB = np.linalg.inv(LMS_OF_RGB), np.linalg.inv(LAB_OF_LMS)
BYTES = np.arange(256, dtype=np.float32) / 255
LINEAR_OF_BYTE = np.where(BYTES <= 0.04045, BYTES / 12.92, ((BYTES + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_oklab(rgb: NDArray[np.uint8]) -> Floats:
    """OKLab of sRGB bytes [..., 3]: L in 0..1, a and b within about ±0.35."""
    lms = LINEAR_OF_BYTE[rgb] @ LMS_OF_RGB.T
    return np.asarray(np.cbrt(lms) @ LAB_OF_LMS.T, np.float32)


def from_oklab(lab: Floats) -> NDArray[np.uint8]:
    """The nearest sRGB bytes [..., 3]; what no screen shows is cut off."""
    linear = np.clip((np.asarray(lab, np.float32) @ LMS_OF_LAB.T) ** 3 @ RGB_OF_LMS.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(srgb * 255), np.uint8)
