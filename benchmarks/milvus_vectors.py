"""How a Milvus server searches smaller vectors: time and recall of a search.

One real Milvus 2.3.5 (the one of the tests) stores the same random crops in each coding; searches alternate between
them. Ten crops show each person, with a cosine of 0.8 to each other and to a query. Recall is relative to float32 in
memory. The server's memory is not measured, because its buffers for inserted rows exceed the differences.

    python benchmarks/milvus_vectors.py [--crops 20000] [--numbers 512]

Shapes: N crops, Q queries, P people, D numbers of a vector.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.index import CollectionProperties, VectorIndex
from personsearch.search.quantised import FLOAT32, Coding
from personsearch.search.searcher import JUDGED

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "servers"))
from real_milvus import real_milvus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CROP = Crop("", "camera", NOON, "", "", BoundingBox(0, 0, 64, 128), "", 1.0, NOON)
WAYS = {"float32": FLOAT32, "int8": Coding("int8"), "binary": Coding("binary", 10)}
START_SECONDS = 120.0
SETTLE_SECONDS = 20.0  # time for the server to build its indexes
ALIKE = 10
QUERIES = 40


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=20_000)
    parser.add_argument("--numbers", type=int, default=512)
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder, real_milvus(Path(folder)) as address:
            compare(connected(address), arguments.crops, arguments.numbers)
    except RuntimeError as error:
        print(f"benchmarks/milvus_vectors.py: skipped, {error}")


def compare(store: MilvusStore, count: int, numbers: int) -> None:
    """Fill a collection in each coding, then search them in turn."""
    people_PD = directions(count // ALIKE, numbers, seed=0)
    vectors_ND = near(people_PD.repeat(ALIKE, axis=0), seed=1)
    queries_QD = near(people_PD[:QUERIES], seed=2)
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
