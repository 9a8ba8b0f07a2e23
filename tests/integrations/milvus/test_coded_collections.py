"""Collections of small vectors: the same cases on every engine, whatever it keeps of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.integrations.milvus.options import CollectionOptions
from personsearch.integrations.milvus.rows import read_properties, stored_properties
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties, CollectionStore, VectorIndex
from personsearch.search.quantised import FLOAT32, Centres, Coding
from tests.crops import numbered_crop

D = 20  # of bits, two bytes and a half
ERROR = 0.012  # of a cosine by int8 codes: half a step of each number, √20 of them, and the same for the length


def crop(number: int) -> Crop:
    return numbered_crop(number, bbox=BoundingBox(number, 2, 30, 40), quality=0.5)


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, D))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(params=["int8", "binary"])
def coded(request: pytest.FixtureRequest, properties: CollectionProperties) -> CollectionProperties:
    centres = Centres.of(vectors(64), vectors(20, seed=1)) if request.param == "binary" else None
    coding = Coding(request.param, 8 if centres else 1, centres)
    return replace(properties, embedding_dim=D, coding=coding)


@pytest.fixture
def index(store: CollectionStore, name: str, coded: CollectionProperties) -> Iterator[VectorIndex]:
    yield store.create(name, coded)
    store.drop(name)


def test_scores_are_cosines_and_the_best_are_found(index: VectorIndex) -> None:
    stored, queries = vectors(300), vectors(20, seed=1)
    index.upsert([crop(n) for n in range(300)], stored)
    index.flush()
    found = 0
    for query, hits in zip(queries, index.search(queries, 10), strict=True):
        cosines = stored @ query
        rows = [int(hit.crop.crop_id[4:]) for hit in hits]
        np.testing.assert_allclose([hit.score for hit in hits], cosines[rows], atol=ERROR)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        found += len(set(rows) & set(np.argsort(-cosines)[:10].tolist()))
    assert found >= 180


def test_equal_vectors_come_in_the_order_of_their_ids(index: VectorIndex) -> None:
    """Sixty crops in the same picture, and k × oversampling cuts through them."""
    same, others = np.repeat(vectors(1), 60, axis=0), vectors(60, seed=3)
    index.upsert([crop(n) for n in reversed(range(60))], same)
    index.upsert([crop(n) for n in range(60, 120)], others)
    for k in (1, 5):
        [hits] = index.search(same[:1], k)
        assert [hit.crop.crop_id for hit in hits] == [f"crop{n:05d}" for n in range(k)]


def test_changes_and_filters(index: VectorIndex) -> None:
    stored = vectors(40)
    index.upsert([crop(n) for n in range(40)], stored)
    index.upsert([crop(3)], -stored[3:4])
    assert index.delete(CropFilter(crop_ids=("crop00005", "crop00006"))) == 2
    assert index.count() == 38
    crop_filter = CropFilter(cameras=("camera0",))
    [hits] = index.search(stored[:1], 40, crop_filter)
    assert {hit.crop.crop_id for hit in hits} == {f"crop{n:05d}" for n in range(0, 40, 3) if n != 6}
    [[hit]] = index.search(-stored[3:4], 1)
    assert (hit.crop, hit.score > 0.999) == (crop(3), True)
    assert index.search(stored[:2], 5, CropFilter(cameras=("nowhere",))) == [[], []]


def test_a_mirror_of_what_is_stored(store: CollectionStore, name: str, coded: CollectionProperties) -> None:
    """Another process opens the collection, reads how it is coded, and mirrors it."""
    stored = vectors(120)
    store.create(name, coded).upsert([crop(n) for n in range(120)], stored)
    read = store.properties(name)
    assert read == coded
    index = store.open(name)
    np.testing.assert_allclose(np.concatenate([part for _, part in index.iterate(50)]), stored, atol=ERROR)
    mirror = ExactIndex.mirror(index, D, read.coding)
    first = ExactIndex(D, coded.coding)
    first.upsert([crop(n) for n in range(120)], stored)
    assert mirror.search(vectors(9, seed=1), 7) == first.search(vectors(9, seed=1), 7)


def test_bits_in_a_server_find_what_bits_in_memory_find(
    milvus_server: str, name: str, properties: CollectionProperties
) -> None:
    coding = Coding("binary", 2, Centres.of(vectors(64), vectors(20, seed=1)))
    index = MilvusStore(milvus_server).create(name, replace(properties, embedding_dim=D, coding=coding))
    exact = ExactIndex(D, coding)
    for one in (index, exact):
        one.upsert([crop(n) for n in range(500)], vectors(500))
    for crop_filter in (CropFilter(), CropFilter(cameras=("camera1",))):
        for hits, best in zip(*(i.search(vectors(20, seed=1), 5, crop_filter) for i in (index, exact)), strict=True):
            assert [hit.crop for hit in hits] == [hit.crop for hit in best]
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in best], abs=2e-6)


def test_bytes_in_a_server_are_scored_by_floats(
    milvus_server: str, name: str, properties: CollectionProperties
) -> None:
    """So many rows that the server builds its 8-bit index of them."""
    coded = replace(properties, embedding_dim=D, coding=Coding("int8"))
    index, stored = MilvusStore(milvus_server).create(name, coded), vectors(1500)
    index.upsert([crop(n) for n in range(1500)], stored)
    index.flush()
    exact = ExactIndex(D)
    exact.upsert([crop(n) for n in range(1500)], stored)
    for hits, best in zip(*(i.search(vectors(20, seed=1), 10) for i in (index, exact)), strict=True):
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in best], abs=2e-6)


def test_a_graph_of_small_vectors_is_refused(milvus_server: str, name: str, coded: CollectionProperties) -> None:
    with pytest.raises(UserError, match="vectors are scanned: PERSONSEARCH_MILVUS_INDEX=FLAT expected, not HNSW"):
        MilvusStore(milvus_server, options=CollectionOptions("HNSW")).create(name, coded)


def test_a_collection_from_before_vectors_were_coded_holds_floats(properties: CollectionProperties) -> None:
    stored = stored_properties(properties)
    older = {name: stored[name] for name in stored if name not in ("vectors", "oversampling")}
    assert read_properties(older) == properties
    assert properties.coding == FLOAT32
    assert read_properties({}) is None
    with pytest.raises(UserError, match="vectors='int4'; one of float32, int8, binary expected"):
        read_properties(stored | {"vectors": "int4"})


def test_milvus_lite_keeps_floats(tmp_path: Path, name: str, coded: CollectionProperties) -> None:
    """It has no small vectors: what is coded is the mirror that a service makes of the collection."""
    index, stored = MilvusStore(str(tmp_path / "milvus.db")).create(name, coded), vectors(10)
    index.upsert([crop(n) for n in range(10)], stored)
    [(_, read)] = index.iterate()
    np.testing.assert_allclose(read, stored, atol=1e-6)
