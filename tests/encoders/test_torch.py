"""The torch encoder gives each input its own vector, however many there are."""

from pathlib import Path

import numpy as np

from personsearch.bundle import Bundle
from personsearch.encoders.torch import BATCH, TorchEncoder


def test_batches_change_nothing(tiny_bundle: Path) -> None:
    encoder = TorchEncoder.from_bundle(Bundle.open(tiny_bundle), "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH + 2, 32, 16, 3), dtype=np.uint8)
    texts = ["a person in a red coat", *["blue"] * BATCH, "a green bag"]
    images, captions = encoder.encode_images(pixels), encoder.encode_texts(texts)
    assert images.shape == captions.shape == (BATCH + 2, encoder.embedding_dim)
    for row in (0, -1):
        np.testing.assert_allclose(images[row], encoder.encode_images(pixels[row][None])[0], atol=1e-5)
        np.testing.assert_allclose(captions[row], encoder.encode_texts([texts[row]])[0], atol=1e-5)


def test_nothing_gives_no_vectors(tiny_bundle: Path) -> None:
    encoder = TorchEncoder.from_bundle(Bundle.open(tiny_bundle), "cpu")
    assert encoder.encode_texts([]).shape == (0, encoder.embedding_dim)
    assert encoder.encode_images(np.empty((0, 32, 16, 3), dtype=np.uint8)).shape == (0, encoder.embedding_dim)
