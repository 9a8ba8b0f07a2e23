"""The clients of the load proof see what is wrong: another model's scores, erased crops, failures without excuse."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from benchmarks.support.load import STAGES, TEXTS, Balancer, Service, Truth
from tests.servers.starting import free_port


class Replica(BaseHTTPRequestHandler):
    """Answers as it is told."""

    status, body, resets, served = 200, "{}", False, 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).served += 1
        if self.resets:
            self.connection.close()
            return
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_: object) -> None: ...


@contextmanager
def replica(**told: Any) -> Iterator[tuple[str, type[Replica]]]:
    handler = type("Told", (Replica,), told)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def truth() -> Truth:
    """Two versions whose crops have other vectors."""
    truth = Truth()
    for number, version in enumerate("12"):
        truth.fingerprints[version] = f"f{version}"
        truth.texts[version] = np.tile(np.eye(2, dtype=np.float32)[number], (len(TEXTS), 1))
        truth.crops[version] = {"crop": np.array([0.8, 0.6], dtype=np.float32)}
    return truth


def answer(version: str, score: float, *, collection: str = "", fingerprint: str = "") -> dict[str, Any]:
    model = {"version": version, "fingerprint": fingerprint or f"f{version}"}
    candidates = [{"crop_id": "crop", "score": score}]
    return {"collection": collection or f"persons_v{version}_7", "model": model, "candidates": candidates}


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (answer("1", 0.8), ""),
        (answer("2", 0.6), ""),
        (answer("2", 0.8), "crop has score 0.800, 0.600 expected"),
        (answer("1", 0.8, collection="persons_v2_7"), "persons_v2_7 answered with version 1"),
        (answer("1", 0.8, fingerprint="f2"), "version 1 answered with fingerprint f2"),
    ],
)
def test_an_answer_of_two_models_is_seen(truth: Truth, given: dict[str, Any], wrong: str) -> None:
    assert wrong in truth.wrong(given, 0)
    assert bool(truth.wrong(given, 0)) == bool(wrong)


def test_a_connection_that_fails_is_tried_on_the_other_replica(truth: Truth) -> None:
    with replica() as (good, _), replica(resets=True) as (bad, resetting):
        balancer = Balancer([bad, good, f"http://127.0.0.1:{free_port()}"], "key")
        balancer.ready = [True] * 3
        for _ in range(3):
            assert balancer.request("POST", "/v1/search", json={}).status_code == 200
        assert balancer.ready == [True, True, False]
        assert balancer.tally.retried == resetting.served + 1


def test_no_replica_at_all_is_a_failure(truth: Truth) -> None:
    balancer = Balancer([f"http://127.0.0.1:{free_port()}"], "key")
    balancer.patience = 0.0
    service = Service(balancer, truth)
    assert service.search(0) is None
    assert (service.tally.requests, service.tally.failed, service.tally.retried) == (1, 1, 0)


def test_every_connection_that_a_killed_replica_left_may_fail(truth: Truth) -> None:
    with replica(resets=True) as (address, told):
        balancer = Balancer([address], "key")
        balancer.ready = [True]
        threading.Timer(0.3, lambda: setattr(told, "resets", False)).start()
        assert balancer.request("POST", "/v1/search", json={}).status_code == 200
        assert balancer.tally.retried == told.served - 1 > 4


def test_a_replica_that_is_not_ready_is_waited_for(truth: Truth) -> None:
    with replica() as (address, _):
        balancer = Balancer([f"http://127.0.0.1:{free_port()}", address], "key")
        threading.Timer(0.2, lambda: balancer.ready.__setitem__(1, True)).start()
        assert balancer.request("POST", "/v1/search", json={}).status_code == 200
        assert balancer.tally.retried == 0


def test_only_an_outage_excuses_a_refusal_that_says_why(truth: Truth) -> None:
    with replica(status=503, body='{"detail": "the database is away"}') as (address, told):
        balancer = Balancer([address], "key")
        balancer.ready = [True]
        service = Service(balancer, truth)
        service.search(0)
        assert (service.tally.failed, service.tally.refused) == (1, 0)
        with service.outages.one():
            service.search(0)
            assert (service.tally.failed, service.tally.refused) == (1, 1)
            told.body = "{}"
            service.search(0)
            assert (service.tally.failed, service.tally.refused) == (2, 1)
            told.status = 500
            service.search(0)
            assert (service.tally.failed, service.tally.refused) == (3, 1)


def test_a_crop_that_is_returned_after_its_erasure_was_acknowledged_is_counted(truth: Truth) -> None:
    body = '{"collection": "persons_v1_1", "model": {"version": "1", "fingerprint": "f1"}, "candidates": %s}'
    with replica(body=body % '[{"crop_id": "crop", "score": 0.8}]') as (address, _):
        balancer = Balancer([address], "key")
        balancer.ready = [True]
        service = Service(balancer, truth)
        service.crops.take("crop")
        service.crops.acknowledge("crop")
        assert service.search(0) == ["crop"]
        assert service.tally.erased_returned == 0
        service.crops.doom(["crop"])
        service.crops.erase(["crop"])
        time.sleep(0.01)
        service.search(0)
        assert (service.tally.erased_returned, service.tally.failed, service.tally.mismatched) == (1, 0, 0)


def test_each_crop_of_a_batch_is_judged_and_its_stages_are_timed(truth: Truth) -> None:
    receipts = '[{"crop_id": "one", "status": 201, "detail": ""}, {"crop_id": "two", "status": 410, "detail": "gone"}]'
    with replica(body=f'{{"crops": {receipts}}}', status=207) as (address, _):
        balancer = Balancer([address], "key")
        balancer.ready = [True]
        service = Service(balancer, truth)
        crops = service.crops
        for crop_id in ("one", "two"):
            crops.take(crop_id)
        assert service.send({"one": b"jpeg", "two": b"jpeg"})
        assert (list(crops.acknowledged), crops.waiting(), crops.waiting_for_vectors()) == (["one"], ["one"], ["one"])
        assert (service.tally.failed, service.tally.notes[0].partition(" ")[2]) == (1, "two was sent: gone")
        crops.store(["one", "two"])
        crops.see(["one"])
        assert (crops.waiting(), crops.waiting_for_vectors()) == ([], [])
        assert [len(crops.stages[stage]) for stage in STAGES] == [1, 1, 1]
        assert crops.stages["vector stored"][0] <= crops.fresh_seconds[0]


def test_a_batch_that_is_told_to_wait_is_sent_again(truth: Truth) -> None:
    with replica(status=429) as (address, _):
        balancer = Balancer([address], "key")
        balancer.ready = [True]
        service = Service(balancer, truth)
        service.crops.take("one")
        assert not service.send({"one": b"jpeg"})
        assert (service.tally.failed, service.crops.acknowledged) == (0, {})
