"""The real source: a Milvus database and a cached bundle in the place where the registry puts it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from personsearch.bundle import Bundle
from personsearch.encoders.onnx import OnnxEncoder
from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.images import open_image, resize
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.filters import EVERYTHING
from personsearch.search.index import LIVE_ALIAS, CollectionProperties
from personsearch.search.query import Query
from serving.metrics import Metrics
from serving.settings import ServingSettings
from serving.source import PlatformSource
from tests.serving.colours import COLOURS, add_figures

RED_COAT = Query(("a red coat",))


@pytest.fixture
def installation(home: Path, onnx_bundle: Path) -> ServingSettings:
    return install(home, onnx_bundle)


def install(home: Path, onnx_bundle: Path) -> ServingSettings:
    """An installation with a gallery of figures, indexed by the bundle, which is live."""
    settings = ServingSettings(home=home, milvus_uri=str(home / "milvus.db"), encoder_threads=1)
    identity = Bundle.open(onnx_bundle).fingerprint
    shutil.copytree(onnx_bundle, home / "models" / "personsearch" / f"v1-{identity}")
    encoder = OnnxEncoder(Bundle.open(onnx_bundle), threads=1)
    store = MilvusStore(settings.milvus_address)
    properties = CollectionProperties("personsearch", "1", identity, "data", encoder.embedding_dim)
    index = store.create("persons_v1_1", properties)
    _fill(index, add_figures(settings.gallery_folder, COLOURS), encoder)
    store.switch_alias(LIVE_ALIAS, "persons_v1_1")
    return settings


def _fill(index, gallery: Gallery, encoder: OnnxEncoder) -> None:
    crops = list(gallery.crops())
    size = (encoder.preprocessing.height, encoder.preprocessing.width)
    pixels = np.stack([resize(open_image(gallery.picture(crop)), *size) for crop in crops])
    index.upsert(crops, encoder.encode_images(pixels))


def test_the_collection_is_opened_with_the_model_it_names(installation: ServingSettings) -> None:
    source = PlatformSource(installation, gallery_in(installation.gallery_folder), Metrics())
    assert source.target() == "persons_v1_1"
    live = source.load()
    assert (live.collection, live.properties.model_version) == ("persons_v1_1", "1")
    plain = live.search_for(RED_COAT, k=5, crop_filter=EVERYTHING, group_by_track=False)
    assert live.refresh() == len(COLOURS) * 3
    mirrored = live.search_for(RED_COAT, k=5, crop_filter=EVERYTHING, group_by_track=False)
    scores = [[candidate.score for candidate in answer.candidates] for answer in (plain, mirrored)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert len(scores[0]) == 5


def test_a_model_is_loaded_once_for_all_its_collections(installation: ServingSettings) -> None:
    """An erasure gives a collection of Milvus Lite another name, now and then each second."""
    metrics = Metrics()
    source = PlatformSource(installation, gallery_in(installation.gallery_folder), metrics)

    def encoded() -> float | None:
        source.load().search_for(RED_COAT, k=5, crop_filter=EVERYTHING, group_by_track=False)
        return metrics.registry.get_sample_value("personsearch_encode_seconds_count")

    first = encoded()
    assert first == encoded() != 0


def test_a_bundle_that_is_not_the_one_is_refused(installation: ServingSettings) -> None:
    folder = next((installation.home / "models" / "personsearch").iterdir())
    (folder / "text_encoder.onnx").write_bytes(b"something else")
    with pytest.raises(UserError):
        PlatformSource(installation, gallery_in(installation.gallery_folder), Metrics()).load()


def test_a_store_out_of_reach_is_a_readable_line(home: Path) -> None:
    settings = ServingSettings(home=home, milvus_uri="http://127.0.0.1:9")
    with pytest.raises(UserError, match="Milvus cannot be reached"):
        PlatformSource(settings, gallery_in(settings.gallery_folder), Metrics()).target()
