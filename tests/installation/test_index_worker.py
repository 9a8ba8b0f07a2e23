"""The promoter's worker: a real process that indexes, fails, is killed, stands still, and works again."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from personsearch import progress
from personsearch.bundle import TEXT_ONNX, Bundle
from personsearch.errors import LeaseLost, UserError
from personsearch.gallery.add_dataset import add_dataset
from personsearch.installation.index_worker import IndexWorker, Request, WorkerFailed, serve
from personsearch.installation.platforms import open_registry, open_store
from personsearch.installation.promoter import Installation
from personsearch.installation.settings import Settings
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.leases import DatabaseLeases, Lease
from personsearch.integrations.database.schema import open_database
from personsearch.search.filters import CropFilter
from tests.onnx_bundle import make_onnx_bundle


@pytest.fixture
def settings(tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with two registered versions, of which the second never answers, and crops to index."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "var"))
    settings = Settings(index_stall_seconds=60)
    add_dataset(
        tiny_dataset, gallery_in(settings.gallery_folder), split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC)
    )
    good, hanging = make_onnx_bundle(tmp_path / "good", seed=1), make_onnx_bundle(tmp_path / "hanging", seed=2)
    _make_endless(hanging / TEXT_ONNX)
    registry = open_registry(settings)
    for bundle in (good, hanging):
        registry.register(Bundle.open(bundle), metrics={}, tags={})
    registry.promote("1")
    return settings


@pytest.fixture
def worker(settings: Settings) -> Iterator[IndexWorker]:
    made = IndexWorker(settings, Path("params.yaml"))
    yield made
    made.close()


@pytest.fixture
def lease(settings: Settings) -> Lease:
    lease = DatabaseLeases(open_database(settings.database_address)).acquire("promoter", "test", 3600)
    assert lease is not None
    return lease


def _make_endless(path: Path) -> None:
    """Put a loop of 2⁶² rounds in front of a graph's output."""
    model = onnx.load(path)
    graph = model.graph
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Add", ["count", "one"], ["counted"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("counted", TensorProto.FLOAT, []),
        ],
    )
    constants = {"rounds": np.array(2**62), "true": np.array(True), "zero": np.array(0, np.float32)}
    for name, value in {**constants, "one": np.array(1, np.float32)}.items():
        graph.initializer.append(numpy_helper.from_array(value, name))
    graph.node[-1].output[0] = "unit"
    graph.node.append(helper.make_node("Loop", ["rounds", "true", "zero"], ["total"], body=body))
    graph.node.append(helper.make_node("Mul", ["unit", "total"], ["vectors"]))
    onnx.save(model, path)


def test_it_indexes_follows_and_works_again_after_it_was_killed(
    worker: IndexWorker, settings: Settings, lease: Lease
) -> None:
    beats: list[None] = []
    built = worker.index("1", lease, lambda: beats.append(None))
    assert (built.collection, built.encoded, built.followed, built.sequence) == ("persons_v1_1", 24, False, 24)
    assert beats
    process = worker._process
    followed = worker.index("1", lease, lambda: None)
    assert (followed.collection, followed.encoded, followed.followed, followed.sequence) == (
        "persons_v1_1",
        0,
        True,
        24,
    )
    assert worker._process is process
    process.kill()
    process.join()
    assert worker.index("1", lease, lambda: None).collection == "persons_v1_1"
    store = open_store(settings)  # the worker does not keep the file
    assert store.open("persons").count() == 24
    store.close()


def test_what_fails_is_said_and_the_process_lives_on(worker: IndexWorker, lease: Lease) -> None:
    process = worker._process
    with pytest.raises(UserError, match=r"version 7 failed: .*no version '7'"):
        worker.index("7", lease, lambda: None)
    assert worker.index("1", lease, lambda: None).collection == "persons_v1_1"
    assert worker._process is process


def test_a_graph_that_never_returns_is_ended_and_the_version_says_so(settings: Settings, lease: Lease) -> None:
    impatient = settings.model_copy(update={"index_stall_seconds": 15.0})
    installation = Installation(impatient, Path("params.yaml"))
    registry = open_registry(settings)
    registry.promote("2")
    with pytest.raises(WorkerFailed, match="no progress for 15 s"):
        installation.index("2", lease, lambda: None)
    assert "no progress for 15 s" in registry.version("2").tags["index_status"]
    registry.promote("1")
    assert installation.index("1", lease, lambda: None).collection == "persons_v1_1"
    installation.close()


