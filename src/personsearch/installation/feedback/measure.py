"""How well a model ranks what people judged: confirmed candidates of a description above its rejected ones.

Only people of the test split count, whom no export gives to training. Shapes: N crops, T descriptions, D embedding
dimension.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.bundle import Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.errors import UserError
from personsearch.evaluation.gate import VERDICT_ABOVE, VERDICT_DESCRIPTIONS, VERDICT_R1, GateConfig, OnVerdicts
from personsearch.gallery.store import BATCH, Gallery
from personsearch.images import ImageRejected, open_image, resize
from personsearch.installation.audit.opening import open_audit
from personsearch.installation.feedback.verdicts import (
    JudgedCrop,
    VerdictLog,
    held_crops,
    judged_crops,
    read_judgements,
)
from personsearch.installation.platforms import open_existing_gallery, open_registry
from personsearch.installation.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JudgedPictures:
    """The pictures of test people, with what people said of each."""

    crops: list[JudgedCrop]
    pictures: list[bytes]

    def texts(self) -> list[str]:
        """The descriptions that have a confirmed and a rejected candidate."""
        confirmed = {text for each in self.crops for text in each.captions}
        rejected = {text for each in self.crops for text in each.rejected_for}
        return sorted(confirmed & rejected)


def judged_pictures(log: VerdictLog, gallery: Gallery) -> JudgedPictures:
    """The test people of an installation; a picture that cannot be read is left out.

    Raises:
        UserError: the log or the gallery cannot be read.
    """
    judgements, _ = read_judgements(log)
    crops, _ = judged_crops(judgements, held_crops(gallery, judgements))
    test = [each for each in crops if each.split == "test"]
    read = zip(test, gallery.read_pictures([each.crop for each in test]), strict=True)
    held = [(each, picture) for each, picture in read if not isinstance(picture, ImageRejected) and _opens(picture)]
    return JudgedPictures([each for each, _ in held], [picture for _, picture in held])


def measure_on_verdicts(encoder: Encoder, judged: JudgedPictures) -> dict[str, float]:
    """For the mean description, in percent: pairs of a confirmed and a rejected candidate of which the confirmed one
    scores higher, and whether the best judged candidate is a confirmed one; and the number of descriptions.
    """
    texts = judged.texts()
    if not texts:
        return {VERDICT_ABOVE: 0.0, VERDICT_R1: 0.0, VERDICT_DESCRIPTIONS: 0}
    similarity_TN = encoder.encode_texts(texts) @ _encode(encoder, judged.pictures).T
    above, first = [], []
    for text, similarity_N in zip(texts, similarity_TN, strict=True):
        right_N = np.array([text in each.captions for each in judged.crops])
        wrong_N = np.array([text in each.rejected_for for each in judged.crops])
        right, wrong = similarity_N[right_N], similarity_N[wrong_N]
        above.append((right[:, None] > wrong[None, :]).mean())
        first.append(right.max() > wrong.max())
    return {
        VERDICT_ABOVE: 100 * float(np.mean(above)),
        VERDICT_R1: 100 * float(np.mean(first)),
        VERDICT_DESCRIPTIONS: len(texts),
    }


def on_verdicts(config: GateConfig, bundle: Path, model_name: str) -> OnVerdicts | None:
    """A bundle and the champion on the verdicts of this installation; None where the gate does not look, or where there
    are no verdicts. A champion that cannot be loaded is none.

    Raises:
        UserError: the database, the pictures or the bundle cannot be read.
    """
    settings = Settings(model_name=model_name)
    gallery = None if config.max_verdict_regression is None else open_existing_gallery(settings)
    if gallery is None:
        return None
    judged = judged_pictures(open_audit(settings), gallery)
    if not judged.crops:
        return None
    challenger = measure_on_verdicts(load_graph_encoder(Bundle.open(bundle)), judged)
    return OnVerdicts(challenger, _champion_figures(settings, judged))


def _champion_figures(settings: Settings, judged: JudgedPictures) -> dict[str, float] | None:
    registry = open_registry(settings)
    version = registry.champion()
    if version is None:
        return None
    try:
        bundle = registry.fetch(version, registry.version(version).fingerprint)
        return measure_on_verdicts(load_graph_encoder(bundle), judged)
    except UserError as error:
        logger.warning("the champion, version %s, cannot be measured on verdicts: %s", version, error)
        return None


def _opens(picture: bytes) -> bool:
    try:
        open_image(picture)
    except ImageRejected:
        return False
    return True


def _encode(encoder: Encoder, pictures: Sequence[bytes]) -> NDArray[np.float32]:
    size = encoder.preprocessing
    parts = []
    for start in range(0, len(pictures), BATCH):
        images = (open_image(picture) for picture in pictures[start : start + BATCH])
        pixels_NHW3 = np.stack([resize(image, size.height, size.width, size.interpolation) for image in images])
        parts.append(encoder.encode_images(pixels_NHW3))
    return np.concatenate(parts)
