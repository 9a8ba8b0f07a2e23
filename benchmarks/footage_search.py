"""Do descriptions written by a person find people in real footage?

Ingests vtest.avi into its own gallery, searches for every description in vtest_descriptions.json, and prints the rank
(by track) of the person described. `--pictures DIR` also draws the five best candidates of each.

    python benchmarks/footage_search.py [BUNDLE] [--footage ../shared/data/vtest.avi] [--pictures docs/pictures/footage]
"""

import argparse
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from personsearch.bundle import CALIBRATION, Bundle
from personsearch.encoders.load import load_encoder
from personsearch.gallery.indexing import IndexConfig, build_index
from personsearch.gallery.ingest.stage import IngestConfig, ingest
from personsearch.gallery.store import Gallery
from personsearch.search.calibration import read_calibration
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactStore
from personsearch.search.grid import save_grid
from personsearch.search.index import LIVE_ALIAS
from personsearch.search.searcher import Candidate, Searcher

DESCRIPTIONS = Path(__file__).parent / "vtest_descriptions.json"
FOOTAGE = Path(os.environ.get("FOOTAGE_DIR", Path(__file__).parents[2] / "shared" / "data")) / "vtest.avi"
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
SAME_PERSON_OVERLAP = 0.4
MOST_FRAMES_BETWEEN = 60
PAGE = 5


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("weights/tiny-clip"))
    parser.add_argument("--footage", type=Path, default=FOOTAGE)
    parser.add_argument("--gallery", type=Path, default=Path("var/benchmark-gallery"))
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()

    gallery = Gallery(arguments.gallery)
    ingest(IngestConfig(), arguments.footage, gallery, camera_id="junction", start=START)
    searcher = searcher_over(gallery, arguments.bundle)
    tracks = len({crop.track_id for crop in gallery.crops()})
    print(f"{arguments.footage.name}: {gallery.count()} crops of {tracks} tracks\n")
    print("| description | rank | tracks |\n|---|---|---|")
    found = 0
    for number, entry in enumerate(json.loads(DESCRIPTIONS.read_text())["descriptions"], start=1):
        answer = searcher.answer(entry["text"], k=tracks)
        place = place_of(entry["seen"], answer.candidates, gallery)
        found += place is not None and place <= PAGE
        print(f"| {entry['text']} | {place or 'not found'} | {tracks} |")
        if arguments.pictures is not None:
            page = searcher.answer(entry["text"], k=PAGE)
            save_grid(arguments.pictures / f"{number:02d}.jpg", entry["text"], page, gallery.image)
    print(f"\n{found} of {number} among the first {PAGE}")


def searcher_over(gallery: Gallery, bundle: Path) -> Searcher:
    """An exact index of the whole gallery in memory, with the bundle's own calibration."""
    store, encoder = ExactStore(), load_encoder(Bundle.open(bundle))
    build_index(
        IndexConfig(),
        gallery,
        encoder,
        store,
        model_name="benchmark",
        model_version="1",
        fingerprint="",
        dataset_hash="",
    )
    return Searcher(encoder, store.open(LIVE_ALIAS), read_calibration(bundle / CALIBRATION))


def place_of(seen: Sequence[Sequence[int]], candidates: Sequence[Candidate], gallery: Gallery) -> int | None:
    """The place of the first candidate whose track holds a crop of the person, taken near where they were seen."""
    tracks = {crop.track_id for crop in gallery.crops() if shows(crop, seen)}
    return next((candidate.rank for candidate in candidates if candidate.crop.track_id in tracks), None)


def shows(crop: Crop, seen: Sequence[Sequence[int]]) -> bool:
    """Whether the crop was taken around the person: each entry is frame, left, top, width, height.

    Between two frames not far apart the person moves evenly.
    """
    frame = int(crop.frame_uri.rpartition("=")[2])
    places = [box for when, *box in seen if when == frame]
    for (first, *start), (last, *end) in pairwise(sorted(seen)):
        if first < frame < last <= first + MOST_FRAMES_BETWEEN:
            share = (frame - first) / (last - first)
            places.append([round(a + share * (b - a)) for a, b in zip(start, end, strict=True)])
    return any(overlap(crop.bbox, BoundingBox(*place)) >= SAME_PERSON_OVERLAP for place in places)


def overlap(first: BoundingBox, second: BoundingBox) -> float:
    """Intersection over union."""
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    common = max(0, width) * max(0, height)
    return common / (first.width * first.height + second.width * second.height - common)


if __name__ == "__main__":
    main()
