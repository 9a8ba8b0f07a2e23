"""Is a generated pair right? The image must fit its new caption better than its old one.

The colours of the changed pixels are always checked; an encoder judges as well if one is configured.

Shapes: N pairs, H height, W width, D embedding dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from personsearch.augmentation.pdg.colours import Floats, agreement, cloth_named, distance, to_oklab
from personsearch.augmentation.pdg.generator import Change, Pixels
from personsearch.augmentation.pdg.region import brightening, weights_of, where_worn
from personsearch.encoders.encoder import Encoder
from personsearch.images import resize

LEAST_DIFFERENCE = 0.05  # OKLab distance from which a pixel counts as changed
LEAST_IN_PLACE = 0.5
LEAST_NAMING = 0.2  # agreement of the changed pixels with the new word
SMOOTHING = 1.5  # standard deviation in pixels: JPEG noise alone must not count as a change


@dataclass(frozen=True, slots=True)
class Judge:
    """An encoder that must agree with each pair; `fingerprint` identifies its weights."""

    encoder: Encoder
    fingerprint: str

    def agrees(self, images: Sequence[Pixels], old: Sequence[str], new: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each image scores higher with its new caption than with its old one, bool [N]."""
        size = self.encoder.preprocessing
        pictures = [Image.fromarray(image) for image in images]
        pixels_NHW3 = np.stack([resize(each, size.height, size.width, size.interpolation) for each in pictures])
        image_ND = self.encoder.encode_images(pixels_NHW3)
        difference_ND = self.encoder.encode_texts(new) - self.encoder.encode_texts(old)
        return np.asarray((image_ND * difference_ND).sum(axis=1) > 0)


def colour_doubt(before: Pixels, after: Pixels, change: Change) -> str | None:
    """Why the change cannot be confirmed in the picture; None if it can.

    The changed pixels must be enough, lie where the garment is worn, and have the old colour before and the new one
    after.
    """
    lab, lab_after = (to_oklab(cv2.GaussianBlur(image, (0, 0), SMOOTHING)) for image in (before, after))
    changed = distance(lab, lab_after) > LEAST_DIFFERENCE
    place = where_worn(change.part, change.garment)
    if changed.mean() < place.least_area / 2:
        return "nothing-changed"
    if weights_of(place, *changed.shape)[changed].mean() < LEAST_IN_PLACE:
        return "changed-elsewhere"
    light, new = brightening(lab), cloth_named(change.new_colour)
    was_old, was_new = (_naming(lab[changed] * light, names) for names in (change.cloth, new))
    is_old, is_new = (_naming(lab_after[changed] * light, names) for names in (change.cloth, new))
    return None if was_old > was_new and is_new > max(is_old, LEAST_NAMING) else "colour-unconfirmed"


def _naming(lab_P3: Floats, names: Sequence[str]) -> float:
    """The mean probability that the pixels have one of the names."""
    return float(agreement(lab_P3, names).mean())
