"""The latency that the service adds to its text encoder, with one query at a time over HTTP.

Run: `python benchmarks/serving_latency.py [BUNDLE] [--crops 5000] [--queries 200]` with any ONNX bundle; the default is
the shipped small CLIP in int8.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import uvicorn
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this folder, which has a serving.py too
from personsearch.bundle import Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.index import CollectionProperties
from personsearch.search.searcher import Searcher
from serving.app import create_app
from serving.index_search import IndexSearch
from serving.live import LiveSearch
from serving.metrics import Metrics
from serving.query_encoder import QueryEncoder
from serving.settings import ServingSettings

SHIPPED = Path(__file__).parents[1] / "weights" / "tiny-clip"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JPEG = b"\xff\xd8\xff\xd9"


class OneCollection:
    """A LiveSource of random unit vectors under a bundle's encoder."""

    def __init__(self, encoder: Encoder, gallery: Gallery) -> None:
        crops = list(gallery.crops())
        vectors = np.random.default_rng(0).standard_normal((len(crops), encoder.embedding_dim)).astype(np.float32)
        index = ExactIndex(encoder.embedding_dim)
        index.upsert(crops, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        self._gallery = gallery
        self._searcher = Searcher(QueryEncoder(encoder, metrics=Metrics()), index)
        self._properties = CollectionProperties("benchmark", "1", "", "", encoder.embedding_dim)

    def target(self) -> str | None:
        return "persons_v1_1"

    def load(self) -> LiveSearch:
        return IndexSearch("persons_v1_1", self._properties, self._searcher, self._gallery)


def main() -> None:
    """Time the encoder, an uncached and a cached query, alternating so that all run under the same load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--crops", type=int, default=5000)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        encoder = load_graph_encoder(Bundle.open(options.bundle or _shipped(Path(home) / "bundle")))
        settings = ServingSettings(home=Path(home), allow_anonymous=True, searches_per_minute=10**9)
        app = create_app(settings, source=OneCollection(encoder, _fill(settings, options.crops)))
        _report(_measure(app, encoder, options.queries), options.crops)


def _shipped(folder: Path) -> Path:
    from personsearch.compression.forms import build_form

    build_form(Bundle.open(SHIPPED), "onnx-int8", "onnxruntime", folder)
    return folder


def _measure(app: object, encoder: Encoder, queries: int) -> dict[str, list[float]]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))  # type: ignore[arg-type]
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    milliseconds: dict[str, list[float]] = {"bare encoder": [], "uncached query": [], "cached query": []}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        while not client.get("/readyz").is_success:
            time.sleep(0.05)
        for number in range(queries):
            text = f"a woman in a red jacket and blue jeans with bag number {number}"
            ask = _asker(client, text)
            milliseconds["bare encoder"].append(_time(lambda text=text: encoder.encode_texts([text])))  # type: ignore[misc]
            milliseconds["uncached query"].append(_time(ask))
            milliseconds["cached query"].append(_time(ask))
    server.should_exit = True
    return milliseconds


def _asker(client: httpx.Client, text: str) -> Callable[[], object]:
    return lambda: client.post("/v1/search", json={"text": text, "k": 20}).raise_for_status()


def _time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def _report(milliseconds: dict[str, list[float]], crops: int) -> None:
    table = Table("", "p50 ms", "p95 ms", title=f"{crops:,} crops, k = 20, audit log flushed for each query")
    for name, values in milliseconds.items():
        table.add_row(name, *(f"{np.percentile(values, share):.1f}" for share in (50, 95)))
    Console().print(table)


def _fill(settings: ServingSettings, count: int) -> Gallery:
    box = BoundingBox(0, 0, 64, 128)
    crops = [
        Crop(f"crop-{n:06}", f"camera-{n % 8}", NOON, f"track-{n // 5}", "", box, "", 0.5, NOON) for n in range(count)
    ]
    gallery = gallery_in(settings.gallery_folder)
    gallery.add((crop, JPEG) for crop in crops)
    return gallery


if __name__ == "__main__":
    main()
