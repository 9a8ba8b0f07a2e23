"""Clients of a service in several replicas, which hold every answer against what they know to be true.

Shapes: N crops, T texts, D embedding dimension.
"""

import base64
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from zlib import crc32

import httpx
import numpy as np
from numpy.typing import NDArray

from personsearch.encoders.encoder import Encoder
from personsearch.images import open_image, resize

TEXTS = tuple(
    f"a {who} in a {colour} {what}"
    for who in ("man", "woman")
    for colour in ("red", "blue", "green", "white", "black", "yellow")
    for what in ("coat", "shirt")
)
CONNECTION_ERRORS = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
TOLERANCE = 0.01  # of a score: half precision, and other sums on another machine's engine
TIMEOUT_SECONDS = 30.0
PROBE_SECONDS = 0.3
K = 10
ENCODED_AT_ONCE = 32
NOTES = 40
CAMERAS = 8
STAGES = ("acknowledged", "vector stored", "found")  # what a crop waits for, one after the other


@dataclass
class Truth:
    """What each version of the model computes for the texts and for every crop that is ever sent."""

    fingerprints: dict[str, str] = field(default_factory=dict)
    texts: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    crops: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)

    def learn(self, version: str, fingerprint: str, encoder: Encoder, pictures: Mapping[str, bytes]) -> None:
        """Compute what a version makes of the texts and the pictures, by crop id."""
        size, vectors = encoder.preprocessing, {}
        names = list(pictures)
        for start in range(0, len(names), ENCODED_AT_ONCE):
            part = names[start : start + ENCODED_AT_ONCE]
            pixels = [resize(open_image(pictures[name]), size.height, size.width, size.interpolation) for name in part]
            vectors |= dict(zip(part, encoder.encode_images(np.array(pixels)), strict=True))
        self.fingerprints[version] = fingerprint
        self.texts[version] = encoder.encode_texts(list(TEXTS))
        self.crops[version] = vectors

    def wrong(self, answer: Mapping[str, Any], text: int) -> str:
        """What does not fit the collection that answered; "" if all does."""
        version, collection = answer["model"]["version"], answer["collection"]
        if not re.fullmatch(rf"persons_v{version}_\d+", collection):
            return f"{collection} answered with version {version}"
        if answer["model"]["fingerprint"] != self.fingerprints.get(version):
            return f"version {version} answered with fingerprint {answer['model']['fingerprint']}"
        for candidate in answer["candidates"]:
            crop_id, score = candidate["crop_id"], candidate["score"]
            expected = float(self.texts[version][text] @ self.crops[version][crop_id])
            if abs(score - expected) > TOLERANCE:
                return f"{collection}: {crop_id} has score {score:.3f}, {expected:.3f} expected"
        return ""


@dataclass
class Tally:
    """What became of all requests."""

    requests: int = 0
    failed: int = 0
    refused: int = 0
    retried: int = 0
    mismatched: int = 0
    erased_returned: int = 0
    seconds: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, note: str = "", **counts: int) -> None:
        """Count, and keep the first notes."""
        with self._lock:
            for name, number in counts.items():
                setattr(self, name, getattr(self, name) + number)
            if note and len(self.notes) < NOTES:
                self.notes.append(f"{datetime.now(UTC):%H:%M:%S} {note}")

    def took(self, seconds: float) -> None:
        """Keep how long a search took."""
        with self._lock:
            self.seconds.append(seconds)


class Outages:
    """When an engine was away: only then may a request be refused."""

    def __init__(self, grace_seconds: float = 15.0) -> None:
        self._grace = grace_seconds
        self._spans: list[tuple[float, float]] = []
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterable[None]:  # type: ignore[misc]
        """An engine is away while the block runs."""
        start = time.monotonic()
        with self._lock:
            self._spans.append((start, float("inf")))
        try:
            yield
        finally:
            with self._lock:
                self._spans[-1] = (start, time.monotonic() + self._grace)

    def excuse(self, start: float) -> bool:
        """Whether one was away, or just back, at some time since `start`."""
        with self._lock:
            return any(start <= end and begin <= time.monotonic() for begin, end in self._spans)


