"""What the whole stack does at 10,000, 100,000 and 1,000,000 crops on this machine, and what larger sizes need.

    python benchmarks/scale.py [--sizes 10000] [--stages rows build memory search] [--json FILE]
    python benchmarks/scale.py --plan 1e5 1e7 1e9 [--rate encoder_rate=2000 numbers=768]    work sizes out from rates

Each stage of each size is stored in FILE as soon as it was measured, and not measured again, so a run that was ended
continues. A generator makes the crops, rows without pictures, and random unit vectors.

    rows     into SQLite and PostgreSQL
    build    of 2,000 crops with pictures, which are decoded, beside the encoder alone (see benchmarks/indexing.py)
    memory   of a process that builds an index of all crops (see benchmarks/indexing.py)
    search   vectors go into a real Milvus 2.3.5 (the one of the tests) and their rows into PostgreSQL; one and two
             processes of the service search them with the shipped small CLIP, without a mirror, each request recorded
             in the audit log; "÷" is a request's median over that of the text encoder plus that of a bare
             `MilvusClient.search` for as many, both asked in turns with requests of one client
"""

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from indexing import measured_ratios, memory_of_a_build
from milvus_vectors import connected, directions, wait_until_indexed
from pymilvus import MilvusClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url
from support.replicas import Replica, Served, client_of, megabytes, request_ms, requests_ms, serve
from support.sizing import Rates, plan, plan_rows

from personsearch.bundle import Bundle
from personsearch.compression.forms import build_form
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.database.schema import migrate
from personsearch.integrations.milvus.rows import CROP_FIELDS
from personsearch.integrations.milvus.store import DEFAULTS, MilvusStore
from personsearch.progress import track
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.index import CollectionProperties
from personsearch.search.searcher import JUDGED
from tests.servers.postgresql import postgresql
from tests.servers.real_milvus import real_milvus

SHIPPED = Path(__file__).parents[1] / "weights" / "tiny-clip"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BATCH = 1000
CAMERAS = 100
ENCODED = 2000  # crops that a build encodes …
ROUNDS = 3  # … so often, in turns with the encoder alone
SHARDS = (1, 4)
TURNS = 100  # of a bare search and a request, after …
WARM_UP = 20
CLIENTS = (1, 8, 32)
REPLICAS = (1, 2)
REQUESTS = 60  # and four for each client more
COLLECTION = "scale"  # none of those that a build would drop


