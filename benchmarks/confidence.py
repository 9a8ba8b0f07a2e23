"""Claim: right answers are called reliable, also to short queries that many fit, and absent people are not.

Calibrates a bundle on synthetic people and judges the best candidate of each search: of captions, to which one person
is right, and of short queries, to which everybody is right who fits; among unseen people, in small and in degraded
galleries, at night, and in real footage; each with those it fits in the gallery and without them. Prints tables for two
rules: `before` uses similarity, lead and number of tracks, fitted to captions; `now` is the library's. For footage,
`own` is a curve fitted to all the other searches in that footage: as much as a curve could know.

    python benchmarks/confidence.py [BUNDLE] [--clips ../shared/data]

Shapes: N pictures or candidates, H height, W width.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from footage_search import CLIPS, CROPS, DESCRIBED
from numpy.typing import NDArray
from support.people import prepare_people

from personsearch.bundle import CALIBRATION, Bundle, Preprocessing
from personsearch.data.facts.known import TRUE, UNKNOWN, fact_table
from personsearch.data.facts.queries import fits
from personsearch.data.records import Split, read_manifest
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.attributes.questions import SHORT_QUERIES
from personsearch.evaluation.calibration import Judged, fit_calibration, fit_logistic, measure_kind, measure_rates
from personsearch.evaluation.embeddings import SplitEmbeddings, embed_records
from personsearch.evaluation.footage import Footage, FootageFiles, footage_searcher, search_footage, take_in
from personsearch.evaluation.known_searches import (
    Galleries,
    Searched,
    draw_short_queries,
    search_kinds,
    search_known,
)
from personsearch.evaluation.measured import EvaluateConfig
from personsearch.evaluation.query_kinds import draw_kinds
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.calibration import SLOPES, CalibratedCurve, Calibration, Curve, Reference, features
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.searcher import Searcher, track_of

BEFORE = ("score", "lead", "log_tracks")
RELIABLE = EvaluateConfig().reliable_confidence
LARGE, SMALL = Galleries(1, by_person=False), Galleries(10, by_person=True)
DAY = SynthesizeConfig(identities_train=0, identities_val=150, identities_test=120, images_per_identity=3, seed=71)
NIGHT = DAY.model_copy(update={"identities_val": 0, "domain": "night", "seed": 72})
SHOWN = 5
OWN_RIDGE = 0.02

Rules = Mapping[str, CalibratedCurve]


@dataclass(frozen=True)
class First:
    """The first candidate of a search: a curve's inputs, whether it is right, and whether the person is there."""

    inputs: tuple[float, ...]
    is_right: bool
    is_present: bool


@dataclass(frozen=True)
class Degraded:
    """An encoder that sees every image degraded."""

    encoder: Encoder
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]]

    @property
    def preprocessing(self) -> Preprocessing:
        return self.encoder.preprocessing

    @property
    def embedding_dim(self) -> int:
        return self.encoder.embedding_dim

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        changed = self.change(pixels_NHW3.astype(np.float32) / 255)
        return self.encoder.encode_images((changed.clip(0, 1) * 255).astype(np.uint8))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encoder.encode_texts(texts)

    def text_cut_after(self, text: str) -> int | None:
        return self.encoder.text_cut_after(text)


def dark(x_NHW3: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).normal(0, 0.03, x_NHW3.shape)
    return (0.35 * x_NHW3**1.3 + noise).astype(np.float32)


def faded(x_NHW3: NDArray[np.float32]) -> NDArray[np.float32]:
    return 0.3 * x_NHW3 + 0.7 * x_NHW3.mean(axis=-1, keepdims=True)


def hazy(x_NHW3: NDArray[np.float32]) -> NDArray[np.float32]:
    return 0.45 * x_NHW3 + 0.4


