"""The promoter's worker: a real process that indexes, fails, is killed, stands still, and works again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from personsearch.bundle import TEXT_ONNX, Bundle
from personsearch.errors import UserError
from personsearch.gallery.add_dataset import add_dataset
from personsearch.gallery.store import Gallery
from personsearch.installation.index_worker import IndexWorker, WorkerFailed
from personsearch.installation.platforms import open_registry, open_store
from personsearch.installation.promoter import Installation
from personsearch.installation.settings import Settings
from tests.onnx_bundle import make_onnx_bundle


@pytest.fixture
def settings(tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with two registered versions, of which the second never answers, and crops to index."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONSEARCH_HOME", str(tmp_path / "var"))
    settings = Settings(index_stall_seconds=60)
    add_dataset(tiny_dataset, Gallery(settings.gallery_folder), split="test", start=datetime(2026, 3, 1, 9, tzinfo=UTC))
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


def test_it_indexes_again_and_again_and_after_it_was_killed(worker: IndexWorker, settings: Settings) -> None:
    beats: list[None] = []
    assert worker.index("1", lambda: beats.append(None)) == "persons_v1_1"
    assert beats
    process = worker._process
    assert worker.index("1", lambda: None) == "persons_v1_1"
    assert worker._process is process
    process.kill()
    process.join()
    assert worker.index("1", lambda: None) == "persons_v1_1"
    store = open_store(settings)  # the worker does not keep the file
    assert store.open("persons").count() == 24
    store.close()


def test_what_fails_is_said_and_the_process_lives_on(worker: IndexWorker) -> None:
    process = worker._process
    with pytest.raises(UserError, match=r"version 7 failed: .*no version '7'"):
        worker.index("7", lambda: None)
    assert worker.index("1", lambda: None) == "persons_v1_1"
    assert worker._process is process


def test_a_graph_that_never_returns_is_ended_and_the_version_says_so(settings: Settings) -> None:
    impatient = settings.model_copy(update={"index_stall_seconds": 15.0})
    installation = Installation(impatient, Path("params.yaml"))
    registry = open_registry(settings)
    registry.promote("2")
    with pytest.raises(WorkerFailed, match="no progress for 15 s"):
        installation.index("2", lambda: None)
    assert "no progress for 15 s" in registry.version("2").tags["index_status"]
    registry.promote("1")
    assert installation.index("1", lambda: None) == "persons_v1_1"
    installation._worker.close()