class Balancer:
    """Sends each request to the next replica that says it is ready, as load balancers do.

    A request whose connection fails is sent to the next one, for as long as `patience` after the first failure: each
    connection that a killed replica has left in the pool fails once. Every other failure is the caller's.
    """

    patience = 5.0  # seconds, also until a replica must be ready again

    def __init__(self, addresses: Sequence[str], key: str) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=100)
        self._clients = [
            httpx.Client(
                base_url=address,
                headers={"X-API-Key": key},
                timeout=TIMEOUT_SECONDS,
                limits=limits,
                trust_env=False,
            )
            for address in addresses
        ]
        self.ready = [False] * len(addresses)
        self._turn = count()
        self.tally = Tally()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._probe, args=(n,), daemon=True) for n in range(len(addresses))]

    def __enter__(self) -> "Balancer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer of one replica.

        Raises:
            httpx.HTTPError: no replica can be reached, or one did not answer in time.
        """
        failed_at = None
        while True:
            number = self._next()
            try:
                return self._clients[number].request(method, path, **options)
            except CONNECTION_ERRORS as error:
                if isinstance(error, httpx.ConnectError):  # else it may only have closed a connection that was idle
                    self.ready[number] = False
                failed_at = failed_at or time.monotonic()
                if time.monotonic() - failed_at >= self.patience:
                    raise
                self.tally.add(retried=1)

    def _next(self) -> int:
        """The next replica that is ready; waits for one where none is, and takes any after a while."""
        turn, replicas, deadline = next(self._turn), len(self._clients), time.monotonic() + self.patience
        while True:
            ready = [number for step in range(replicas) if self.ready[number := (turn + step) % replicas]]
            if ready or time.monotonic() > deadline:
                return ready[0] if ready else turn % replicas
            time.sleep(0.05)

    def _probe(self, number: int) -> None:
        while not self._stopping.wait(PROBE_SECONDS):
            try:
                self.ready[number] = self._clients[number].get("/readyz", timeout=5.0).is_success
            except httpx.HTTPError:
                self.ready[number] = False


@dataclass
class Crops:
    """The crops that were sent: which were acknowledged, seen by a search, erased."""

    taken_at: dict[str, datetime] = field(default_factory=dict)
    acknowledged: dict[str, float] = field(default_factory=dict)
    unstored: dict[str, float] = field(default_factory=dict)
    unseen: dict[str, float] = field(default_factory=dict)
    erased: dict[str, float] = field(default_factory=dict)
    doomed: set[str] = field(default_factory=set)
    fresh_seconds: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    _stored_at: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, crop_id: str) -> None:
        """A camera takes a crop, which waits until it can be sent."""
        with self._lock:
            self.taken_at[crop_id] = datetime.now(UTC)

    def acknowledge(self, crop_id: str) -> None:
        """The service has stored it."""
        now = time.monotonic()
        with self._lock:
            self.acknowledged[crop_id] = self.unstored[crop_id] = self.unseen[crop_id] = now
            self.stages["acknowledged"].append((datetime.now(UTC) - self.taken_at[crop_id]).total_seconds())

    def store(self, crop_ids: Iterable[str]) -> None:
        """The live collection has their vectors."""
        now = time.monotonic()
        with self._lock:
            for crop_id in crop_ids:
                if (since := self.unstored.pop(crop_id, None)) is not None:
                    self._stored_at[crop_id] = now
                    self.stages["vector stored"].append(now - since)

    def doom(self, crop_ids: Iterable[str]) -> None:
        """They are about to be erased: whether they can be found is no matter any more."""
        with self._lock:
            self.doomed.update(crop_ids)
            for crop_id in crop_ids:
                self.unstored.pop(crop_id, None)
                self.unseen.pop(crop_id, None)

    def erase(self, crop_ids: Iterable[str]) -> None:
        """Their erasure was acknowledged."""
        with self._lock:
            self.erased |= dict.fromkeys(crop_ids, time.monotonic())

    def see(self, crop_ids: Iterable[str]) -> None:
        """A search has found them."""
        now = time.monotonic()
        with self._lock:
            for crop_id in crop_ids:
                if (since := self.unseen.pop(crop_id, None)) is not None:
                    self.fresh_seconds.append(now - since)
                    if stored_at := self._stored_at.pop(crop_id, None):
                        self.stages["found"].append(now - stored_at)

    def waiting_for_vectors(self) -> list[str]:
        """Those acknowledged whose vectors the live collection did not have yet, oldest first."""
        with self._lock:
            return list(self.unstored)

    def waiting(self) -> list[str]:
        """Those acknowledged that no search has found, oldest first."""
        with self._lock:
            return list(self.unseen)

    def kept(self) -> list[str]:
        """Those acknowledged that stay."""
        with self._lock:
            return [crop_id for crop_id in self.acknowledged if crop_id not in self.doomed]

    def gone_before(self, moment: float) -> set[str]:
        """Those whose erasure was acknowledged before a moment."""
        with self._lock:
            return {crop_id for crop_id, at in self.erased.items() if at < moment}


class Service:
    """The service as its clients see it: each method sends one request and judges the answer."""

    def __init__(self, balancer: Balancer, truth: Truth) -> None:
        self.balancer = balancer
        self.tally = balancer.tally
        self.crops = Crops()
        self.outages = Outages()
        self._truth = truth

    def search(self, text: int, **options: Any) -> list[str] | None:
        """The ids of the candidates; None if there was no answer."""
        start = time.monotonic()
        body = {"text": TEXTS[text], "k": K, **options}
        answer = self._ask("POST", "/v1/search", json=body)
        if answer is None:
            return None
        self.tally.took(time.monotonic() - start)
        found = answer.json()
        crop_ids = [candidate["crop_id"] for candidate in found["candidates"]]
        if wrong := self._truth.wrong(found, text):
            self.tally.add(wrong, mismatched=1)
        if returned := self.crops.gone_before(start).intersection(crop_ids):
            self.tally.add(f"erased and returned: {', '.join(sorted(returned))}", erased_returned=1)
        return crop_ids

    def look(self, crop_id: str) -> None:
        """Ask for the picture of a crop that an answer has named; it may have been erased since."""
        start = time.monotonic()
        answer = self._ask("GET", f"/v1/crops/{crop_id}/image", also=(404,))
        if answer is None:
            return
        if answer.status_code == 404 and crop_id not in self.crops.doomed:
            self.tally.add(f"no picture of {crop_id}: {answer.text}", failed=1)
        if answer.is_success and crop_id in self.crops.gone_before(start):
            self.tally.add(f"erased and shown: {crop_id}", erased_returned=1)

    def send(self, jpegs: Mapping[str, bytes]) -> bool:
        """Send crops as their camera does; whether they are stored. If not, the camera sends them again."""
        crops = [
            {
                "crop_id": crop_id,
                "camera_id": f"camera-{crc32(crop_id.encode()) % CAMERAS}",
                "captured_at": self.crops.taken_at[crop_id].isoformat(),
                "image": base64.b64encode(jpeg).decode(),
            }
            for crop_id, jpeg in jpegs.items()
        ]
        answer = self._ask("POST", "/v1/crops", json={"crops": crops}, also=(429,))
        if answer is None or answer.status_code == 429:
            return False
        for receipt in answer.json()["crops"]:
            if receipt["status"] in (200, 201):
                self.crops.acknowledge(receipt["crop_id"])
            else:
                self.tally.add(f"{receipt['crop_id']} was sent: {receipt['detail']}", failed=1)
        return True

    def _ask(self, method: str, path: str, *, also: tuple[int, ...] = (), **options: Any) -> httpx.Response | None:
        start = time.monotonic()
        self.tally.add(requests=1)
        try:
            answer = self.balancer.request(method, path, **options)
        except httpx.HTTPError as error:
            self.tally.add(f"{method} {path}: {type(error).__name__}: {error}", failed=1)
            return None
        if answer.is_success or answer.status_code in also:
            return answer
        said = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code == 503 and self.outages.excuse(start) and answer.json().get("detail"):
            self.tally.add(refused=1)
        else:
            self.tally.add(f"{said} after {time.monotonic() - start:.1f} s", failed=1)
        return None
