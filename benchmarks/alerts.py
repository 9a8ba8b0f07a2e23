"""Claim: alerts are as precise and as complete as the page says before a search is watched.

Calibrates a bundle on synthetic people, then lets others pass, one track after the other, and compares each with every
watched description as the service does: by the confidence that a search would show at that moment. Half of the watched
people pass, the others do not. Once with drawn people, and once with the described people of real footage, where each
clip passes after all others. Prints a table by threshold; with --write it replaces the figures that the page shows,
and those of docs/alerts.md.

    python benchmarks/alerts.py [BUNDLE] [--clips ../shared/data] [--write]

Shapes: D embedding dimension.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from confidence import DAY, RELIABLE, embed, index_of
from footage_search import CLIPS, CROPS, DESCRIBED, ROOT
from numpy.typing import NDArray
from support.people import prepare_people

from personsearch.bundle import Bundle, Preprocessing
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.calibration import fit_calibration
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.footage import Footage, FootageFiles, footage_searcher, take_in
from personsearch.evaluation.known_searches import draw_short_queries
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.installation.alerts.figures import Figures, Point, Stream, write_figures
from personsearch.integrations.database.gallery import gallery_in
from personsearch.progress import track
from personsearch.search.calibration import Calibration
from personsearch.search.crop import Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.searcher import Searcher, track_of

GUIDE = ROOT / "docs" / "alerts.md"
TABLE = re.compile(r"(?<=<!-- figures -->\n).*(?=<!-- end of figures -->)", re.DOTALL)
TITLES = {"synthetic": "Drawn people", "footage": "Real footage"}
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PASSING, STAYING = 80, 40  # drawn people
Track = tuple[str, str, str]


class Remembering:
    """An encoder that encodes each text once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._texts: dict[str, NDArray[np.float32]] = {}

    @property
    def preprocessing(self) -> Preprocessing:
        return self._encoder.preprocessing

    @property
    def embedding_dim(self) -> int:
        return self._encoder.embedding_dim

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._encoder.encode_images(pixels_NHW3)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if new := [text for text in dict.fromkeys(texts) if text not in self._texts]:
            self._texts |= dict(zip(new, self._encoder.encode_texts(new), strict=True))
        return np.stack([self._texts[text] for text in texts])

    def text_cut_after(self, text: str) -> int | None:
        return self._encoder.text_cut_after(text)


@dataclass(frozen=True)
class Watched:
    """A description, and the tracks that show whom it describes; none if nobody passes whom it fits."""

    text: str
    right: frozenset[Track]


@dataclass(frozen=True)
class Compared:
    """A track that passed, compared with a watched description."""

    confidence: float
    is_right: bool


