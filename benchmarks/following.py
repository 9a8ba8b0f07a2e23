"""How long a new crop takes to reach the live collection, and an erased one to leave it, while both come all the time.

Run: `python benchmarks/following.py [--crops 2000] [--rate 20] [--seconds 60]`. It starts Milvus Lite's server and a
promoter of an installation of its own, with the shipped small CLIP, adds crops one by one and erases every fifth some
seconds later. What is measured begins when the gallery has committed, and ends when a Milvus client sees it.
"""

import argparse
import os
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from promotion import fill, pictures
from rich.console import Console
from rich.table import Table

from personsearch.gallery.store import Gallery
from personsearch.installation.platforms import open_gallery, open_registry, open_store
from personsearch.installation.promoter_memory import open_memory
from personsearch.installation.services import start_services, stop_services
from personsearch.installation.settings import Settings
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS, CollectionStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERASED_EVERY = 5
ERASED_AFTER_SECONDS = 5.0
LOOK_SECONDS = 0.1
WAIT_SECONDS = 600.0


@dataclass
class Waiting:
    """When the changes were committed that the collection does not show yet, and how long the others took."""

    since: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def seen(self, crop_ids: set[str]) -> None:
        now = time.monotonic()
        self.seconds += [now - self.since.pop(crop_id) for crop_id in crop_ids if crop_id in self.since]


def main() -> None:
    """Fill, wait until it is live, then add and erase while a client looks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PERSONSEARCH_HOME"] = folder
        home = Path(folder)
        fill(home, options.crops)
        open_registry(Settings()).promote("2")  # the form that computes the same alone and in a batch
        start_services(home, ("milvus", "promoter"), report=print)
        try:
            _wait_until_live()
            gallery, store = open_gallery(Settings()), open_store(Settings())
            added, erased = _measure(gallery, store, rate=options.rate, seconds=options.seconds)
            _report(added, erased, options.crops, options.rate)
        finally:
            stop_services(home, report=print)


def _wait_until_live() -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while open_memory(Settings()).live() is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing is live after {WAIT_SECONDS:.0f} s")
        time.sleep(0.5)


def _measure(gallery: Gallery, store: CollectionStore, *, rate: float, seconds: float) -> tuple[Waiting, Waiting]:
    added, erased, stop = Waiting(), Waiting(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(store, added, erased, stop))
    watcher.start()
    start, doomed = time.monotonic(), []
    jpegs = pictures(round(rate * seconds), seed=1)
    for number, jpeg in enumerate(jpegs):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        crop_id = f"live-{number:06}"
        box = BoundingBox(0, 0, 64, 128)
        gallery.add([(Crop(crop_id, "live", NOON, f"t{number // 5}", "", box, "", 0.5, NOON), jpeg)])
        added.since[crop_id] = time.monotonic()
        if number % ERASED_EVERY == 0:
            doomed.append((time.monotonic() + ERASED_AFTER_SECONDS, crop_id))
        if doomed and doomed[0][0] <= time.monotonic() and doomed[0][1] not in added.since:
            crop_id = doomed.pop(0)[1]
            gallery.erase(CropFilter(crop_ids=(crop_id,)))
            erased.since[crop_id] = time.monotonic()
    print(f"{len(jpegs) / (time.monotonic() - start):.1f} crops/s were added")
    deadline = time.monotonic() + WAIT_SECONDS
    while (added.since or erased.since) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    stop.set()
    watcher.join()
    assert not added.since, f"{len(added.since)} crops never came"
    assert not erased.since, f"{len(erased.since)} crops never left"
    return added, erased


def _watch(store: CollectionStore, added: Waiting, erased: Waiting, stop: threading.Event) -> None:
    index = store.open(LIVE_ALIAS)
    while not stop.wait(LOOK_SECONDS):
        asked = [*added.since, *erased.since]
        if asked:
            held = {crop.crop_id for crop in index.fetch(asked)[0]}
            erased.seen(set(erased.since).intersection(asked) - held)
            added.seen(held)


def _report(added: Waiting, erased: Waiting, crops: int, rate: float) -> None:
    table = Table("change", "number", "p50 s", "p95 s", "longest s", title=f"{crops} crops, {rate:g} more a second")
    for what, waited in (("added", added), ("erased", erased)):
        p50, p95, longest = np.percentile(waited.seconds, [50, 95, 100])
        table.add_row(what, str(len(waited.seconds)), *(f"{each:.2f}" for each in (p50, p95, longest)))
    Console().print(table)


if __name__ == "__main__":
    main()
