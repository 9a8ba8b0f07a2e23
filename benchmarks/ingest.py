"""Claim: on real footage ingest finds the people whom a viewer sees, in less than the video's time on one core.

Run: `python benchmarks/ingest.py [--footage ../shared/data] [--detector NAME|FILE] [--sheets DIR]`. It prints one row
per clip, with counts where its people were described (people.json beside the clips), and one per annotated frame of
vtest.avi.
`--sheets` writes the crops of each clip as one picture.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from personsearch.gallery.ingest.boxes import NO_BOXES, Boxes, overlap
from personsearch.gallery.ingest.scoring import Agreement, agreement
from personsearch.gallery.ingest.selection import TrackViews, View
from personsearch.gallery.ingest.tracks import IngestConfig, TrackFinder
from personsearch.gallery.ingest.video import VideoInfo, read_info

ROOT = Path(__file__).parent.parent
PEOPLE = ROOT / "tests" / "gallery" / "vtest_people.json"
FOOTAGE = Path(os.environ.get("FOOTAGE_DIR", ROOT / ".." / "shared" / "data"))
GOOD_OVERLAP, ANY_OVERLAP = 0.4, 0.3
NEAR_FRAMES = 12
LEAST_SHARE_OF_FRAME = 0.45  # of somebody described by frames alone, relative to the frame's height
TILE = (96, 192)


@dataclass(frozen=True)
class Result:
    """What ingest made of a clip."""

    finder: TrackFinder
    tracks: list[TrackViews]
    crops: list[View]
    seconds: float


@dataclass(frozen=True)
class Judged:
    """How many people were described in a clip, how many of them a crop shows well, and how many crops show nobody."""

    people: int
    found: int
    wrong: int


def main() -> None:
    """Measure every described clip and the annotated frames of vtest.avi, on one core."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--footage", type=Path, default=FOOTAGE)
    parser.add_argument("--detector", help="builtin, motion or an ONNX file.")
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    config = IngestConfig.from_yaml(ROOT / "params.yaml", "ingest").overridden({"detector": options.detector})
    described = json.loads((options.footage / "people.json").read_text())
    clips = sorted(path.name for path in options.footage.glob("*.mp4"))
    table = Table("clip", "people", "found", "tracks", "crops", "not a person", "frames/s", "of the video")
    for clip in [*clips, "vtest.avi"]:
        result = take_in(config, options.footage / clip)
        table.add_row(clip, *_clip_row(described, clip, result, read_info(options.footage / clip)))
        if options.sheets is not None:
            write_sheet(options.sheets / f"{Path(clip).stem}.png", result)
    Console().print(table)
    Console().print(_annotated_frames(result.tracks))


def take_in(config: IngestConfig, video: Path) -> Result:
    """The kept tracks and crops of a video, and the CPU seconds they took."""
    begun = time.process_time()
    finder = TrackFinder(config, video, read_info(video))
    tracks = list(finder)
    crops = [view for track in tracks for view in track.select(config.selection.crops_per_track)]
    return Result(finder, tracks, crops, time.process_time() - begun)


def found_boxes(tracks: Sequence[TrackViews]) -> dict[int, list[np.ndarray]]:
    """Boxes of the kept tracks by frame."""
    found: dict[int, list[np.ndarray]] = defaultdict(list)
    for track in tracks:
        for index, box in track.sightings:
            found[index].append(box)
    return found


def read_people(path: Path) -> dict[int, Boxes]:
    """Annotated boxes (left, top, width, height) as corners, by frame."""
    frames = json.loads(path.read_text())["frames"]
    corners = {int(index): np.array(boxes, dtype=float) for index, boxes in frames.items()}
    return {
        index: np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) if len(boxes) else NO_BOXES
        for index, boxes in corners.items()
    }


def shown(person: dict[str, Any], view: View, least_overlap: float, frames_beyond: float) -> bool:
    """Whether a crop shows a person: its box overlaps theirs, interpolated between the described frames."""
    frames = [frame for frame, _ in person["boxes"]]
    if not frames[0] - frames_beyond <= view.frame_index <= frames[-1] + frames_beyond:
        return False
    sides = np.array([box for _, box in person["boxes"]], dtype=float).T
    expected = np.array([np.interp(view.frame_index, frames, side) for side in sides])
    return bool(overlap(view.box[None], expected[None])[0, 0] >= least_overlap)


def shown_alone(person: dict[str, Any], view: View, height: int, frames_beyond: float) -> bool:
    """Whether a crop shows somebody who is in the picture alone: in their time, and about as high as people there."""
    first, last = person["frames"]
    in_time = first - frames_beyond <= view.frame_index <= last + frames_beyond
    return in_time and bool(view.box[3] - view.box[1] >= LEAST_SHARE_OF_FRAME * height)


def write_sheet(path: Path, result: Result, columns: int = 16) -> None:
    """All crops of a clip as one picture, with the numbers of track and frame."""
    tiles = [np.zeros((TILE[1], TILE[0], 3), np.uint8)] * (-len(result.crops) % columns)
    tiles = [cv2.resize(view.crop(), TILE) for view in result.crops] + tiles
    rows = [np.hstack(tiles[n : n + columns]) for n in range(0, len(tiles), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    if rows:
        cv2.imwrite(str(path), np.vstack(rows))


def judge(described: dict[str, Any], clip: str, crops: Sequence[View], height: int) -> Judged:
    """Count the described people of a clip, those of them in a good crop, and the crops that show none of them."""
    boxed = [person for person in described["people"] if person["clip"] == clip]
    timed = [person for person in described["one_at_a_time"] if person["clip"] == clip]
    good = [_any(crops, lambda v, p=p: shown(p, v, GOOD_OVERLAP, NEAR_FRAMES)) for p in boxed]
    good += [_any(crops, lambda v, p=p: shown_alone(p, v, height, 0)) for p in timed]
    wrong = [
        view
        for view in crops
        if not any(shown(p, view, ANY_OVERLAP, np.inf) for p in boxed)
        and not any(shown_alone(p, view, height, 3 * NEAR_FRAMES) for p in timed)
    ]
    return Judged(len(good), sum(good), len(wrong))


def _clip_row(described: dict[str, Any], clip: str, result: Result, info: VideoInfo) -> list[str]:
    judged = judge(described, clip, result.crops, info.height)
    counts = [str(judged.people), str(judged.found)] if judged.people else ["–", "–"]
    speed = [f"{(result.finder.last_frame + 1) / result.seconds:.0f}", f"{info.frames_per_second:g}"]
    kept = [str(len(result.tracks)), str(len(result.crops)), str(judged.wrong) if judged.people else "–"]
    return [*counts, *kept, *speed]


def _any(crops: Sequence[View], test: Callable[[View], bool]) -> bool:
    return any(test(view) for view in crops)


def _annotated_frames(tracks: Sequence[TrackViews]) -> Table:
    found = found_boxes(tracks)
    table = Table("frame", "people", "boxes", "right", "recall", "precision", title="vtest.avi")
    total = Agreement(0, 0, 0)
    for index, people in read_people(PEOPLE).items():
        scores = agreement(people, np.array(found[index]).reshape(-1, 4))
        table.add_row(str(index), *_row(scores))
        total += scores
    table.add_row("all", *_row(total))
    return table


def _row(scores: Agreement) -> list[str]:
    counts = [str(scores.people), str(scores.found), str(scores.right)]
    return [*counts, f"{scores.recall:.2f}", f"{scores.precision:.2f}"]


if __name__ == "__main__":
    main()
