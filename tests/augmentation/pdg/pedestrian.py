"""A drawn pedestrian of known colours, in soft light with grain."""

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
GRASS, SKIN, HAIR, SHOES = (120, 140, 110), (205, 160, 130), (60, 45, 35), (70, 60, 55)
RED, NAVY = (180, 40, 45), (35, 42, 80)
HEIGHT, WIDTH = 160, 80


def draw(upper: Colour = RED, lower: Colour = NAVY, *, seed: int = 0) -> NDArray[np.uint8]:
    """RGB [160, 80, 3]: head, jacket with sleeves, trousers, shoes; lit from the left."""
    picture = np.full((HEIGHT, WIDTH, 3), GRASS, np.float32)
    cv2.circle(picture, (40, 18), 9, HAIR, -1)
    cv2.circle(picture, (40, 20), 7, SKIN, -1)
    cv2.rectangle(picture, (30, 80), (50, 140), lower, -1)
    cv2.rectangle(picture, (29, 140), (51, 148), SHOES, -1)
    picture[upper_mask() == 1] = upper
    light = np.linspace(1.1, 0.8, 25)[None, :, None]
    picture[28:150, 28:53] *= light
    grain = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.7) + grain, 0, 255).astype(np.uint8)


def upper_mask() -> NDArray[np.uint8]:
    """1 where the jacket is."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.rectangle(mask, (28, 30), (52, 79), 1, -1)
    cv2.rectangle(mask, (24, 32), (27, 72), 1, -1)
    cv2.rectangle(mask, (53, 32), (56, 72), 1, -1)
    return mask
