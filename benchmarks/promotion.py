"""From moving the alias `champion` to an answer by the promoted model, beside one `personsearch index` from the shell.

Run: `python benchmarks/promotion.py [--crops 2000]`. It starts an installation of its own in a temporary folder, with
the shipped small CLIP in two forms, and promotes them in turns: the other model's collection is new the first time and
kept afterwards.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from personsearch.bundle import Bundle
from personsearch.compression.forms import build_form
from personsearch.installation.platforms import open_registry
from personsearch.installation.services import EVERY_SERVICE, Services, start_services, stop_services
from personsearch.installation.settings import Settings
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.crop import BoundingBox, Crop

SHIPPED = Path(__file__).parents[1] / "weights" / "tiny-clip"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROUNDS = 3
WAIT_SECONDS = 600.0


def main() -> None:
    """Time promotions and a command that finds nothing to do, in turns so that all meet the same machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PERSONSEARCH_HOME"] = folder
        home = Path(folder)
        fill(home, options.crops)
        services = start_services(home, EVERY_SERVICE, report=print)
        try:
            _report(_measure(services), options.crops)
        finally:
            stop_services(home, report=print)


def fill(home: Path, count: int) -> None:
    """Register two forms of the shipped model, and add crops that look different."""
    registry = open_registry(Settings(home=home))
    for variant in ("onnx-fp16", "onnx-fp32"):
        build_form(Bundle.open(SHIPPED), variant, "onnxruntime", home / variant)
        registry.register(Bundle.open(home / variant), metrics={}, tags={})
    box = BoundingBox(0, 0, 64, 128)
    gallery_in(Settings(home=home).gallery_folder).add(
        (Crop(f"crop-{n:06}", f"camera-{n % 8}", NOON, f"track-{n // 5}", "", box, "", 0.5, NOON), picture)
        for n, picture in enumerate(pictures(count))
    )


def pictures(count: int, *, seed: int = 0) -> list[bytes]:
    """JPEG pictures of crops that look different."""
    import io

    import numpy as np
    from PIL import Image

    made = []
    for tile in np.random.default_rng(seed).integers(0, 256, (count, 8, 4, 3), dtype=np.uint8):
        buffer = io.BytesIO()
        Image.fromarray(tile).resize((64, 128)).save(buffer, "JPEG")
        made.append(buffer.getvalue())
    return made


def _measure(services: Services) -> dict[str, list[float]]:
    registry = open_registry(Settings())
    seconds: dict[str, list[float]] = {"a new collection": [], "a kept collection": [], "`personsearch index`": []}
    registry.promote("1")
    _until_live(services, "1")

    def promoted(version: str) -> Callable[[], None]:
        def run() -> None:
            registry.promote(version)
            _until_live(services, version)

        return run

    seconds["a new collection"].append(_timed(promoted("2")))
    for turn in range(2 * ROUNDS):
        seconds["a kept collection"].append(_timed(promoted("12"[turn % 2])))
        seconds["`personsearch index`"].append(_timed(_index_from_the_shell))
    return seconds


def _until_live(services: Services, version: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        ready = httpx.get(f"{services.serving_uri}/readyz", trust_env=False)
        if json.loads(ready.content).get("model_version") == version:
            return
        time.sleep(0.05)
    raise SystemExit(f"version {version} is not live after {WAIT_SECONDS:.0f} s")


def _index_from_the_shell() -> None:
    command = [sys.executable, "-m", "personsearch", "index", "--json"]
    subprocess.run(command, check=True, capture_output=True)


def _timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _report(seconds: dict[str, list[float]], crops: int) -> None:
    reference = statistics.median(seconds["`personsearch index`"])
    table = Table("from the alias to an answer", "median s", "of one `personsearch index`", title=f"{crops} crops")
    for what, values in seconds.items():
        median = statistics.median(values)
        table.add_row(what, f"{median:.1f}", f"{median / reference:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