def main() -> None:
    """Read the command line, measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("weights/tiny-clip"))
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--data", type=Path, default=Path("var/benchmark-confidence"))
    parser.add_argument("--write", action="store_true", help="replace the figures that the page shows")
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.bundle)
    encoder = Remembering(load_encoder(bundle))
    keep = arguments.data / bundle.fingerprint
    day = prepare_people(DAY, arguments.data / "day")
    val, test = (embed(encoder, day, split, keep / split) for split in ("val", "test"))
    calibration = fit_calibration(val, "val", short=draw_short_queries(val, encoder), threshold=RELIABLE)
    streams = [drawn_people(encoder, calibration, test)]
    described = [path for path in (DESCRIBED, arguments.clips / "people.json") if path.is_file()]
    if described:
        streams.append(real_people(encoder, calibration, described, arguments.clips, keep))
    text = "\n".join(table(stream) for stream in streams)
    print(text)
    if arguments.write:
        write_figures(Figures(fingerprint=bundle.fingerprint, streams=streams))
        guide = GUIDE.read_text(encoding="utf-8")
        GUIDE.write_text(TABLE.sub(lambda _: f"{text}\n", guide), encoding="utf-8")


def drawn_people(encoder: Encoder, calibration: Calibration, people: SplitEmbeddings) -> Stream:
    """Some people were seen before and never pass again; the others pass three times, in random order."""
    ids = np.random.default_rng(0).permutation(np.unique(people.image_ids))
    stays_N = np.isin(people.image_ids, ids[PASSING : PASSING + STAYING])
    passes_N = np.isin(people.image_ids, ids[:PASSING])
    crops = [crop for batch, _ in index_of(people).iterate() for crop in batch]
    watched = []
    for person in ids[: PASSING + STAYING]:
        caption = people.captions[int(np.flatnonzero(people.caption_ids == person)[0])]
        right = [crops[row] for row in np.flatnonzero((people.image_ids == person) & passes_N)]
        watched.append(Watched(caption, frozenset(map(track_of, right))))
    index = ExactIndex(encoder.embedding_dim)
    index.upsert([crops[row] for row in np.flatnonzero(stays_N)], people.image_GD[stays_N])
    order = np.random.default_rng(1).permutation(np.flatnonzero(passes_N))
    arrivals = [([crops[row]], people.image_GD[[row]]) for row in order]
    return measured("synthetic", watched, compare(encoder, calibration, index, arrivals, watched), len(arrivals))


def real_people(
    encoder: Encoder, calibration: Calibration, described: Sequence[Path], clips: Path, keep: Path
) -> Stream:
    """The tracks of each clip pass in the order of time, after those of all other clips of its file."""
    compared: list[Compared] = []
    searches: list[Watched] = []
    tracks = 0
    for path in described:
        footage = take_in(IngestConfig(), FootageFiles(path, clips, CROPS, gallery_in))
        everything = footage_searcher(footage, encoder, keep / "none.json").index
        searches += watched_in(footage, None)
        for clip in footage.clips:
            index = ExactIndex(encoder.embedding_dim)
            others = [crop.crop_id for crop in footage.crops if crop.camera_id != clip]
            if others:
                index.upsert(*everything.fetch(others))
            arrivals = [everything.fetch([crop.crop_id for crop in crops]) for crops in tracks_in(footage, clip)]
            compared += compare(encoder, calibration, index, arrivals, watched_in(footage, clip))
            tracks += len(arrivals)
    return measured("footage", searches, compared, tracks)


def watched_in(footage: Footage, clip: str | None) -> list[Watched]:
    """Every description; those of people of another clip, and of nobody, fit no track of this one."""
    watched = []
    for person in footage.described.people:
        right = frozenset(footage.tracks_of(person)) if clip in (None, person.clip) else frozenset[Track]()
        watched += [Watched(text, right) for text in person.descriptions]
    return watched + [Watched(text, frozenset()) for text in footage.described.absent]


def tracks_in(footage: Footage, clip: str) -> list[list[Crop]]:
    """The crops of each track of a clip, the track that ends first first."""
    crops = sorted(footage.clips[clip].crops, key=track_of)
    tracks = [list(of_track) for _, of_track in groupby(crops, key=track_of)]
    return sorted(tracks, key=lambda each: max(crop.captured_at for crop in each))


def compare(
    encoder: Encoder,
    calibration: Calibration,
    index: ExactIndex,
    arrivals: Sequence[tuple[list[Crop], NDArray[np.float32]]],
    watched: Sequence[Watched],
) -> list[Compared]:
    """Each track that arrives with each description, by the best of its crops; then it is in the index."""
    compared = []
    for crops, vectors_ND in track(arrivals, "tracks pass"):
        searcher = Searcher(encoder, index, calibration)  # it counts and measures its index once
        for search in watched:
            judged = searcher.confidences(search.text, crops, vectors_ND)
            is_right = track_of(crops[0]) in search.right
            compared.append(Compared(max(confidence for _, confidence in judged), is_right))
        index.upsert(crops, vectors_ND)
    return compared


def measured(name: str, watched: Sequence[Watched], compared: Sequence[Compared], tracks: int) -> Stream:
    """What alerts at each threshold would have been."""
    confidence_N = np.array([each.confidence for each in compared])
    right_N = np.array([each.is_right for each in compared])
    passes = int(right_N.sum())
    points = []
    for threshold in THRESHOLDS:
        alerts_N = confidence_N >= threshold
        alerts, right = int(alerts_N.sum()), int((alerts_N & right_N).sum())
        precision = round(right / alerts, 4) if alerts else None
        recall = round(right / passes, 4)
        points.append(Point(threshold=threshold, alerts=alerts, right=right, precision=precision, recall=recall))
    absent = sum(not each.right for each in watched)
    return Stream(name=name, searches=len(watched), absent=absent, tracks=tracks, passes=passes, points=points)


def table(stream: Stream) -> str:
    """A row for each threshold."""
    told = f"{stream.tracks} tracks, {stream.searches} searches, {stream.absent} of them for nobody who is there"
    lines = [
        f"{TITLES[stream.name]}: {told}; {stream.passes} passes to find.\n",
        "| threshold | alerts | right | precision | recall |\n|---|---|---|---|---|",
    ]
    for point in stream.points:
        precision = "–" if point.precision is None else f"{100 * point.precision:.0f} %"
        lines.append(
            f"| {point.threshold} | {point.alerts} | {point.right} | {precision} | {100 * point.recall:.0f} % |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
