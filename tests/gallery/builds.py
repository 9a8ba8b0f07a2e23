"""Index builds with a model of hashes, for tests."""

import io
from collections.abc import Callable

from PIL import Image

from personsearch.gallery.indexing import Build, IndexConfig, IndexReport, build_index
from personsearch.gallery.store import Gallery
from personsearch.gallery.verification import VerifyConfig
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore
from personsearch.search.quantised import VectorStorage
from tests.crops import numbered_crop
from tests.hash_encoder import HashEncoder

PROBES = ("a man in red", "a woman in blue", "green")


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 4), (number % 256, number // 256 * 40, 90)).save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


def crop(number: int) -> Crop:
    return numbered_crop(number, bbox=BoundingBox(0, 0, 2, 4), quality=0.5)


def add(gallery: Gallery, start: int, stop: int) -> None:
    gallery.add((crop(number), jpeg(number)) for number in range(start, stop))


def new_build(
    store: CollectionStore,
    gallery: Gallery,
    encoder: HashEncoder | None = None,
    *,
    version: str = "1",
    shard_crops: int = 100_000,
) -> Build:
    """A build to run step by step."""
    config = IndexConfig(verify=VerifyConfig(probe_texts=PROBES), batch_size=7, shard_crops=shard_crops)
    properties = CollectionProperties("personsearch", version, f"print{version}", "data", 8, config.coding)
    return Build(config, gallery, encoder or HashEncoder(version), store, properties)


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
    properties = CollectionProperties("personsearch", version, f"print{version}", "data", 8, config.coding)
    return build_index(Build(config, gallery, encoder, store, properties, confirm=confirm))


def ids(store: CollectionStore, name: str = LIVE_ALIAS) -> list[str]:
    return list(store.open(name).crop_ids())


def gallery_ids(gallery: Gallery) -> list[str]:
    return [crop.crop_id for crop in gallery.crops()]
