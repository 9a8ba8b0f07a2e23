"""Two real replicas of one installation under load: one killed, one stopped, and no request fails."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.promotion import pictures
from benchmarks.support.load import Balancer, Service, Truth
from benchmarks.support.machines import embedded_engines, installation
from benchmarks.support.traffic import Traffic
from personsearch.bundle import Bundle
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.gallery.indexing import IndexConfig
from personsearch.installation.api_keys import make_key, open_keys
from personsearch.installation.platforms import open_gallery, open_registry, open_store
from personsearch.installation.promotion import index_version
from personsearch.installation.settings import Settings
from tests.crops import numbered_crop
from tests.onnx_bundle import make_onnx_bundle

CROPS, SENT, CLIENTS = 40, 20, 4
SECONDS = 240.0


@pytest.fixture
def traffic(tmp_path: Path) -> Iterator[Traffic]:
    """The load of two replicas that are ready."""
    with embedded_engines(tmp_path) as engines, installation(tmp_path, engines) as machines:
        settings, bundle = Settings(), Bundle.open(make_onnx_bundle(tmp_path / "bundle", seed=1))
        gallery, registry, truth = open_gallery(settings), open_registry(settings), Truth()
        held = dict(zip((f"crop-{n:03}" for n in range(CROPS)), pictures(CROPS), strict=True))
        gallery.add((numbered_crop(n, crop_id=name), held[name]) for n, name in enumerate(held))
        truth.learn(
            registry.register(bundle, metrics={}, tags={}), bundle.fingerprint, load_graph_encoder(bundle), held
        )
        registry.promote("1")
        index_version(IndexConfig(), registry, open_store(settings), gallery)
        key = make_key(open_keys(settings), "load", scopes=("search", "ingest"))
        for _ in range(2):
            machines.add_replica()
        machines.wait_until_ready()
        with Balancer(machines.addresses, key) as balancer:
            sent = dict(zip((f"live-{n:03}" for n in range(SENT)), pictures(SENT, seed=1), strict=True))
            traffic = Traffic(Service(balancer, truth), machines, gallery, sent)
            wait_until(lambda: all(balancer.ready))
            yield traffic
            traffic.stop.set()


def wait_until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.timeout(900)
def test_a_killed_and_a_stopped_replica_fail_no_request(traffic: Traffic) -> None:
    tally, ready, replicas = traffic.service.tally, traffic.service.balancer.ready, traffic.machines.replicas
    for seed in range(CLIENTS):
        traffic.begin(lambda seed=seed: traffic.search(seed, pause=0.3))
    traffic.begin(lambda: traffic.send(list(traffic.pictures), rate=2.0))
    for replica, number in zip(replicas, (signal.SIGKILL, signal.SIGTERM), strict=True):
        wait_until(lambda: all(ready))
        answered, starts = tally.requests, replica.starts
        wait_until(lambda: tally.requests > answered + 10)  # noqa: B023
        replica.send(number)
        wait_until(lambda: replica.starts > starts)  # noqa: B023
    answered = tally.requests
    wait_until(lambda: tally.requests > answered + 10)
    wait_until(lambda: len(traffic.service.crops.acknowledged) == SENT)
    traffic.end()
    assert tally.notes == []
    assert (tally.failed, tally.refused, tally.mismatched) == (0, 0, 0)
    held = {crop.crop_id for crop in traffic.gallery.crops()}
    assert set(traffic.service.crops.acknowledged) <= held
