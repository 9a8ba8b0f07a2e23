"""What never goes live, and vectors kept in fewer bytes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.errors import VerificationFailed
from personsearch.gallery.collections import PREVIOUS_ALIAS
from personsearch.gallery.indexing import VERIFICATIONS, IndexConfig
from personsearch.gallery.store import Gallery
from personsearch.gallery.verification import VerifyConfig
from personsearch.search.exact import ExactIndex, ExactStore
from personsearch.search.filters import EVERYTHING, CropFilter
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore, Hit
from personsearch.search.quantised import FLOAT32, Coding, VectorStorage
from tests.gallery.builds import HashEncoder, add, build, gallery_ids


class CollapsedEncoder(HashEncoder):
    def _vectors(self, inputs: list[bytes]) -> NDArray[np.float32]:
        return np.eye(1, 8, dtype=np.float32).repeat(len(inputs), axis=0)


def test_a_collapsed_model_never_goes_live(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)
    with pytest.raises(VerificationFailed, match=r"persons_v2_2 may not be live: embeddings have collapsed"):
        build(store, gallery, CollapsedEncoder(), version="2")
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert store.names() == ["persons_v1_1"]


class ShortSighted(HashEncoder):
    """Right for texts up to twenty words, NaN for longer ones."""

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors_ND = super().encode_texts(texts)
        vectors_ND[[len(text.split()) > 20 for text in texts]] = np.nan
        return vectors_ND


def test_a_model_that_fails_on_long_texts_never_goes_live(store: CollectionStore, gallery: Gallery) -> None:
    with pytest.raises(VerificationFailed, match="a description of 22 words has a vector of length nan"):
        build(store, gallery, ShortSighted())
    assert store.alias_target(LIVE_ALIAS) is None


class Blinded(HashEncoder):
    """NaN for one of the pictures."""

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors_ND = super().encode_images(pixels_NHW3)
        if self.images_encoded > 20:
            vectors_ND[-1, 3] = np.nan
        return vectors_ND


def test_a_model_that_fails_on_a_picture_never_goes_live(store: CollectionStore, gallery: Gallery) -> None:
    with pytest.raises(VerificationFailed, match="crop crop00020: the model gives NaN or infinity"):
        build(store, gallery, Blinded())
    assert store.names() == []


class GrowingStore(ExactStore):
    """A store whose gallery gets a crop more while a collection is flushed, as under live ingest."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__()
        self.gallery = gallery

    def create(self, name: str, properties: CollectionProperties, *, crops: int = 0) -> ExactIndex:
        gallery = self.gallery

        class Growing(ExactIndex):
            def flush(self) -> None:
                number = gallery.last_sequence()
                add(gallery, number, number + 1)

        super().create(name, properties, crops=crops)
        index = Growing(properties.embedding_dim, properties.coding)
        self._collections[name] = properties, index
        return index


def test_a_gallery_that_grows_all_the_time_is_verified_once(gallery: Gallery) -> None:
    before = gallery.count()
    report = build(GrowingStore(gallery), gallery)
    assert (report.findings.crops, gallery.count()) == (before, before + 1)


def test_a_broken_model_is_not_verified_for_ever_where_the_gallery_grows_all_the_time(gallery: Gallery) -> None:
    before = gallery.count()
    with pytest.raises(VerificationFailed, match="embeddings have collapsed"):
        build(GrowingStore(gallery), gallery, CollapsedEncoder())
    assert gallery.count() == before + VERIFICATIONS


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
    with pytest.raises(VerificationFailed, match=r"a score is 0\.00\d+ from the cosine, at most 1e-05 expected"):
        build(store, gallery, vectors="int8", max_score_error=1e-5)
    assert build(store, gallery, max_score_error=1e-5).findings.score_error < 1e-6


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