def main() -> None:
    """Read the command line; measure the sizes one after the other, or print a plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plan", type=float, nargs="+", metavar="CROPS")
    parser.add_argument("--rate", nargs="+", default=[], metavar="NAME=NUMBER")
    options = parser.parse_args()
    if options.plan:
        try:
            print_plan(options.plan, Rates().with_values(options.rate))
        except ValueError as error:
            parser.error(str(error))
        return
    stored = json.loads(options.json.read_text()) if options.json and options.json.is_file() else []
    measured = {each["crops"]: each for each in stored}
    for size in options.sizes:
        for stage in options.stages:
            if stage not in measured.setdefault(size, {"crops": size}):
                print(f"{size:,} crops, {stage}")
                try:
                    measured[size][stage] = measure(stage, size)
                except RuntimeError as error:
                    print(f"benchmarks/scale.py: {stage} skipped, {error}")
                if options.json:
                    options.json.write_text(json.dumps(list(measured.values()), indent=1))
    print_measured(list(measured.values()))


def print_plan(sizes: list[float], rates: Rates) -> None:
    """One column for each size."""
    table = Table("", *(f"{size:.3g} crops" for size in sizes))
    for what, values in plan_rows([plan(size, rates) for size in sizes]):
        table.add_row(what, *values)
    Console(width=120).print(table)


def print_measured(measured: list[dict[str, Any]]) -> None:
    """One column for each size, one row for each number."""
    flat = [dict(_flat(each)) for each in measured]
    table = Table("", *(f"{each['crops']:,} crops" for each in measured))
    for name in dict.fromkeys(name for each in flat for name in each if name != "crops"):
        values = (each.get(name, "") for each in flat)
        table.add_row(name, *(f"{value:,.4g}" if isinstance(value, float | int) else value for value in values))
    Console(width=120).print(table)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}, ")
        else:
            yield f"{prefix}{name}", value


def measure(stage: str, size: int) -> dict[str, Any]:
    """The numbers of one stage, with the machine and its load meanwhile.

    Raises:
        RuntimeError: what is missing to measure it, in one line.
    """
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        numbers = STAGES[stage](Path(folder), size)
    machine = f"{platform.machine()}, {multiprocessing.cpu_count()} cores"
    return numbers | {"machine": machine, "load": f"{before:.0f} to {os.getloadavg()[0]:.0f}"}


def measure_rows(folder: Path, size: int) -> dict[str, Any]:
    """Rows a second and bytes a crop of both databases."""
    rows = {"SQLite": _fill_rows(gallery_in(folder / "gallery"), size)}
    rows["SQLite"]["bytes a crop"] = sum(path.stat().st_size for path in folder.glob("gallery/gallery.db*")) / size
    with postgresql(durable=True) as new_database:
        database = new_database()
        migrate(Database(database))
        rows["PostgreSQL"] = _fill_rows(gallery_in(folder / "elsewhere", database), size)
        rows["PostgreSQL"]["bytes a crop"] = _postgresql_bytes(database) / size
        rows["PostgreSQL"]["memory MB"] = _postgresql_megabytes(database)
    return rows


def measure_build(folder: Path, size: int) -> dict[str, Any]:
    """A build's rate over that of the encoder alone, by the number of shards."""
    return {f"÷ encoder, {shards} shards": ratio for shards, ratio in measured_ratios(ENCODED, ROUNDS, SHARDS).items()}


def measure_memory(folder: Path, size: int) -> dict[str, Any]:
    """Peak memory of a process that builds an index of so many crops."""
    told = memory_of_a_build(size)
    return {"peak MiB": told["mib"], "seconds": told["seconds"]}


def measure_search(folder: Path, size: int) -> dict[str, Any]:
    """Vectors into Milvus, then searches, bare and by clients of the service."""
    with ExitStack() as stack:
        new_database = stack.enter_context(postgresql(durable=True))
        uri = stack.enter_context(real_milvus(folder))
        connected(uri).close()
        build_form(Bundle.open(SHIPPED), "onnx-int8", "onnxruntime", folder / "bundle")
        encoder = load_graph_encoder(Bundle.open(folder / "bundle"))
        database = new_database()
        migrate(Database(database))
        _fill_rows(gallery_in(folder / "elsewhere", database), size)
        vectors = _fill_milvus(uri, size, encoder.embedding_dim)
        served, bare = Served(folder / "bundle", database, uri, COLLECTION), Bare(uri, encoder)
        service = {f"{replicas} of the service": _search(served, folder, replicas, bare) for replicas in REPLICAS}
        memory = {"Milvus, memory MB": megabytes("milvus", folder)}
        return {"Milvus": vectors} | service | memory


STAGES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "rows": measure_rows,
    "build": measure_build,
    "memory": measure_memory,
    "search": measure_search,
}


def crops(start: int, end: int) -> list[Crop]:
    """Rows with texts as long as those of ingested footage, a second apart, five to a track."""
    made = []
    for number in range(start, end):
        camera = f"camera-{number % CAMERAS:03}"
        crop_id = f"{camera}-20260301T120000-{number:09}"
        made.append(
            Crop(
                crop_id=crop_id,
                camera_id=camera,
                captured_at=NOON + timedelta(seconds=number),
                track_id=f"{camera}-20260301T120000-t{number // (5 * CAMERAS):07}",
                image_uri=f"images/{camera}/2026-03-01/{crop_id}.0123456789abcdef.jpg",
                bbox=BoundingBox(number % 600, number % 400, 64, 128),
                frame_uri=f"footage/{camera}.mp4#{number}",
                quality=number % 100 / 100,
                ingested_at=NOON,
            )
        )
    return made


def _batches(size: int, description: str) -> Iterator[list[Crop]]:
    for start in track(range(0, size, BATCH), description):
        yield crops(start, min(start + BATCH, size))


