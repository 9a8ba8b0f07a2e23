"""The contract of VectorIndex and CollectionStore: the same cases on every engine."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pymilvus import MilvusClient

from personsearch.bundle import Preprocessing
from personsearch.errors import UserError
from personsearch.integrations.milvus import connection
from personsearch.integrations.milvus.filters import MAX_LIST
from personsearch.integrations.milvus.options import GRAPH_FROM, CollectionOptions, IndexType
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.calibration import Calibration, Curve, Reference
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties, CollectionStore, VectorIndex
from personsearch.search.searcher import Searcher
from tests.crops import START, numbered_crop
from tests.servers.milvus_lite_server import start_server


def crop(number: int, **fields: object) -> Crop:
    own = {"image_uri": f"images/{number}.jpg", "bbox": BoundingBox(number, 2, 30, 40), "quality": 0.25}
    return numbered_crop(number, **(own | {"ingested_at": START + timedelta(milliseconds=1)} | fields))


def unit(vectors_ND: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).normal(size=(count, 8)))


@pytest.fixture
def index(store: CollectionStore, name: str, properties: CollectionProperties) -> VectorIndex:
    return store.create(name, properties)


@dataclass
class TextVectors:
    """An Encoder for which every text means the same vector."""

    vector_1D: NDArray[np.float32]
    preprocessing = Preprocessing(height=4, width=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    embedding_dim = 8

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.vector_1D.repeat(len(texts), axis=0)

    def text_cut_after(self, text: str) -> int | None:
        return None


def ids(index: VectorIndex) -> list[str]:
    return [crop.crop_id for crops, _ in index.iterate() for crop in crops]


def test_a_crop_comes_back_as_it_was_stored(index: VectorIndex) -> None:
    stored = crop(1, crop_id="a\"b\\c'é☃", camera_id="", track_id="t\n1")
    vector = vectors(1)
    index.upsert([stored], vector)
    assert index.search(vector, 1)[0][0].crop == stored
    [(crops, vectors_ND)] = list(index.iterate())
    assert crops == [stored]
    np.testing.assert_allclose(vectors_ND, vector, atol=1e-6)


def test_search_agrees_with_the_slow_oracle(index: VectorIndex) -> None:
    crops, stored = [crop(n) for n in range(300)], vectors(300)
    index.upsert(crops, stored)
    index.flush()
    queries = vectors(5, seed=1)
    for query, hits in zip(queries, index.search(queries, 10), strict=True):
        expected = sorted(range(300), key=lambda row: -float(stored[row] @ query))[:10]
        assert [hit.crop.crop_id for hit in hits] == [crops[row].crop_id for row in expected]
        np.testing.assert_allclose([hit.score for hit in hits], stored[expected] @ query, atol=1e-5)


def test_equal_scores_come_in_the_order_of_their_ids(index: VectorIndex) -> None:
    same = np.repeat(vectors(1), 20, axis=0)
    index.upsert([crop(n) for n in reversed(range(20))], same)
    [hits] = index.search(same[:1], 5)
    assert [hit.crop.crop_id for hit in hits] == [f"crop{n:05d}" for n in range(5)]


def test_upsert_replaces(index: VectorIndex) -> None:
    index.upsert([crop(n) for n in range(4)], vectors(4))
    moved = crop(2, camera_id="elsewhere")
    index.upsert([crop(2), moved], vectors(2, seed=3))
    assert index.count() == 4
    assert index.count(CropFilter(cameras=("elsewhere",))) == 1
    assert index.search(vectors(2, seed=3)[1:], 1)[0][0].crop == moved


def test_delete_removes_what_the_filter_admits_and_no_more(index: VectorIndex) -> None:
    index.upsert([crop(n) for n in range(12)], vectors(12))
    assert index.delete(CropFilter(cameras=("camera1",), before=START + timedelta(seconds=7))) == 2
    assert index.count() == 10
    assert index.delete(CropFilter(tracks=("nobody",))) == 0
    with pytest.raises(ValueError, match="empty filter"):
        index.delete(CropFilter())
    assert "crop00001" not in ids(index)
    assert len(index.search(vectors(1), 20)[0]) == 10


def test_filters_restrict_a_search(index: VectorIndex) -> None:
    index.upsert([crop(n) for n in range(40)], vectors(40))
    crop_filter = CropFilter(
        cameras=("camera0", "camera2"), after=START + timedelta(seconds=5), before=START + timedelta(seconds=30)
    )
    [hits] = index.search(vectors(1, seed=9), 40, crop_filter)
    assert {hit.crop.crop_id for hit in hits} == {c.crop_id for c in map(crop, range(40)) if crop_filter.admits(c)}
    assert index.search(vectors(1), 5, CropFilter(cameras=())) == [[]]
    assert index.count(CropFilter(crop_ids=())) == 0


def test_a_list_longer_than_an_expression_may_be(index: VectorIndex) -> None:
    index.upsert([crop(n) for n in range(30)], vectors(30))
    many = CropFilter(crop_ids=tuple(f"crop{n:05d}" for n in range(10, MAX_LIST + 10)))
    assert index.count(many) == 20
    exact = ExactIndex(8)
    exact.upsert([crop(n) for n in range(30)], vectors(30))
    query = vectors(1, seed=4)
    assert [h.crop for h in index.search(query, 7, many)[0]] == [h.crop for h in exact.search(query, 7, many)[0]]
    assert index.delete(many) == 20


def test_iterate_gives_each_crop_once_across_batches_and_flushes(index: VectorIndex) -> None:
    for start in (50, 0):
        index.upsert([crop(n) for n in range(start, start + 50)], vectors(50, seed=start))
        index.flush()
    index.upsert([crop(n) for n in range(100, 150)], vectors(50))
    index.upsert([crop(7)], vectors(1))
    batches = [[c.crop_id for c in crops] for crops, _ in index.iterate(batch_size=16)]
    assert [crop_id for batch in batches for crop_id in batch] == [f"crop{n:05d}" for n in range(150)]


BAD_VECTORS = (
    (np.full((1, 8), np.nan, dtype=np.float32), "NaN"),
    (np.ones((1, 8), dtype=np.float32), "unit length"),
    (np.zeros((1, 8), dtype=np.float32), "unit length"),
    (np.eye(1, 7, dtype=np.float32), r"\[1, 8\] expected"),
    (np.eye(2, 8, dtype=np.float32), r"\[1, 8\] expected"),
)
BAD_CROPS = (
    (crop(1, crop_id=""), "without crop_id"),
    (crop(1, camera_id="é" * 300), "600 bytes"),
    (crop(1, track_id="\ud800"), "surrogates not allowed"),
    (crop(1, captured_at=datetime(2026, 3, 1)), "zone"),
    (crop(1, captured_at=START + timedelta(microseconds=5)), "whole milliseconds"),
)


def test_what_an_engine_would_silently_take_is_refused_before_anything_is_written(index: VectorIndex) -> None:
    for bad_ND, message in BAD_VECTORS:
        with pytest.raises(ValueError, match=message):
            index.upsert([crop(1)], bad_ND)
    for bad, message in BAD_CROPS:
        with pytest.raises(ValueError, match=message):
            index.upsert([crop(0), bad], vectors(2))
    assert index.count() == 0
    for k in (0, -1, 16385):
        with pytest.raises(ValueError, match="1 to 16384"):
            index.search(vectors(1), k)
    for bad_QD in (np.full((1, 8), np.nan, dtype=np.float32), np.eye(1, 9, dtype=np.float32)):
        with pytest.raises(ValueError, match="expected"):
            index.search(bad_QD, 1)


def test_an_empty_collection_answers(index: VectorIndex) -> None:
    assert index.search(vectors(2), 5) == [[], []]
    assert index.count() == 0
    assert list(index.iterate()) == []
    index.upsert([], vectors(0))


def test_collections_and_aliases(store: CollectionStore, name: str, properties: CollectionProperties) -> None:
    alias, other = f"alias_{name}", f"{name}_2"
    store.create(name, properties).upsert([crop(1)], vectors(1))
    store.create(other, replace(properties, model_version="2"))
    assert {name, other} <= set(store.names())
    assert store.alias_target(alias) is None
    store.switch_alias(alias, name)
    pinned = store.open(alias)
    assert (store.alias_target(alias), store.properties(alias)) == (name, properties)
    store.switch_alias(alias, other)
    assert store.properties(alias).model_version == "2"
    assert (store.open(alias).count(), pinned.count()) == (0, 1)
    assert alias not in store.names()
    with pytest.raises(UserError, match=f"in use by alias {alias}"):
        store.drop(other)
    store.drop(name)
    assert name not in store.names()


def test_wrong_names_are_readable_errors(store: CollectionStore, name: str, properties: CollectionProperties) -> None:
    store.create(name, properties)
    for mistake in (
        lambda: store.open("nobody"),
        lambda: store.properties("nobody"),
        lambda: store.drop("nobody"),
        lambda: store.switch_alias("persons_x", "nobody"),
        lambda: store.switch_alias(name, name),
        lambda: store.create(name, properties),
    ):
        with pytest.raises(UserError, match=f"nobody|{name}"):
            mistake()


def test_readers_see_no_error_while_the_alias_moves(
    store: CollectionStore, name: str, properties: CollectionProperties
) -> None:
    alias, collections = f"alias_{name}", [f"{name}_{n}" for n in range(2)]
    for number, collection in enumerate(collections):
        store.create(collection, properties).upsert([crop(number)], vectors(1))
    store.switch_alias(alias, collections[0])
    seen, stop = set(), Event()

    def read() -> int:
        reads = 0
        while not stop.is_set():
            [[hit]] = store.open(alias).search(vectors(1), 1)
            seen.add(hit.crop.crop_id)
            reads += 1
        return reads

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for turn in range(10):
            store.switch_alias(alias, collections[(turn + 1) % 2])
            time.sleep(0.02)
        stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert seen == {"crop00000", "crop00001"}


@pytest.mark.parametrize("index_type", ["HNSW", "AUTOINDEX"])
def test_an_approximate_index_on_a_server(
    milvus_server: str, name: str, properties: CollectionProperties, index_type: IndexType
) -> None:
    store = MilvusStore(milvus_server, options=CollectionOptions(index_type))
    index = store.create(name, properties)
    index.upsert([crop(n) for n in range(500)], vectors(500))
    index.flush()
    exact = ExactIndex.mirror(index, 8)
    queries = vectors(20, seed=5)
    crop_filter = CropFilter(cameras=("camera1",))
    pairs = zip(index.search(queries, 10, crop_filter), exact.search(queries, 10, crop_filter), strict=True)
    found = [len({hit.crop.crop_id for hit in hits} & {hit.crop.crop_id for hit in best}) for hits, best in pairs]
    assert sum(found) / 200 >= 0.95


def test_confidence_is_that_of_the_mirror(index: VectorIndex) -> None:
    """What a candidate is judged against comes from the collection, by whichever engine it is searched."""
    stored = vectors(120)
    index.upsert([crop(n) for n in range(120)], stored)
    index.flush()
    judge = Calibration(
        curve=Curve(intercept=-2.0, score=3.0, lead=5.0, log_tracks=-0.5, gallery_mean=4.0, gallery_spread=-6.0),
        threshold=0.5,
        reference=Reference.of(stored[:50]),
        split="val",
        queries=1,
        galleries=(9.0,),
        expected_calibration_error=0.0,
        precision=1.0,
        reliable_when_present=1.0,
        reliable_when_absent=0.0,
    )
    encoder = TextVectors(vectors(1, seed=2))
    for crop_filter in (CropFilter(), CropFilter(cameras=("camera1",)), CropFilter(tracks=("track1", "track2"))):
        answers = [
            Searcher(encoder, engine, judge).answer("x", k=5, crop_filter=crop_filter)
            for engine in (index, ExactIndex.mirror(index, 8))
        ]
        first, second = ([candidate.confidence for candidate in answer.candidates] for answer in answers)
        assert first == pytest.approx(second, abs=1e-5)
        assert (answers[0].match, answers[0].fitting) == (answers[1].match, answers[1].fitting)
        assert answers[0].given.gallery.mean == pytest.approx(answers[1].given.gallery.mean, abs=1e-5)


def described(address: str, name: str) -> dict[str, Any]:
    """The index as the engine describes it."""
    return MilvusClient(uri=address).describe_index(name, "embedding")


def test_a_server_makes_a_graph_of_many(milvus_server: str, name: str, properties: CollectionProperties) -> None:
    store = MilvusStore(milvus_server)
    store.create(name, properties, crops=GRAPH_FROM)
    store.create(f"{name}_2", properties, crops=GRAPH_FROM + 1)
    few, many = described(milvus_server, name), described(milvus_server, f"{name}_2")
    assert few["index_type"] == "FLAT"
    assert (many["index_type"], many["M"], many["efConstruction"]) == ("HNSW", "16", "200")


def test_a_collection_is_made_as_the_options_say(
    milvus_server: str, name: str, properties: CollectionProperties
) -> None:
    options = CollectionOptions("HNSW", build={"M": 8}, search={"ef": 20})
    index = MilvusStore(milvus_server, options=options).create(name, properties)
    made = described(milvus_server, name)
    assert (made["index_type"], made["M"], made["efConstruction"]) == ("HNSW", "8", "200")
    index.upsert([crop(n) for n in range(100)], vectors(100))
    assert len(index.search(vectors(1), 60)[0]) == 60  # more results than candidates


def test_more_copies_than_nodes_are_refused_in_one_line(
    milvus_server: str, name: str, properties: CollectionProperties
) -> None:
    with pytest.raises(UserError, match=r"Milvus cannot create collection .*(replica|node)"):
        MilvusStore(milvus_server, options=CollectionOptions(replicas=2)).create(name, properties)
    with pytest.raises(UserError, match="nowhere"):
        MilvusStore(milvus_server, options=CollectionOptions(resource_groups=("nowhere",))).create(
            f"{name}_2", properties
        )


def test_what_lite_is_told(tmp_path: Path, name: str, properties: CollectionProperties) -> None:
    """To scan: a graph makes it no faster."""
    store = MilvusStore(str(tmp_path / "milvus.db"))
    index = store.create(name, properties, crops=10**9)
    index.upsert([crop(n) for n in range(3)], vectors(3))
    index.flush()
    assert index.count(CropFilter(cameras=("camera1",))) == 1
    store.close()
    assert described(str(tmp_path / "milvus.db"), name)["index_type"] == "FLAT"


def test_only_known_index_types() -> None:
    with pytest.raises(ValueError, match="'NONSENSE'; one of AUTO, FLAT, HNSW, AUTOINDEX"):
        CollectionOptions("NONSENSE")  # type: ignore[arg-type]


def test_acknowledged_rows_outlive_a_killed_server(tmp_path: Path, name: str, properties: CollectionProperties) -> None:
    server = start_server(tmp_path / "milvus.db")
    index = MilvusStore(server.uri).create(name, properties)
    for n in range(5):
        index.upsert([crop(n)], vectors(1))
    server.process.kill()
    server.process.wait()
    again = start_server(tmp_path / "milvus.db")
    assert list(MilvusStore(again.uri).open(name).crop_ids()) == [f"crop{n:05d}" for n in range(5)]
    again.stop()


def test_a_store_out_of_reach_is_a_readable_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9: Milvus cannot be reached"):
        MilvusStore("http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"must end with \.db"):
        MilvusStore(str(tmp_path / "milvus"))
    server = start_server(tmp_path / "milvus.db")
    with pytest.raises(UserError, match="another process"):
        MilvusStore(str(tmp_path / "milvus.db"))
    store = MilvusStore(server.uri)
    server.stop()
    with pytest.raises(UserError, match="Milvus cannot list collections"):
        store.names()


def test_crops_are_fetched_with_their_vectors(index: VectorIndex) -> None:
    vectors_ND = vectors(5)
    index.upsert([crop(number) for number in range(5)], vectors_ND)
    found, fetched_ND = index.fetch(["crop00003", "no such crop", "crop00001"])
    assert [one.crop_id for one in found] == ["crop00001", "crop00003"]
    np.testing.assert_allclose(fetched_ND, vectors_ND[[1, 3]], atol=1e-6)
    none, empty_ND = index.fetch([])
    assert (none, empty_ND.shape) == ([], (0, 8))


def test_a_purge_keeps_rows_properties_and_aliases(
    store: CollectionStore, name: str, properties: CollectionProperties
) -> None:
    index = store.create(name, properties)
    index.upsert([crop(number) for number in range(5)], vectors(5))
    store.switch_alias(f"alias_{name}", name)
    index.delete(CropFilter(crop_ids=("crop00002",)))
    kept = store.purge(name, spare=f"{name}9")
    assert kept in (name, f"{name}9")
    assert (name in store.names()) == (kept == name)
    assert store.alias_target(f"alias_{name}") == kept
    assert store.properties(kept) == properties
    assert ids(store.open(kept)) == ["crop00000", "crop00001", "crop00003", "crop00004"]
    store.switch_alias(f"alias_{name}", kept)


def test_a_purge_of_lite_leaves_nothing_on_disk(tmp_path: Path, properties: CollectionProperties) -> None:
    """A deletion alone hides rows; their vectors stay in the files."""
    store = MilvusStore(str(tmp_path / "milvus.db"))
    index, vectors_ND = store.create("persons_v1_1", properties), vectors(5)
    index.upsert([crop(number) for number in range(5)], vectors_ND)
    index.flush()
    index.delete(CropFilter(crop_ids=("crop00002",)))
    index.flush()

    def written(number: int) -> bool:
        files = [path for path in (tmp_path / "milvus.db").rglob("*") if path.is_file()]
        return any(vectors_ND[number].tobytes() in path.read_bytes() for path in files)

    assert written(2)
    store.purge("persons_v1_1", spare="persons_v1_2")
    assert written(1)
    assert not written(2)
    store.close()


def test_this_machine_is_reached_without_a_proxy(
    lite_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the server that pymilvus runs inside this process for a database file."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for address in (lite_server, str(tmp_path / "milvus.db")):
        store = MilvusStore(address)
        assert "absent" not in store.names()
        store.close()


def test_credentials_in_an_address_are_its_token_and_are_never_shown(lite_server: str) -> None:
    store = MilvusStore(lite_server.replace("://", "://ann:p%40ss@"))
    assert "absent" not in store.names()
    with pytest.raises(UserError, match=r"http://\*\*\*@127.*collection or alias 'absent'"):
        store.properties("absent")
    with pytest.raises(UserError, match="the address of Milvus") as unreadable:
        MilvusStore("http://ann:sec/ret@127.0.0.1:19530")
    assert "ret@" not in str(unreadable.value)


def test_a_proxy_on_the_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://ann:secret@127.0.0.1:9")
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 2.0)
    with pytest.raises(UserError, match=r"through the proxy http://\*\*\*@127.0.0.1:9 \(name milvus.example"):
        MilvusStore("http://milvus.example:19530")


def test_a_database_file_is_private(tmp_path: Path) -> None:
    earlier = os.umask(0o022)
    try:
        MilvusStore(str(tmp_path / "home" / "milvus.db")).close()
    finally:
        os.umask(earlier)
    for folder in (tmp_path / "home", tmp_path / "home" / "milvus.db"):
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
