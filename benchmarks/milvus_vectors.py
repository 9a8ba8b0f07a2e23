"""How Milvus searches: smaller vectors, and indexes and partitions under filters. Time and recall of a search.

One real Milvus 2.3.5 (the one of the tests) stores the same random crops in each coding; searches alternate between
them. Ten crops show each person, with a cosine of 0.8 to each other and to a query. Recall is relative to float32 in
memory. The server's memory is not measured, because its buffers for inserted rows exceed the differences.

    python benchmarks/milvus_vectors.py [--crops 20000] [--numbers 512]

With `--filters`, text queries of the shipped small CLIP search random vectors with the mean and covariance of its image
vectors, as in `benchmarks/vectors.py`, under filters that pass a share of the crops by time, or by one camera or five
of a hundred. The collection is filled once and indexed again and again. With `--lite` they do so in Milvus Lite, which
is filled for each index. The people are drawn unless `--dataset` names prepared ones.

    python benchmarks/milvus_vectors.py --filters [--crops 100000] [--queries 40] [--dataset PREPARED] [--lite]

Shapes: N crops, Q queries, P people, D numbers of a vector.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient
from support.people import prepare_people
from vectors import CACHE, PEOPLE, embed, like

from personsearch.errors import UserError
from personsearch.integrations.milvus.options import CollectionOptions
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.integrations.milvus.vectors import VECTOR
from personsearch.progress import track
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties, VectorIndex
from personsearch.search.quantised import FLOAT32, Coding
from personsearch.search.searcher import JUDGED

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.servers.milvus_lite_server import start_server
from tests.servers.real_milvus import real_milvus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CROP = Crop("", "camera", NOON, "", "", BoundingBox(0, 0, 64, 128), "", 1.0, NOON)
WAYS = {"float32": FLOAT32, "int8": Coding("int8"), "binary": Coding("binary", 10)}
START_SECONDS = 300.0
SECOND = timedelta(seconds=1)
WRITTEN = 1000  # crops in one call
INDEXED_SECONDS = 3600.0
SETTLE_SECONDS = 20.0  # time for the server to build its indexes
ALIKE = 10
CAMERAS = 100
FIVE = tuple(f"camera {number}" for number in range(5))
SHARES = (1.0, 0.5, 0.05, 0.01, 0.001)
FILTERED = "persons_v1_1"


class Lists(CollectionOptions):
    """IVF_FLAT, which is no setting of an installation."""

    def index_parameters(self, crops: int, *, is_lite: bool) -> dict[str, Any]:
        return {"index_type": "IVF_FLAT", "metric_type": "COSINE", "params": {"nlist": 1024}}

    def search_parameters(self, limit: int) -> dict[str, Any]:
        return {"metric_type": "COSINE", "params": dict(self.search)}


# An index, and the ways in which it is searched.
INDEXES: dict[str, list[CollectionOptions]] = {
    "FLAT": [CollectionOptions("FLAT")],
    "HNSW": [CollectionOptions("HNSW", search=search) for search in ({}, {"ef": 88}, {"ef": 256})],
    "AUTOINDEX": [CollectionOptions("AUTOINDEX", search=search) for search in ({}, {"ef": 88})],
    "IVF_FLAT": [Lists(search={"nprobe": lists}) for lists in (16, 64)],
}
LITE_INDEXES = {name: INDEXES[name][:1] for name in ("FLAT", "HNSW")}


@dataclass(frozen=True)
class Filtered:
    """Crops with vectors, queries, and filters by what they pass."""

    crops: list[Crop]
    vectors_ND: NDArray[np.float32]
    queries_QD: NDArray[np.float32]
    filters: dict[str, CropFilter]

    @property
    def properties(self) -> CollectionProperties:
        return CollectionProperties("benchmark", "1", "", "", self.vectors_ND.shape[1])

    def best(self) -> dict[str, list[set[str]]]:
        """The ids of each query's ten best crops under each filter."""
        exact = ExactIndex(self.vectors_ND.shape[1])
        exact.upsert(self.crops, self.vectors_ND)
        return {
            name: [{hit.crop.crop_id for hit in hits} for hits in exact.search(self.queries_QD, 10, each)]
            for name, each in self.filters.items()
        }


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=20_000)
    parser.add_argument("--numbers", type=int, default=512)
    parser.add_argument("--filters", action="store_true")
    parser.add_argument("--lite", action="store_true")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--dataset", type=Path)
    arguments = parser.parse_args()
    if arguments.lite:
        with tempfile.TemporaryDirectory() as folder, lite(Path(folder)) as address:
            compare_indexes(address, draw(arguments.crops, arguments.queries, arguments.dataset), LITE_INDEXES)
        return
    try:
        with tempfile.TemporaryDirectory() as folder, real_milvus(Path(folder)) as address:
            store = connected(address)
            if arguments.filters:
                compare_indexes(address, draw(arguments.crops, arguments.queries, arguments.dataset), INDEXES)
            else:
                compare(store, arguments.crops, arguments.numbers, arguments.queries)
    except RuntimeError as error:
        print(f"benchmarks/milvus_vectors.py: skipped, {error}")


