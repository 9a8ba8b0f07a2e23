"""How fast pictures of crops are written and read: in a folder, and in a real S3 store on this machine.

Each place holds the same JPEG bytes. A rate is of the wall clock; CPU is what this process spends on one picture, and
says more on a busy machine. The last column is what decoding and resizing one costs, which is the same for both.

    python benchmarks/pictures.py [--pictures 2000]
"""

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from personsearch.gallery.pictures import Pictures
from personsearch.images import open_image, resize
from personsearch.integrations.objects.open import open_pictures

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.servers.s3 import s3_server

SIZE = (80, 180)
MODEL_SIZE = (128, 64)
AT_ONCE = 64


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    pictures = [(f"images/door/2026-03-01/{n}.jpg", jpeg(n)) for n in range(parser.parse_args().pictures)]
    print(f"{'place':<8} {'written/s':>10} {'CPU ms':>7} {'read/s':>10} {'CPU ms':>7} {'decoding ms':>12}")
    with tempfile.TemporaryDirectory() as folder:
        measure("folder", open_pictures(str(Path(folder) / "crops")), pictures)
    try:
        with s3_server() as server:
            os.environ |= server.environment()
            measure("S3", open_pictures(server.new_place()), pictures)
    except RuntimeError as error:
        print(f"S3: skipped, {error}")


def jpeg(number: int) -> bytes:
    """A crop of smooth noise, some 5 kB."""
    noise = np.random.default_rng(number).integers(0, 255, (12, 6, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def measure(place: str, store: Pictures, pictures: list[tuple[str, bytes]]) -> None:
    """Print a row of the table."""
    batches = [pictures[start : start + AT_ONCE] for start in range(0, len(pictures), AT_ONCE)]
    store.write(batches[0])  # connections are open from here on
    written = timed(lambda: [store.write(batch) for batch in batches], len(pictures))
    read = timed(lambda: [list(store.read_many([name for name, _ in batch])) for batch in batches], len(pictures))
    decoding = timed(lambda: [resize(open_image(jpeg), *MODEL_SIZE) for _, jpeg in pictures], len(pictures))
    rates = f"{written[0]:>10,.0f} {written[1]:>7.3f} {read[0]:>10,.0f} {read[1]:>7.3f} {decoding[1]:>12.3f}"
    print(f"{place:<8} {rates}", flush=True)


def timed(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Items a second, and milliseconds of this process's CPU for each."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return count / (time.perf_counter() - start), (time.process_time() - cpu) / count * 1e3


if __name__ == "__main__":
    main()
