"""A bundle must reproduce its own embeddings, and they must differ from each other."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from personsearch.bundle import GOLDEN, Bundle, BundleSpec, Lineage, Preprocessing
from personsearch.encoders.golden import TEXTS, verify_golden, write_golden
from personsearch.errors import UserError


class LinearEncoder:
    """A real, tiny encoder: random projections of pixels and of letter counts, `noise` off the true weights."""

    preprocessing = Preprocessing(height=16, width=8, mean=(0, 0, 0), std=(1, 1, 1))
    embedding_dim = 6

    def __init__(self, noise: float = 0.0) -> None:
        numbers = np.random.default_rng(3)
        self.image_weights, self.text_weights = numbers.normal(size=(384, 6)), numbers.normal(size=(128, 6))
        self.image_weights += noise * numbers.normal(size=(384, 6))

    def encode_images(self, pixels_NHW3: np.ndarray) -> np.ndarray:
        return unit(pixels_NHW3.reshape(len(pixels_NHW3), -1) / 255 @ self.image_weights)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return unit(np.stack([np.bincount(list(text.encode()), minlength=128) for text in texts]) @ self.text_weights)


class CollapsedEncoder(LinearEncoder):
    """The failure that gives no error elsewhere: everything has the same embedding."""

    def encode_images(self, pixels_NHW3: np.ndarray) -> np.ndarray:
        return unit(np.ones((len(pixels_NHW3), 6)))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    lineage = Lineage(dataset_hash="none", git_commit="")
    preprocessing = LinearEncoder.preprocessing
    return Bundle(
        tmp_path,
        BundleSpec(
            method="linear",
            architecture={},
            preprocessing=preprocessing,
            context_length=20,
            embedding_dim=6,
            lineage=lineage,
        ),
    )


def test_the_same_model_passes_and_writes_the_same_bytes(bundle: Bundle) -> None:
    write_golden(bundle, LinearEncoder())
    first = bundle.path(GOLDEN).read_bytes()
    write_golden(bundle, LinearEncoder())
    assert bundle.path(GOLDEN).read_bytes() == first
    assert verify_golden(bundle, LinearEncoder()) < 1e-6
    assert json.loads(first)["texts"] == list(TEXTS)


def test_another_model_is_refused_beyond_the_tolerance(bundle: Bundle) -> None:
    write_golden(bundle, LinearEncoder())
    with pytest.raises(UserError, match="does not reproduce its golden embeddings"):
        verify_golden(bundle, LinearEncoder(noise=0.3))
    assert verify_golden(bundle, LinearEncoder(noise=0.3), tolerance=2.0) > 1e-3


def test_a_collapsed_model_is_refused_when_written_and_when_verified(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="the same embedding"):
        write_golden(bundle, CollapsedEncoder())
    assert not bundle.path(GOLDEN).exists()
    write_golden(bundle, LinearEncoder())
    with pytest.raises(UserError, match="the same embedding"):
        verify_golden(bundle, CollapsedEncoder(), tolerance=2.0)


def test_a_model_that_gives_nan_is_refused(bundle: Bundle) -> None:
    write_golden(bundle, LinearEncoder())
    with pytest.raises(UserError, match="cosine distance nan"):
        verify_golden(bundle, LinearEncoder(noise=np.nan))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": ["bm90IGFuIGltYWdl"] * 4}, "golden picture cannot be read"),
        ({"images": ["***"] * 4}, "golden picture cannot be read"),
        ({"text_embeddings": [[1.0]]}, "have shape"),
        ({"text_embeddings": [[1.0], [1.0, 2.0]]}, "different length"),
        ({"images": []}, "golden picture cannot be read"),
        ({"texts": 3}, "texts"),
    ],
)
def test_a_damaged_file_is_named(bundle: Bundle, change: dict, message: str) -> None:
    write_golden(bundle, LinearEncoder())
    golden = json.loads(bundle.path(GOLDEN).read_text())
    bundle.path(GOLDEN).write_text(json.dumps(golden | change))
    with pytest.raises(UserError, match=message):
        verify_golden(bundle, LinearEncoder())


def test_a_missing_file_is_named(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="must carry golden"):
        verify_golden(bundle, LinearEncoder())