def compare(store: MilvusStore, count: int, numbers: int, queries: int) -> None:
    """Fill a collection in each coding, then search them in turn."""
    people_PD = directions(count // ALIKE, numbers, seed=0)
    vectors_ND = near(people_PD.repeat(ALIKE, axis=0), seed=1)
    queries_QD = near(people_PD[:queries], seed=2)
    crops = [replace(CROP, crop_id=f"{row:07d}") for row in range(len(vectors_ND))]
    exact = ExactIndex(numbers)
    indexes: dict[str, VectorIndex] = {"float32 in memory": exact}
    for way, coding in WAYS.items():
        properties = CollectionProperties("benchmark", "1", "", "", numbers, coding)
        indexes[way] = store.create(f"persons_v{way}_1", properties)
    for index in indexes.values():
        index.upsert(crops, vectors_ND)
        index.flush()
    time.sleep(SETTLE_SECONDS)
    best = [{hit.crop.crop_id for hit in hits} for hits in exact.search(queries_QD, 10)]
    milliseconds: dict[str, list[float]] = {way: [] for way in indexes}
    found = dict.fromkeys(indexes, 0)
    for query_D, expected in zip(queries_QD, best, strict=True):
        for way, index in indexes.items():
            start = time.perf_counter()
            [hits] = index.search(query_D[None], JUDGED)
            milliseconds[way].append((time.perf_counter() - start) * 1000)
            found[way] += len(expected & {hit.crop.crop_id for hit in hits[:10]})
    print("| vectors | ms (median) | recall@10 |\n|---|---|---|")
    for way, times in milliseconds.items():
        print(f"| {way} | {np.median(times):.0f} | {found[way] / 10 / len(best):.3f} |")


def draw(count: int, queries: int, dataset: Path | None) -> Filtered:
    """Crops a second apart in an order that says nothing, so that the times do not depend on that of insertion."""
    people = embed(Path("weights/tiny-clip"), dataset or prepare_people(PEOPLE, CACHE), 2000)
    mixed = np.random.default_rng(1).permutation(count)
    crops = [
        replace(CROP, crop_id=f"{row:07d}", camera_id=f"camera {row % CAMERAS}", captured_at=NOON + int(at) * SECOND)
        for row, at in enumerate(mixed)
    ]
    filters = {f"{100 * share:g} %": CropFilter(before=NOON + round(share * count) * SECOND) for share in SHARES}
    filters |= {"one camera": CropFilter(cameras=("camera 7",)), "five cameras": CropFilter(cameras=FIVE)}
    texts_QD = people.text_QD[:: max(1, len(people.text_QD) // queries)][:queries]
    return Filtered(crops, like(people.gallery_GD, count), texts_QD, filters)


def compare_indexes(address: str, drawn: Filtered, indexes: dict[str, list[CollectionOptions]]) -> None:
    """Print a row for each way to search each index: recall of the ten best, and the median time, by filter."""
    best = drawn.best()
    print(f"| recall@10, ms | {' | '.join(drawn.filters)} |\n|---|{'---|' * len(drawn.filters)}", flush=True)
    for index, searches in indexes.items():
        name = prepare_index(address, drawn, searches[0])
        for options in searches:
            opened = MilvusStore(address, options=options).open(name)
            opened.search(drawn.queries_QD[:1], JUDGED)
            cells = [searched(opened, drawn, passing, best[passing]) for passing in drawn.filters]
            way = ", ".join([index, *(f"{key} {value}" for key, value in options.search.items())])
            print(f"| {way} | {' | '.join(f'{share:.3f}, {time:.0f}' for share, time in cells)} |", flush=True)


def searched(opened: VectorIndex, drawn: Filtered, passing: str, best: Sequence[set[str]]) -> tuple[float, float]:
    """Recall of the ten best and median milliseconds, under one filter."""
    shares, milliseconds = [], []
    for query_D, expected in zip(drawn.queries_QD, best, strict=True):
        start = time.perf_counter()
        [hits] = opened.search(query_D[None], JUDGED, drawn.filters[passing])
        milliseconds.append((time.perf_counter() - start) * 1000)
        shares.append(len(expected & {hit.crop.crop_id for hit in hits[:10]}) / len(expected))
    return float(np.mean(shares)), float(np.median(milliseconds))


def prepare_index(address: str, drawn: Filtered, options: CollectionOptions) -> str:
    """A collection with all crops under an index: a server's only one gets it, Milvus Lite makes another."""
    store, client = MilvusStore(address, options=options), MilvusClient(uri=address)
    if FILTERED in store.names() and not store.server_version.startswith("milvus_lite"):
        client.release_collection(FILTERED)
        client.drop_index(FILTERED, VECTOR)
        wanted = client.prepare_index_params()
        wanted.add_index(VECTOR, index_name=VECTOR, **options.index_parameters(len(drawn.crops), is_lite=False))
        client.create_index(FILTERED, wanted)
        wait_until_indexed(address, [FILTERED])
        client.load_collection(FILTERED)
        return FILTERED
    name = FILTERED if FILTERED not in store.names() else f"{FILTERED}{options.index_type}"
    made, count = store.create(name, drawn.properties), len(drawn.crops)
    for start in track(range(0, count, WRITTEN), f"{name}: thousands of crops"):
        made.upsert(drawn.crops[start : start + WRITTEN], drawn.vectors_ND[start : start + WRITTEN])
    made.flush()
    time.sleep(SETTLE_SECONDS)
    wait_until_indexed(address, [name])
    return name


def wait_until_indexed(address: str, names: Sequence[str]) -> None:
    """Return once the engine has put every vector into its index."""
    client, deadline = MilvusClient(uri=address), time.monotonic() + INDEXED_SECONDS
    while not all(is_indexed(client.describe_index(name, VECTOR)) for name in names):
        if time.monotonic() > deadline:
            raise RuntimeError(f"an index is not complete after {INDEXED_SECONDS:.0f} s")
        time.sleep(1)


def is_indexed(described: Mapping[str, Any]) -> bool:
    """Whether the index holds every row; those that a server calls pending include rows of compacted segments."""
    return int(described.get("indexed_rows", 0)) >= int(described.get("total_rows", 0))


@contextmanager
def lite(folder: Path) -> Iterator[str]:
    """The address of a Milvus Lite that serves a fresh database."""
    server = start_server(folder / "milvus.db")
    try:
        yield server.uri
    finally:
        server.stop()


def connected(address: str) -> MilvusStore:
    """Connect, retrying because a server accepts connections some seconds before it answers them."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return MilvusStore(address)
        except UserError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(str(error)) from error


def directions(count: int, numbers: int, *, seed: int) -> NDArray[np.float32]:
    """Random unit vectors."""
    drawn_ND = np.random.default_rng(seed).normal(size=(count, numbers)).astype(np.float32)
    unit_ND: NDArray[np.float32] = drawn_ND / np.linalg.norm(drawn_ND, axis=1, keepdims=True)
    return unit_ND


def near(vectors_ND: NDArray[np.float32], *, seed: int) -> NDArray[np.float32]:
    """A unit vector near each vector; two that are near the same one have a cosine of 0.8."""
    mixed_ND = vectors_ND + 0.5 * directions(*vectors_ND.shape, seed=seed)
    unit_ND: NDArray[np.float32] = mixed_ND / np.linalg.norm(mixed_ND, axis=1, keepdims=True)
    return unit_ND


if __name__ == "__main__":
    main()
