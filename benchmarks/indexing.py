"""Claims: an index build encodes at .9 of the rate of the bare encoder or more, and its memory does not grow with the
gallery.

Run: `python benchmarks/indexing.py rate [--crops 1500] [--rounds 5] [--shards 1,4]`: seconds of CPU for the same
pictures, by the encoder alone (decoded, resized, encoded) and by a whole build into Milvus Lite's server (read from the
gallery, decoded, encoded, written, noted, without the verification at its end), in turns in every round. The server's
own time is not in it.

`python benchmarks/indexing.py memory [--crops 100000,1000000]`: peak memory of a process that plans, fills and compares
a build of so many crops. It covers the gallery's rows in SQLite, the merge of both sides and all bookkeeping. Pictures
and model are left out (every crop gets the same vector), and the collection keeps only ids, on disk, as its memory is
that of another process in an installation.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from promotion import NOON, SHIPPED, pictures
from rich.console import Console
from rich.table import Table
from support.lone_build import new_build

from personsearch.bundle import Bundle
from personsearch.compression.forms import build_form
from personsearch.encoders.decoding import decode
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.gallery.encoding import batches
from personsearch.gallery.indexing import Build, IndexConfig
from personsearch.installation.platforms import open_gallery, open_store
from personsearch.installation.services import start_services, stop_services
from personsearch.installation.settings import Settings
from personsearch.search.crop import BoundingBox, Crop

BOX = BoundingBox(0, 0, 64, 128)


def main() -> None:
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, dest="command")
    of_rate = commands.add_parser("rate")
    of_rate.add_argument("--crops", type=int, default=1500)
    of_rate.add_argument("--rounds", type=int, default=5)
    of_rate.add_argument("--shards", default="1,4")
    of_memory = commands.add_parser("memory")
    of_memory.add_argument("--crops", default="100000,1000000")
    options = parser.parse_args()
    if options.command == "rate":
        rate(options.crops, options.rounds, [int(number) for number in options.shards.split(",")])
    else:
        memory([int(number) for number in options.crops.split(",")])


def rate(crops: int, rounds: int, shards: Sequence[int]) -> None:
    """Print seconds of CPU of both, and the median ratio."""
    table = Table("shards", "bare encoder, CPU s", "build, CPU s", "build's rate ÷ bare rate", title=f"{crops} crops")
    for each, pairs in measured_rates(crops, rounds, shards).items():
        medians = (median(column) for column in zip(*pairs, strict=True))
        table.add_row(str(each), *(f"{value:.2f}" for value in medians), f"{_ratio(pairs):.2f}")
    Console().print(table)


def measured_ratios(crops: int, rounds: int, shards: Sequence[int]) -> dict[int, float]:
    """The median ratio by the number of shards."""
    return {each: _ratio(pairs) for each, pairs in measured_rates(crops, rounds, shards).items()}


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return median(bare / build for bare, build in pairs)


def measured_rates(crops: int, rounds: int, shards: Sequence[int]) -> dict[int, list[tuple[float, float]]]:
    """Seconds of CPU of the encoder alone and of a build, in turns, by the number of shards."""
    jpegs, numbers = pictures(crops), count(1)
    measured: dict[int, list[tuple[float, float]]] = {each: [] for each in shards}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PERSONSEARCH_HOME"] = folder
        home = Path(folder)
        build_form(Bundle.open(SHIPPED), "onnx-fp32", "onnxruntime", home / "bundle")
        encoder = load_graph_encoder(Bundle.open(home / "bundle"), threads=1)
        start_services(home, ("milvus",), report=print)
        try:
            gallery, store = open_gallery(Settings()), open_store(Settings())
            gallery.add((new_crop(n), jpeg) for n, jpeg in enumerate(jpegs))
            for each in rounds * list(shards):
                named = {"version": str(next(numbers)), "size": encoder.embedding_dim}
                build = new_build(gallery, encoder, store, shard_crops=-(-crops // each), **named)
                bare = cpu_seconds(lambda: encode_alone(encoder, jpegs))
                measured[each].append((bare, cpu_seconds(lambda build=build: fill(build))))
        finally:
            stop_services(home, report=print)
    return measured


def fill(build: Build) -> None:
    """Everything but the verification."""
    for shard in build.plan():
        build.fill(shard)


def encode_alone(encoder: Any, jpegs: Sequence[bytes]) -> None:
    """The same pictures in the same batches, with nothing else."""
    for batch in batches(jpegs, IndexConfig().batch_size):
        pixels, _ = decode(batch, encoder.preprocessing, count=len(batch))
        encoder.encode_images(pixels)


def cpu_seconds(action: Callable[[], object]) -> float:
    """Of this process, all threads together."""
    start = time.process_time()
    action()
    return time.process_time() - start


def new_crop(number: int) -> Crop:
    return Crop(f"crop-{number:08}", f"camera-{number % 8}", NOON, f"track-{number // 5}", "", BOX, "", 0.5, NOON)


def memory(sizes: Sequence[int]) -> None:
    """Print the peak memory of a process that does nothing but the build."""
    table = Table("crops", "build s", "peak MiB", "of the first", title="memory of a build, without pictures and model")
    first = 0.0
    for size in sizes:
        told = memory_of_a_build(size)
        first = first or told["mib"]
        table.add_row(f"{size:,}", f"{told['seconds']:.0f}", f"{told['mib']:.0f}", f"{told['mib'] / first:.2f}")
    Console().print(table)


def memory_of_a_build(crops: int) -> dict[str, float]:
    """What a process that does nothing else says of itself."""
    command = [sys.executable, str(Path(__file__).parent / "support" / "lone_build.py"), str(crops)]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told


if __name__ == "__main__":
    main()
