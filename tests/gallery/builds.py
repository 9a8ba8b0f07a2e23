"""Index builds with a model of hashes, for tests."""

import hashlib
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from personsearch.bundle import Preprocessing
from personsearch.gallery.indexing import IndexConfig, IndexReport, build_index
from personsearch.gallery.store import Gallery
from personsearch.gallery.verification import VerifyConfig
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.index import LIVE_ALIAS, CollectionStore
from personsearch.search.quantised import VectorStorage

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
PROBES = ("a man in red", "a woman in blue", "green")


class HashEncoder:
    """A unit vector drawn from the hash of each input: deterministic, spread out, different for each `model`."""

    preprocessing = Preprocessing(height=4, width=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    embedding_dim = 8

    def __init__(self, model: str = "1") -> None:
        self.model = model
        self.images_encoded = 0

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.images_encoded += len(pixels_NHW3)
        return self._vectors([pixels.tobytes() for pixels in pixels_NHW3])

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._vectors([text.encode() for text in texts])

    def _vectors(self, inputs: list[bytes]) -> NDArray[np.float32]:
        seeds = [hashlib.sha256(self.model.encode() + item).digest() for item in inputs]
        rows = [np.random.default_rng(np.frombuffer(seed, np.uint32)).normal(size=8) for seed in seeds]
        vectors_ND = np.array(rows).reshape(-1, 8)
        return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 4), (number % 256, number // 256 * 40, 90)).save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


def crop(number: int) -> Crop:
    return Crop(
        crop_id=f"crop{number:05d}",
        camera_id=f"camera{number % 3}",
        captured_at=START + timedelta(seconds=number),
        track_id=f"track{number // 4}",
        image_uri="",
        bbox=BoundingBox(0, 0, 2, 4),
        frame_uri="",
        quality=0.5,
        ingested_at=START,
    )


def add(gallery: Gallery, start: int, stop: int) -> None:
    gallery.add((crop(number), jpeg(number)) for number in range(start, stop))


def build(
    store: CollectionStore,
    gallery: Gallery,
    encoder: HashEncoder | None = None,
    *,
    version: str = "1",
    rebuild: bool = False,
    vectors: VectorStorage = "float32",
    oversampling: int = 10,
    confirm: Callable[[], None] = lambda: None,
    **bounds: float,
) -> IndexReport:
    encoder = encoder or HashEncoder(version)
    config = IndexConfig(
        verify=VerifyConfig.model_validate({"probe_texts": PROBES, **bounds}),
        batch_size=7,
        rebuild=rebuild,
        vectors=vectors,
        oversampling=oversampling,
    )
    return build_index(
        config,
        gallery,
        encoder,
        store,
        model_name="personsearch",
        model_version=version,
        fingerprint=f"print{version}",
        dataset_hash="data",
        confirm=confirm,
    )


def ids(store: CollectionStore, name: str = LIVE_ALIAS) -> list[str]:
    return list(store.open(name).crop_ids())


def gallery_ids(gallery: Gallery) -> list[str]:
    return [crop.crop_id for crop in gallery.crops()]