def test_a_wrong_setting_is_said_at_the_version(worker: IndexWorker, settings: Settings, lease: Lease) -> None:
    Path("params.yaml").write_text("index: {batch_size: many}\n", encoding="utf-8")
    with pytest.raises(UserError, match="batch_size='many': an integer expected"):
        worker.index("1", lease, lambda: None)
    assert "batch_size='many'" in open_registry(settings).version("1").tags["index_status"]


def test_a_build_whose_promoter_was_killed_blames_no_version(
    settings: Settings, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "listener", None)
    promoter, answers = Pipe()
    promoter.send(Request(lease, "1"))
    promoter.close()
    serve(answers, settings.home, Path("params.yaml"))
    assert "index_status" not in open_registry(settings).version("1").tags


PROMOTER = """
from pathlib import Path
from personsearch.installation.index_worker import IndexWorker
from personsearch.installation.settings import Settings
from personsearch.integrations.database.leases import Lease
worker = IndexWorker(Settings(), Path("params.yaml"))
print(worker._process.pid, flush=True)
worker.index("2", Lease("promoter", "killed", 1), lambda: None)
"""


def test_a_build_that_stands_still_ends_with_its_killed_promoter(settings: Settings) -> None:
    open_registry(settings).promote("2")
    with subprocess.Popen([sys.executable, "-c", PROMOTER], stdout=subprocess.PIPE, text=True) as promoter:
        assert promoter.stdout is not None
        worker = int(promoter.stdout.readline())
        deadline = time.monotonic() + 60
        while not list((settings.home / "models").rglob("v2-*/golden.json")):  # it has fetched the endless graph
            assert time.monotonic() < deadline
            time.sleep(0.1)
        promoter.kill()
    while Path(f"/proc/{worker}/stat").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}/stat").exists()


def test_work_for_a_promoter_that_no_longer_leads_is_refused(worker: IndexWorker, settings: Settings) -> None:
    """Neither a build goes live nor does the live collection follow, and no version is blamed."""
    leases = DatabaseLeases(open_database(settings.database_address))
    old, new = leases.acquire("promoter", "old", 0), leases.acquire("promoter", "new", 3600)
    assert old is not None
    assert new is not None
    with pytest.raises(LeaseLost, match="old no longer leads: new has taken over"):
        worker.index("1", old, lambda: None)
    store, registry = open_store(settings), open_registry(settings)
    assert (store.alias_target("persons"), store.open("persons_v1_1").count()) == (None, 24)
    store.close()
    assert "index_status" not in registry.version("1").tags
    built = worker.index("1", new, lambda: None)
    assert (built.collection, built.encoded) == ("persons_v1_1", 0)
    with pytest.raises(LeaseLost):
        worker.index("1", old, lambda: None)
    assert registry.version("1").tags["index_status"] == "live: persons_v1_1"


def test_the_live_collection_follows_and_files_lose_what_was_erased(
    worker: IndexWorker, settings: Settings, lease: Lease
) -> None:
    worker.index("1", lease, lambda: None)
    gallery = gallery_in(settings.gallery_folder)
    first = next(iter(gallery.crops()))
    [jpeg] = gallery.read_pictures([first])
    assert isinstance(jpeg, bytes)
    gallery.add([(replace(first, crop_id=f"new-{n}"), jpeg) for n in range(3)])
    gallery.erase(CropFilter(crop_ids=(first.crop_id, "new-1")))
    done = worker.index("1", lease, lambda: None)
    assert (done.followed, done.encoded, done.removed, done.sequence) == (True, 2, 1, 29)
    purged = worker.purge(lease, lambda: None)
    assert purged.collection == "persons_v1_2"  # Milvus Lite can only copy
    again = worker.index("1", lease, lambda: None)
    assert (again.followed, again.collection, again.encoded) == (True, "persons_v1_2", 0)
    store = open_store(settings)
    assert set(store.open("persons").crop_ids()) == {crop.crop_id for crop in gallery.crops()}
    assert store.names() == ["persons_v1_2"]
    store.close()
    assert open_registry(settings).version("1").tags["index_status"] == "live: persons_v1_2"


def test_another_way_to_keep_vectors_is_another_collection(
    worker: IndexWorker, settings: Settings, lease: Lease
) -> None:
    worker.index("1", lease, lambda: None)
    Path("params.yaml").write_text("index: {vectors: int8}\n", encoding="utf-8")
    built = worker.index("1", lease, lambda: None)
    assert (built.collection, built.encoded, built.followed) == ("persons_v1_2", 24, False)
