"""The torch encoder in both precisions."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.models.torch_encoder import TorchEncoder


def test_bf16_is_near_fp32_and_unit_float32(tiny_bundle: Path) -> None:
    full, reduced = (TorchEncoder.from_bundle(tiny_bundle, "cpu", precision) for precision in ("fp32", "bf16"))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 16, 3), dtype=np.uint8)
    texts = ["a person in a red coat", "blue", ""]
    for found, expected in (
        (reduced.encode_images(pixels), full.encode_images(pixels)),
        (reduced.encode_texts(texts), full.encode_texts(texts)),
    ):
        assert found.dtype == np.float32
        assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
        assert 0 < np.abs(found - expected).max() < 2e-2
