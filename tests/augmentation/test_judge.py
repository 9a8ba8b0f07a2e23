"""The encoder that generated pairs must convince, as a bundle."""

from pathlib import Path

import numpy as np

from personsearch.augmentation.augment import AugmentConfig, judge_of
from personsearch.augmentation.pdg.config import ProximityConfig
from personsearch.bundle import Bundle
from personsearch.images import resize


def test_a_bundle_judges_by_its_own_scores(tiny_bundle: Path) -> None:
    from PIL import Image

    judge = judge_of(AugmentConfig(proximity=ProximityConfig(judge=tiny_bundle)))
    assert judge is not None
    assert judge.fingerprint == Bundle.open(tiny_bundle).fingerprint
    images = [np.random.default_rng(seed).integers(0, 255, (40, 20, 3)).astype(np.uint8) for seed in range(8)]
    old, new = ["a person in a red coat"] * 8, ["a person in a blue coat"] * 8
    verdicts = judge.agrees(images, old, new)
    pixels = np.stack([resize(Image.fromarray(image), 32, 16) for image in images])
    encoder = judge.encoder
    scores = encoder.encode_images(pixels) @ encoder.encode_texts([new[0], old[0]]).T
    np.testing.assert_array_equal(verdicts, scores[:, 0] > scores[:, 1])
    np.testing.assert_array_equal(judge.agrees(images, new, old), ~verdicts)


def test_without_a_bundle_nobody_judges() -> None:
    assert judge_of(AugmentConfig()) is None
    assert judge_of(AugmentConfig(proximity=ProximityConfig())) is None
