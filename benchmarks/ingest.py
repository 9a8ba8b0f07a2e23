"""Claim: on real footage, ingest finds at least nine of ten people that a viewer sees, faster than the video plays.

Run: `python benchmarks/ingest.py [--footage ../shared/data]`; prints one row per annotated frame, then the totals.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from personsearch.gallery.ingest.boxes import NO_BOXES, Boxes
from personsearch.gallery.ingest.scoring import Agreement, agreement
from personsearch.gallery.ingest.tracks import IngestConfig, TrackFinder
from personsearch.gallery.ingest.video import read_info

ROOT = Path(__file__).parent.parent
PEOPLE = ROOT / "tests" / "gallery" / "vtest_people.json"


def main() -> None:
    """Track the people in vtest.avi on one core and compare with frames annotated by hand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--footage", type=Path, default=Path(os.environ.get("FOOTAGE_DIR", ROOT / ".." / "shared" / "data"))
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    start = time.process_time()
    finder, found = found_boxes(options.footage / "vtest.avi")
    seconds = time.process_time() - start
    table = Table("frame", "people", "boxes", "right", "recall", "precision")
    total = Agreement(0, 0, 0)
    for index, people in read_people(PEOPLE).items():
        scores = agreement(people, np.array(found[index]).reshape(-1, 4))
        table.add_row(str(index), *_row(scores))
        total += scores
    table.add_row("all", *_row(total))
    Console().print(table)
    Console().print(f"{finder.frames} frames in {seconds:.0f} CPU seconds; {finder.rejected.total()} tracks rejected")


def found_boxes(video: Path) -> tuple[TrackFinder, dict[int, list[np.ndarray]]]:
    """The boxes of accepted tracks, by frame."""
    finder = TrackFinder(IngestConfig.from_yaml(ROOT / "params.yaml", "ingest"), video, read_info(video))
    found: dict[int, list[np.ndarray]] = defaultdict(list)
    for track in finder:
        for index, box in track.sightings:
            found[index].append(box)
    return finder, found


def read_people(path: Path) -> dict[int, Boxes]:
    """Annotated boxes (left, top, width, height) as corners, by frame."""
    frames = json.loads(path.read_text())["frames"]
    corners = {int(index): np.array(boxes, dtype=float) for index, boxes in frames.items()}
    return {
        index: np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) if len(boxes) else NO_BOXES
        for index, boxes in corners.items()
    }


def _row(scores: Agreement) -> list[str]:
    counts = [str(scores.people), str(scores.found), str(scores.right)]
    return [*counts, f"{scores.recall:.2f}", f"{scores.precision:.2f}"]


if __name__ == "__main__":
    main()
