"""Processes of the service for a benchmark, and clients that ask them."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import psutil

READY_SECONDS = 180.0


@dataclass(frozen=True)
class Replica:
    """A running process of the service."""

    address: str
    pid: int

    def megabytes(self) -> float:
        """Of memory that it holds."""
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6


@dataclass(frozen=True)
class Served:
    """What replicas answer from: one collection in a Milvus, without a mirror, and a database for the audit log."""

    bundle: Path
    database: str
    milvus: str
    collection: str


@contextmanager
def serve(served: Served, home: Path) -> Iterator[Replica]:
    """A replica, once it is ready."""
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    process = context.Process(target=_serve, args=(served, home, ports), daemon=True)
    process.start()
    try:
        address = f"http://127.0.0.1:{ports.get(timeout=READY_SECONDS)}"
        deadline = time.monotonic() + READY_SECONDS
        while not httpx.get(f"{address}/readyz", trust_env=False, timeout=30).is_success:
            if time.monotonic() > deadline:
                raise RuntimeError(f"a replica was not ready within {READY_SECONDS:.0f} s")
            time.sleep(0.2)
        assert process.pid is not None
        yield Replica(address, process.pid)
    finally:
        process.terminate()
        process.join()


def client_of(address: str) -> httpx.Client:
    """A client that keeps its connection to a replica."""
    return httpx.Client(base_url=address, timeout=120, trust_env=False)


def request_ms(client: httpx.Client, text: str) -> float:
    """Milliseconds of one search."""
    start = time.perf_counter()
    client.post("/v1/search", json={"text": text, "k": 10}).raise_for_status()
    return 1000 * (time.perf_counter() - start)


def requests_ms(addresses: Sequence[str], texts: Sequence[str], clients: int) -> tuple[list[float], float]:
    """The milliseconds of each search by clients that ask at the same time, replicas in turn, and all seconds."""
    numbers, local = count(), threading.local()

    def ask(text: str) -> float:
        if not hasattr(local, "client"):
            address = addresses[next(numbers) % len(addresses)]
            local.client = client_of(address)
        return request_ms(local.client, text)

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        milliseconds = list(pool.map(ask, texts))
    return milliseconds, time.perf_counter() - start


def megabytes(name: str, folder: Path) -> float:
    """Memory of the processes of a name that stand in a folder or were given it, shared pages counted once."""
    total = 0
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        given = " ".join(process.info["cmdline"] or []) + f" {process.info['cwd']}"
        if name in (process.info["name"] or "") and str(folder) in given:
            total += process.memory_full_info().pss
    return total / 1e6


def _serve(served: Served, home: Path, ports: "multiprocessing.Queue[int]") -> None:
    import uvicorn

    from personsearch.bundle import Bundle
    from personsearch.encoders.load_graph import load_graph_encoder
    from personsearch.installation.platforms import open_gallery
    from personsearch.integrations.milvus.store import MilvusStore
    from personsearch.search.searcher import Searcher
    from serving.app import create_app
    from serving.index_search import IndexSearch
    from serving.live import LiveSearch
    from serving.metrics import Metrics
    from serving.query_encoder import QueryEncoder
    from serving.settings import ServingSettings

    os.environ["PERSONSEARCH_HOME"] = str(home)
    settings = ServingSettings(
        home=home,
        database=served.database,
        milvus_uri=served.milvus,
        allow_anonymous=True,
        mirror=False,
        searches_per_minute=10**9,
    )
    store, encoder = MilvusStore(served.milvus), load_graph_encoder(Bundle.open(served.bundle))
    collection = served.collection

    class OneCollection:
        """A LiveSource of one collection."""

        def target(self) -> str | None:
            return collection

        def load(self) -> LiveSearch:
            searcher = Searcher(QueryEncoder(encoder, metrics=Metrics()), store.open(collection))
            return IndexSearch(collection, store.properties(collection), searcher, open_gallery(settings))

    server = uvicorn.Server(uvicorn.Config(create_app(settings, source=OneCollection()), port=0, log_level="error"))
    threading.Thread(target=_announce, args=(server, ports), daemon=True).start()
    server.run()


def _announce(server: "object", ports: "multiprocessing.Queue[int]") -> None:
    while not server.started:  # type: ignore[attr-defined]
        time.sleep(0.05)
    ports.put(server.servers[0].sockets[0].getsockname()[1])  # type: ignore[attr-defined]