def _fill_rows(gallery: Gallery, size: int) -> dict[str, float]:
    """Rows a second, a transaction for each thousand."""
    seconds = 0.0
    for batch in _batches(size, "rows"):
        with _timed() as took, gallery.rows.turn() as turn:
            turn.add(batch)
        seconds += took()
    return {"rows/s": size / seconds}


def _fill_milvus(uri: str, size: int, numbers: int) -> dict[str, float]:
    """Vectors a second, and how long the index takes after the last."""
    store, seconds = MilvusStore(uri), 0.0
    index = store.create(COLLECTION, CollectionProperties("benchmark", "1", "", "", numbers), crops=size)
    for number, batch in enumerate(_batches(size, "vectors")):
        vectors_ND = directions(len(batch), numbers, seed=number)
        with _timed() as took:
            index.upsert(batch, vectors_ND)
        seconds += took()
    with _timed() as took:
        index.flush()
        wait_until_indexed(uri, [COLLECTION])
    return {"vectors/s": size / seconds, "index complete after s": took()}


class Bare:
    """A text encoded, and a search as the service asks for it, without the service."""

    def __init__(self, uri: str, encoder: Encoder) -> None:
        self._client = MilvusClient(uri=uri)
        self._encoder = encoder

    def ask(self, text: str) -> tuple[float, float]:
        """Milliseconds of both."""
        with _timed() as encoding:
            vector_1D = self._encoder.encode_texts([text])
        with _timed() as searching:
            self._client.search(
                COLLECTION,
                data=vector_1D.tolist(),
                limit=JUDGED + 1,
                output_fields=CROP_FIELDS,
                search_params=DEFAULTS.search_parameters(JUDGED + 1),
            )
        return 1000 * encoding(), 1000 * searching()


def _text(number: int) -> str:
    return f"a woman in a red jacket and blue jeans with bag number {number}"


def _search(served: Served, folder: Path, replicas: int, bare: Bare) -> dict[str, Any]:
    """Latencies of requests to replicas in turn, by the number of clients."""
    found: dict[str, Any] = {}
    asked = iter(range(10**6))
    with ExitStack() as stack:
        running: list[Replica] = [
            stack.enter_context(serve(served, folder / f"replica-{replicas}-{n}")) for n in range(replicas)
        ]
        addresses = [each.address for each in running]
        found["beside bare searches"] = _in_turns(addresses, bare)
        for clients in CLIENTS:
            count = REQUESTS + 4 * clients
            texts = [_text(10**6 + next(asked)) for _ in range(count)]
            milliseconds, seconds = requests_ms(addresses, texts, clients)
            p50, p95 = np.percentile(milliseconds, [50, 95])
            found[f"{clients} clients"] = {"p50 ms": p50, "p95 ms": p95, "requests/s": count / seconds}
        found["memory MB of each"] = float(np.mean([each.megabytes() for each in running]))
    return found


def _in_turns(addresses: list[str], bare: Bare) -> dict[str, float]:
    """Medians of a request, and of encoding and searching without the service."""
    clients, turns = [client_of(address) for address in addresses], []
    for number in range(WARM_UP + TURNS):
        requesting = request_ms(clients[number % len(clients)], _text(2 * number + 1))
        turns.append((*bare.ask(_text(2 * number)), requesting))
    encode, search, request = (float(value) for value in np.median(turns[WARM_UP:], axis=0))
    return {
        "encode p50 ms": encode,
        "bare search p50 ms": search,
        "request p50 ms": request,
        "÷": request / (encode + search),
    }


def _postgresql_bytes(database: str) -> float:
    with Database(database).reading() as connection:
        connection.exec_driver_sql("CHECKPOINT")
        return float(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def _postgresql_megabytes(database: str) -> float:
    return megabytes("postgres", Path(str(make_url(database).query["host"])))


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    """How many seconds the block took, once it has ended."""
    start = time.perf_counter()
    ended: list[float] = []
    yield lambda: ended[0] - start
    ended.append(time.perf_counter())


if __name__ == "__main__":
    main()