def coarse(x_NHW3: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blocks of 4 × 4 pixels, like a person far away."""
    n, height, width, _ = x_NHW3.shape
    blocks = x_NHW3.reshape(n, height // 4, 4, width // 4, 4, 3).mean(axis=(2, 4))
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


CHANGES = (dark, faded, hazy, coarse)


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("weights/tiny-clip"))
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--data", type=Path, default=Path("var/benchmark-confidence"))
    arguments = parser.parse_args()

    bundle = Bundle.open(arguments.bundle)
    encoder, keep = load_encoder(bundle), arguments.data / bundle.fingerprint
    day, night = prepare_people(DAY, arguments.data / "day"), prepare_people(NIGHT, arguments.data / "night")
    val, test = (embed(encoder, day, split, keep / split) for split in ("val", "test"))
    now = fit_calibration(
        val, "val", short=draw_short_queries(val, encoder), others=draw_kinds(val, encoder), threshold=RELIABLE
    )
    rules = {"before": fit_before(val), "now": now}
    print(f"{bundle.fingerprint}; reliable from {now.threshold:.2f}; {now.curve}\n")
    print(
        "| gallery | kind | best is right | rule | log loss | AUC | reliable: right | right ones kept | absent ones |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    reference = Reference.of(val.image_GD)
    print_kinds("120 people, 360 tracks", searches(encoder, test, reference, LARGE), rules)
    print_kinds("12 people, 12 tracks", searches(encoder, test, reference, SMALL), rules)
    for change in CHANGES:
        seen = embed(Degraded(encoder, change), day, "test", keep / change.__name__)
        print_kinds(f"{change.__name__}, 360 tracks", searches(encoder, seen, reference, LARGE), rules)
    seen = embed(encoder, night, "test", keep / "night")
    print_kinds("at night, 360 tracks", searches(encoder, seen, reference, LARGE), rules)
    print_short_queries(encoder, test, now)
    print_other_kinds(encoder, test, now)
    described = [path for path in (DESCRIBED, arguments.clips / "people.json") if path.is_file()]
    print("\n| footage | rule | right first answers called reliable | wrong ones, person there | absent people |")
    print("|---|---|---|---|---|")
    first: list[First] = []
    for path in described:
        footage = take_in(IngestConfig(), FootageFiles(path, arguments.clips, CROPS, gallery_in))
        searcher = footage_searcher(footage, encoder, keep / CALIBRATION)
        print_footage(path.stem, footage, searcher, rules)
        first += first_answers(footage, Searcher(encoder, searcher.index, now))
    print_own(first)


def embed(encoder: Encoder, prepared: Path, split: Split, folder: Path) -> SplitEmbeddings:
    """The embeddings of one split, cached in `folder`."""
    return embed_records(encoder, prepared, read_manifest(prepared, split), folder)


def fit_before(val: SplitEmbeddings) -> CalibratedCurve:
    """The rule that knows similarity, lead and number of tracks, fitted to captions alone."""
    found = search_kinds(val, None, None)["captions"]
    inputs, right = zip(*(part.best() for part in (found.present, found.absent)), strict=True)
    columns = [SLOPES.index(name) for name in BEFORE]
    intercept, *slopes = map(float, fit_logistic(np.concatenate(inputs)[:, columns], np.concatenate(right)))
    return CalibratedCurve(curve=Curve.of(intercept, dict(zip(BEFORE, slopes, strict=True))), threshold=0.5)


def searches(
    encoder: Encoder, embeddings: SplitEmbeddings, reference: Reference, galleries: Galleries
) -> dict[str, Searched]:
    return search_kinds(embeddings, draw_short_queries(embeddings, encoder), reference, (galleries,))


def print_kinds(name: str, kinds: Mapping[str, Searched], rules: Rules) -> None:
    """A row for each kind of query and each rule."""
    for kind, searched in kinds.items():
        right = searched.present.best()[1].mean()
        for rule, calibrated in rules.items():
            rates = measure_kind([Judged.by(calibrated.curve, searched)], calibrated.threshold)
            shares = f"{rates.precision:.2f} | {rates.right_reliable:.2f} | {rates.absent_reliable:.2f}"
            told = f"{name} | {kind.replace('_', ' ')} | {100 * right:.0f} % | {rule}"
            print(f"| {told} | {rates.log_loss:.3f} | {rates.auc:.3f} | {shares} |")


def print_short_queries(encoder: Encoder, test: SplitEmbeddings, now: Calibration) -> None:
    """What is said of the best to short queries as people type them, and how many fit, of those of whom it is known."""
    searcher = Searcher(encoder, index_of(test), now)
    answers = fits(SHORT_QUERIES, fact_table(test.records))
    print(f"\n| short query | fit, of the first {SHOWN} | match | likely to fit, of the first ten |\n|---|---|---|---|")
    for number, query in enumerate(SHORT_QUERIES):
        answer = searcher.answer(query.text, k=SHOWN)
        shown = [answers[int(candidate.crop.crop_id), number] for candidate in answer.candidates]
        known = [value for value in shown if value != UNKNOWN]
        print(f"| {query.text} | {known.count(TRUE)} of {len(known)} | {answer.match} | {answer.fitting} |")


def print_other_kinds(encoder: Encoder, test: SplitEmbeddings, now: Calibration) -> None:
    """How far the confidence of other queries can be trusted, each by its own curve, and by that of descriptions."""
    print("\n| query | gallery | best is right | curve | ECE | log loss | AUC | reliable: right | kept | absent ones |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for kind, questions in draw_kinds(test, encoder).items():
        for name, galleries in (("360 tracks", LARGE), ("12 tracks", SMALL)):
            found = [search_known(test, asked, now.reference, (galleries,)) for asked in questions]
            right = np.concatenate([searched.present.best()[1] for searched in found]).mean()
            for whose, curve in (("own", now.curves.get(kind)), ("descriptions'", now.curve)):
                if curve is None:
                    continue
                judged = [Judged.by(curve, searched) for searched in found]
                rates, error = measure_kind(judged, now.threshold), measure_rates(judged, now.threshold)
                shares = f"{rates.precision:.2f} | {rates.right_reliable:.2f} | {rates.absent_reliable:.2f}"
                told = f"{kind.replace('_', ' ')} | {name} | {100 * right:.0f} % | {whose}"
                ece = error["expected_calibration_error"]
                print(f"| {told} | {ece:.3f} | {rates.log_loss:.3f} | {rates.auc:.3f} | {shares} |", flush=True)


def index_of(embeddings: SplitEmbeddings) -> ExactIndex:
    """Every image as a track of its own; its number is the id of its crop."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    crops = [
        Crop(f"{number:06d}", "camera", start, "", "", BoundingBox(0, 0, 1, 1), "", 1.0, start)
        for number in range(len(embeddings.records))
    ]
    index = ExactIndex(embeddings.image_GD.shape[1])
    index.upsert(crops, embeddings.image_GD)
    return index


