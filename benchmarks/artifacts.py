"""What moving a data set through an object store costs, as files and as shards, in a real S3 store on this machine.

Kubeflow's launcher moves an artifact one object after the other, and so does this. In a run of the training pipeline a
data set is moved nine times: fetch_dataset, prepare and augment write one, and prepare, augment, train, compress and
two evaluations read one. The last two columns are what steps spend to pack and to read the images out of the shards.

    python benchmarks/artifacts.py [--images 1000]
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import obstore
from obstore.store import S3Store

from personsearch.addresses import reach_this_machine_directly
from personsearch.data.shards import Shards, pack_folder

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.servers.s3 import PLAIN, s3_server

IMAGE_BYTES = 16_000
WRITES, READS = 3, 6


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    number = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        loose, packed = Path(folder) / "loose", Path(folder) / "packed"
        make_images(loose, number)
        packing = seconds(lambda: pack_folder(loose, packed))
        reading = seconds(lambda: read_all(packed))
        print(f"{number:,} images of {IMAGE_BYTES:,} bytes")
        print(f"{'artifact':<8} {'files':>7} {'requests':>10} {'up s':>7} {'down s':>7} {'pack s':>7} {'read s':>7}")
        try:
            with s3_server() as server:
                os.environ |= server.environment()
                reach_this_machine_directly()
                store = S3Store(PLAIN, config={"endpoint": server.endpoint}, client_options={"allow_http": True})
                measure(store, "files", loose)
                measure(store, "shards", packed, f"{packing:>7.1f} {reading:>7.1f}")
        except RuntimeError as error:
            print(f"S3: skipped, {error}")


def make_images(folder: Path, number: int) -> None:
    """Files that do not compress, a hundred in a folder."""
    for image in range(number):
        path = folder / "images" / f"{image // 100:04d}" / f"{image:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.random.default_rng(image).bytes(IMAGE_BYTES))


def read_all(packed: Path) -> None:
    """Read every image, as a step does."""
    shards = Shards.open(packed)
    for name in shards.places:
        shards.read(name)


def measure(store: S3Store, name: str, folder: Path, more: str = "") -> None:
    """Print a row of the table."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    keys = [f"{name}/{path.relative_to(folder)}" for path in files]
    obstore.put(store, f"{name}-first", b"")  # the connection is open from here on
    up = seconds(lambda: [obstore.put(store, key, path) for key, path in zip(keys, files, strict=True)])
    down = seconds(lambda: [obstore.get(store, key).bytes() for key in keys])
    requests = len(files) * (WRITES + READS)
    print(f"{name:<8} {len(files):>7,} {requests:>10,} {up:>7.1f} {down:>7.1f} {more}", flush=True)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
