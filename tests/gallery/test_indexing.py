"""Building an index: complete, verified, live at once, resumable, and never bringing back what was erased."""

import hashlib
import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from personsearch.bundle import Preprocessing
from personsearch.errors import UserError
from personsearch.gallery.centres import measure_centres
from personsearch.gallery.indexing import PREVIOUS_ALIAS, IndexConfig, IndexReport, build_index, rollback
from personsearch.gallery.store import Gallery
from personsearch.gallery.verification import VerificationFailed, VerifyConfig
from personsearch.integrations.milvus_index import MilvusStore
from personsearch.integrations.milvus_server import start_server
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex, ExactStore
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore, Hit
from personsearch.search.quantised import FLOAT32, Coding, VectorStorage

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


class CollapsedEncoder(HashEncoder):
    def _vectors(self, inputs: list[bytes]) -> NDArray[np.float32]:
        return np.eye(1, 8, dtype=np.float32).repeat(len(inputs), axis=0)


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


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    filled = Gallery(tmp_path / "gallery")
    add(filled, 0, 40)
    return filled


@pytest.fixture(params=["exact", "lite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CollectionStore:
    return ExactStore() if request.param == "exact" else MilvusStore(str(tmp_path / "milvus.db"))


def build(
    store: CollectionStore,
    gallery: Gallery,
    encoder: HashEncoder | None = None,
    *,
    version: str = "1",
    rebuild: bool = False,
    vectors: VectorStorage = "float32",
    oversampling: int = 10,
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
    )


def ids(store: CollectionStore, name: str = LIVE_ALIAS) -> list[str]:
    return list(store.open(name).crop_ids())


def gallery_ids(gallery: Gallery) -> list[str]:
    return [crop.crop_id for crop in gallery.crops()]


def test_the_whole_gallery_goes_live(store: CollectionStore, gallery: Gallery) -> None:
    report = build(store, gallery)
    assert (report.collection, report.previous, report.encoded) == ("persons_v1_1", None, 40)
    assert (report.findings.crops, report.findings.recall) == (40, 1.0)
    assert report.findings.spread > 0.5
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert store.properties(LIVE_ALIAS) == CollectionProperties("personsearch", "1", "print1", "data", 8)
    assert ids(store) == gallery_ids(gallery)
    stored = next(iter(gallery.crops()))
    pixels = np.asarray(Image.open(gallery.image(stored)))[None]
    assert store.open(LIVE_ALIAS).search(HashEncoder("1").encode_images(pixels), 1)[0][0].crop == stored


def test_a_new_model_keeps_the_previous_collection_and_drops_older_ones(
    store: CollectionStore, gallery: Gallery
) -> None:
    build(store, gallery)
    assert build(store, gallery, version="2").previous == "persons_v1_1"
    assert store.names() == ["persons_v1_1", "persons_v2_2"]
    build(store, gallery, version="3")
    assert store.names() == ["persons_v2_2", "persons_v3_3"]
    assert store.alias_target(PREVIOUS_ALIAS) == "persons_v2_2"


def test_indexing_again_costs_only_what_is_new(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)
    add(gallery, 40, 45)
    gallery.erase(CropFilter(crop_ids=("crop00003",)))
    report = build(store, gallery)
    assert (report.collection, report.encoded, report.removed) == ("persons_v1_1", 5, 1)
    assert ids(store) == gallery_ids(gallery)
    rebuilt = build(store, gallery, rebuild=True)
    assert (rebuilt.collection, rebuilt.encoded, rebuilt.previous) == ("persons_v1_2", 44, "persons_v1_1")


def test_rollback_and_forward(store: CollectionStore, gallery: Gallery) -> None:
    with pytest.raises(UserError, match="no previous"):
        rollback(store, gallery)
    build(store, gallery)
    build(store, gallery, version="2")
    gallery.erase(CropFilter(crop_ids=("crop00003", "crop00004")))
    assert rollback(store, gallery).model_version == "1"
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert ids(store) == gallery_ids(gallery)
    encoder = HashEncoder("2")
    assert build(store, gallery, encoder, version="2").encoded == 0
    assert store.properties(LIVE_ALIAS).model_version == "2"
    assert ids(store) == gallery_ids(gallery)


class ArrivingEncoder(HashEncoder):
    """While the first batch is encoded, crops arrive and others are erased."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__("1")
        self.gallery = gallery

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.images_encoded == 0:
            add(self.gallery, 100, 110)
            self.gallery.erase(CropFilter(crop_ids=("crop00001", "crop00030", "crop00105")))
        return super().encode_images(pixels_NHW3)


def test_what_happens_during_the_build_is_in_the_index(store: CollectionStore, gallery: Gallery) -> None:
    report = build(store, gallery, ArrivingEncoder(gallery))
    assert ids(store) == gallery_ids(gallery)
    assert report.findings.crops == 47
    assert not {"crop00001", "crop00030", "crop00105"} & set(ids(store))


class ErasingStore(ExactStore):
    """Between the verification and the switch, someone erases."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__()
        self.gallery = gallery

    def switch_alias(self, alias: str, name: str) -> None:
        self.gallery.erase(CropFilter(crop_ids=("crop00007",)))
        super().switch_alias(alias, name)


def test_an_erasure_during_the_switch_is_applied(gallery: Gallery) -> None:
    store = ErasingStore(gallery)
    build(store, gallery)
    assert ids(store) == gallery_ids(gallery)
    assert "crop00007" not in ids(store)


def test_a_collapsed_model_never_goes_live(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)
    with pytest.raises(VerificationFailed, match=r"persons_v2_2 may not be live: embeddings have collapsed"):
        build(store, gallery, CollapsedEncoder(), version="2")
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert store.names() == ["persons_v1_1"]


def test_vectors_of_another_model_are_found_out(store: CollectionStore, gallery: Gallery) -> None:
    """A half-built collection claims the same model, but its vectors are another's."""
    properties = CollectionProperties("personsearch", "1", "print1", "data", 8)
    crops = list(gallery.crops())
    store.create("persons_v1_1", properties).upsert(crops, HashEncoder("other").encode_texts(gallery_ids(gallery)))
    with pytest.raises(VerificationFailed, match="from what the model gives"):
        build(store, gallery)
    assert store.names() == []


class ForgetfulIndex(ExactIndex):
    """An approximate index that loses half of the ten that text queries should find."""

    def search(self, vectors_QD: NDArray[np.float32], k: int, crop_filter: CropFilter = EVERYTHING) -> list[list[Hit]]:
        found = super().search(vectors_QD, k, crop_filter)
        return [hits[5:10] if k > 1 else hits for hits in found]


class FlatteringIndex(ExactIndex):
    """Finds the five best and five far below, of which it says that they are like the best."""

    def search(self, vectors_QD: NDArray[np.float32], k: int, crop_filter: CropFilter = EVERYTHING) -> list[list[Hit]]:
        found = super().search(vectors_QD, max(k, 40), crop_filter)
        if k == 1:
            return [hits[:1] for hits in found]
        return [hits[:5] + [replace(hit, score=hits[0].score) for hit in hits[-5:]] for hits in found]


@pytest.mark.parametrize("kind", [ForgetfulIndex, FlatteringIndex])
def test_an_index_that_loses_text_queries_never_goes_live(gallery: Gallery, kind: type[ExactIndex]) -> None:
    """It is judged by exact scores, not by its own."""
    store = ExactStore()
    properties = CollectionProperties("personsearch", "1", "print1", "data", 8)
    store._collections["persons_v1_1"] = properties, kind(8)
    with pytest.raises(VerificationFailed, match=r"recall of text queries is 0\.500"):
        build(store, gallery)


@pytest.mark.parametrize("vectors", ["int8", "binary"])
def test_small_vectors_go_live_and_the_collection_says_so(
    store: CollectionStore, gallery: Gallery, vectors: VectorStorage
) -> None:
    """Another way of keeping vectors is another collection; the same way goes on with the one there is."""
    build(store, gallery)
    report = build(store, gallery, vectors=vectors)
    assert (report.collection, report.encoded, report.findings.recall) == ("persons_v1_2", 40, 1.0)
    assert 0 < report.findings.score_error < 0.01
    coding = store.properties(LIVE_ALIAS).coding
    assert coding == Coding(vectors, 10 if vectors == "binary" else 1)
    assert (coding.centres is not None) == (vectors == "binary")
    add(gallery, 40, 42)
    report = build(store, gallery, vectors=vectors, oversampling=10)
    assert (report.collection, report.encoded) == ("persons_v1_2", 2)
    assert store.properties(PREVIOUS_ALIAS).coding == FLOAT32


def test_settings_as_kubeflow_gives_them() -> None:
    """Numbers in its dictionaries are floats."""
    given = IndexConfig.model_validate({"vectors": "binary", "oversampling": 4.0})
    assert (given.vectors, given.oversampling) == ("binary", 4)
    for wrong in ({"vectors": "int4"}, {"oversampling": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=r"int4|greater than or equal to 1"):
            IndexConfig.model_validate(wrong)


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ({"num_samples": 0}, "greater than or equal to 1"),
        ({"recall_at": 0}, "greater than or equal to 1"),
        ({"recall_at": 20_000}, "less than or equal to 16384"),
        ({"min_recall": 95}, "less than or equal to 1"),
        ({"probe_texts": []}, "at least 1 item"),
    ],
)
def test_bounds_that_cannot_be_are_refused_before_anything_is_encoded(bound: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VerifyConfig.model_validate(bound)


def test_centres_are_the_means_of_crops_and_probes(gallery: Gallery) -> None:
    encoder = HashEncoder()
    centres = measure_centres(gallery, encoder, PROBES)
    pixels_NHW3 = np.array([Image.open(gallery.image(crop)) for crop in gallery.crops()])
    np.testing.assert_allclose(centres.crops_D, encoder.encode_images(pixels_NHW3).mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(centres.queries_D, encoder.encode_texts(PROBES).mean(axis=0), atol=1e-3)


def test_centres_are_of_crops_from_the_whole_gallery(gallery: Gallery) -> None:
    """64 of 100: the last ones count like the first."""
    add(gallery, 40, 100)
    encoder = HashEncoder()
    centres = measure_centres(gallery, encoder, PROBES)
    pixels_NHW3 = np.array([Image.open(gallery.image(crop)) for crop in gallery.crops()])
    assert encoder.images_encoded == 64
    sampled = [place * 100 // 64 for place in range(64)]
    assert sampled[-1] == 98
    np.testing.assert_allclose(centres.crops_D, encoder.encode_images(pixels_NHW3[sampled]).mean(axis=0), atol=1e-3)


def test_small_vectors_that_lose_text_queries_never_go_live(store: CollectionStore, gallery: Gallery) -> None:
    """Eight bits for 300 crops, and no candidate beyond the results asked for; Milvus Lite itself keeps floats, so
    it is the mirror that loses them.
    """
    add(gallery, 40, 300)
    build(store, gallery)
    with pytest.raises(VerificationFailed, match=r"recall of text queries is 0\.\d+ by binary vectors"):
        build(store, gallery, vectors="binary", oversampling=1)
    assert (store.names(), store.alias_target(LIVE_ALIAS)) == (["persons_v1_1"], "persons_v1_1")


def test_scores_that_are_no_cosines_never_go_live(store: CollectionStore, gallery: Gallery) -> None:
    with pytest.raises(VerificationFailed, match=r"a score is 0\.00\d+ from the cosine, at most 1e-05 wanted"):
        build(store, gallery, vectors="int8", max_score_error=1e-5)
    assert build(store, gallery, max_score_error=1e-5).findings.score_error < 1e-6


def test_unreadable_pictures_are_left_out_and_counted(store: CollectionStore, gallery: Gallery) -> None:
    crops = list(gallery.crops())
    gallery.image(crops[4]).write_bytes(b"\xff\xd8\xff truncated")
    gallery.image(crops[9]).unlink()
    report = build(store, gallery)
    assert (report.unreadable, report.findings.crops) == (2, 38)


def test_an_empty_gallery_is_the_users_mistake(store: CollectionStore, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="empty"):
        build(store, Gallery(tmp_path / "nothing"))
    assert store.names() == []


class OvertakenEncoder(HashEncoder):
    """While the first batch is encoded, somebody else changes what is live."""

    def __init__(self, model: str, change: Callable[[], object]) -> None:
        super().__init__(model)
        self.change = change

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.images_encoded == 0:
            self.change()
        return super().encode_images(pixels_NHW3)


def test_a_faster_build_on_another_machine_is_not_undone(
    store: CollectionStore, gallery: Gallery, tmp_path: Path
) -> None:
    """Another machine has the store in common with this one, but not the gallery's folder with its lock."""
    elsewhere = Gallery(Path(shutil.copytree(gallery.folder, tmp_path / "elsewhere")))
    encoder = OvertakenEncoder("1", lambda: build(store, elsewhere, version="2"))
    with pytest.raises(UserError, match=r"persons_v1_1 does not go live: another index build or a rollback was faster"):
        build(store, gallery, encoder)
    assert store.properties(LIVE_ALIAS).model_version == "2"
    assert ids(store) == gallery_ids(gallery)
    assert build(store, gallery, version="1").previous == store.alias_target(PREVIOUS_ALIAS)
    assert store.properties(LIVE_ALIAS).model_version == "1"


def test_a_rollback_during_a_build_stands(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)
    build(store, gallery, version="2")
    with pytest.raises(UserError, match="does not go live"):
        build(store, gallery, OvertakenEncoder("3", lambda: rollback(store, gallery)), version="3")
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert build(store, gallery, version="3").encoded == 0
    assert store.alias_target(LIVE_ALIAS) == "persons_v3_3"


KILLED_BUILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import time
from test_indexing import *

class Slow(HashEncoder):
    def encode_images(self, pixels_NHW3):
        if self.images_encoded:
            print("stored", flush=True)
            time.sleep({pause})
        return super().encode_images(pixels_NHW3)

build(MilvusStore({database!r}), Gallery(Path({gallery!r})), Slow({version!r}), version={version!r})
"""


def start_build(address: str, gallery: Gallery, version: str, *, pause: float = 0.05) -> subprocess.Popen[bytes]:
    """A build in a process of its own, which says `stored` after each batch and pauses."""
    names = {"database": address, "gallery": str(gallery.folder), "version": version, "pause": pause}
    script = KILLED_BUILD.format(tests=str(Path(__file__).parent), **names)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_build_killed_again_and_again_loses_and_doubles_nothing(gallery: Gallery, tmp_path: Path) -> None:
    database = str(tmp_path / "milvus.db")
    for _ in range(2):
        with start_build(database, gallery, "1") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"stored\n"
            process.kill()
    store, encoder = MilvusStore(database), HashEncoder("1")
    assert store.alias_target(LIVE_ALIAS) is None
    half_built = len(ids(store, "persons_v1_1"))
    assert 14 <= half_built < 40
    report = build(store, gallery, encoder)
    assert report.encoded == 40 - half_built
    assert store.names() == ["persons_v1_1"]
    assert ids(store) == gallery_ids(gallery)
    [(crops, vectors_ND)] = store.open(LIVE_ALIAS).iterate()
    pixels_NHW3 = np.array([Image.open(gallery.image(crop)) for crop in crops])
    np.testing.assert_allclose(vectors_ND, encoder.encode_images(pixels_NHW3), atol=1e-6)


def test_builds_in_two_processes_take_turns_and_a_killed_one_gives_its_turn_away(
    gallery: Gallery, tmp_path: Path
) -> None:
    server = start_server(tmp_path / "milvus.db")
    try:
        with start_build(server.uri, gallery, "1", pause=120) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == b"stored\n"
            with start_build(server.uri, gallery, "2", pause=0) as second:
                assert second.stderr is not None
                assert b"another process is at work there" in second.stderr.readline()
                assert MilvusStore(server.uri).names() == ["persons_v1_1"]
                first.kill()
                second.communicate()
                assert second.returncode == 0
        store = MilvusStore(server.uri)
        assert (store.names(), store.alias_target(LIVE_ALIAS)) == (["persons_v2_2"], "persons_v2_2")
        assert ids(store) == gallery_ids(gallery)
    finally:
        server.stop()