def print_footage(name: str, footage: Footage, searcher: Searcher, rules: Rules) -> None:
    """A row for each rule: how many first answers of which kind are called reliable."""
    for rule, calibrated in rules.items():
        found = search_footage(footage, Searcher(searcher.encoder, searcher.index, calibrated))
        present, absent = ([shown.asked for shown in shown_of] for shown_of in (found.present, found.absent))
        right = [one.reliable for one in present if one.rank == 1]
        wrong = [one.reliable for one in present if one.rank != 1]
        missing = [one.reliable for one in absent]
        counts = " | ".join(f"{sum(map(bool, called))} of {len(called)}" for called in (right, wrong, missing))
        print(f"| {name} | {rule} | {counts} |")


def first_answers(footage: Footage, searcher: Searcher) -> list[First]:
    """Of every description of somebody in the footage, and of somebody who is not."""
    asked = [(text, footage.tracks_of(person)) for person in footage.described.people for text in person.descriptions]
    asked += [(text, None) for text in footage.described.absent]
    found = []
    for text, right in asked:
        answer = searcher.answer(text, k=1)
        best = answer.candidates[0]
        inputs = features(best.score, best.lead, answer.given)
        found.append(First(inputs, track_of(best.crop) in (right or ()), right is not None))
    return found


def print_own(first: Sequence[First]) -> None:
    """How many first answers are called reliable by a curve that is fitted to the other searches in the footage."""
    if not first:
        return
    inputs_NF, right_N = np.array([each.inputs for each in first]), np.array([each.is_right for each in first])
    present_N, called_N = np.array([each.is_present for each in first]), np.zeros(len(first), dtype=bool)
    for row in range(len(first)):
        others_N = np.arange(len(first)) != row
        intercept, *slopes = fit_logistic(inputs_NF[others_N], right_N[others_N], ridge=OWN_RIDGE)
        called_N[row] = intercept + inputs_NF[row] @ np.array(slopes) >= 0
    kinds = (right_N, present_N & ~right_N, ~present_N)
    counts = " | ".join(f"{called_N[kind_N].sum()} of {kind_N.sum()}" for kind_N in kinds)
    print(f"| all of them | own | {counts} |")


if __name__ == "__main__":
    main()
