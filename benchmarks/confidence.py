"""Does confidence stay calibrated in galleries unlike the validation data?

Calibrates a bundle on synthetic people and checks the best candidate of each description: in galleries of four sizes,
in images degraded in four ways, at night, and in real footage, each with the person in the gallery and with the person
removed (footage: 19 descriptions of people in it, 19 of people who are not). Prints one table for two rules: `before`
uses a candidate's similarity and its lead over the ten best crops, fitted in one gallery; `now` is the library's.

    python benchmarks/confidence.py [BUNDLE] [--clips ../shared/data]

Shapes: N pictures or candidates, H height, W width, Q queries, K candidates of a query.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from footage_search import CLIPS, CROPS, DESCRIBED
from numpy.typing import NDArray
from support.people import prepare_people

from personsearch.bundle import CALIBRATION, Bundle, Preprocessing
from personsearch.data.records import Split, read_manifest
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load import load_encoder
from personsearch.evaluation.calibration import (
    Candidates,
    expected_calibration_error,
    find_candidates,
    fit_calibration,
    fit_logistic,
    probabilities,
)
from personsearch.evaluation.embeddings import SplitEmbeddings, embed_records
from personsearch.evaluation.footage import (
    FootageFiles,
    FootageFindings,
    footage_searcher,
    search_footage,
    take_in,
)
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.calibration import DEPTH, Calibration
from personsearch.search.searcher import Searcher

THRESHOLD = 0.5
SIZES = (1, 3, 10)  # the test people in one gallery, in thirds, in tenths
DAY = SynthesizeConfig(identities_train=0, identities_val=150, identities_test=120, images_per_identity=3, seed=71)
NIGHT = DAY.model_copy(update={"identities_val": 0, "domain": "night", "seed": 72})


@dataclass(frozen=True)
class Verdicts:
    """What a rule stated for the best candidate of each query, and the truth: arrays [Q]."""

    probability_Q: NDArray[np.float64]
    right_Q: NDArray[np.bool_]
    present_Q: NDArray[np.bool_]

    @property
    def error(self) -> float:
        return expected_calibration_error(self.probability_Q, self.right_Q)

    @property
    def loss(self) -> float:
        """Mean negative logarithm of the probability given to the truth."""
        p_Q = self.probability_Q.clip(1e-6, 1 - 1e-6)
        return float(-np.log(np.where(self.right_Q, p_Q, 1 - p_Q)).mean())

    def row(self) -> str:
        """Calibration error, log loss, precision of "reliable", shares of right and of absent ones called reliable."""
        called_Q = self.probability_Q >= THRESHOLD
        precision = f"{(called_Q & self.right_Q).sum() / called_Q.sum():.2f}" if called_Q.any() else "none called"
        kept, alarms = called_Q[self.right_Q].mean(), called_Q[~self.present_Q].mean()
        return f"{self.error:.3f} | {self.loss:.3f} | {precision} | {kept:.2f} | {alarms:.2f}"


@dataclass(frozen=True)
class Rule:
    """A rule for confidence: for candidates [Q, K], and for the best candidate of one search."""

    name: str
    of_candidates: Callable[[Candidates], NDArray[np.float64]]
    of_search: Callable[[Searcher, str], float]


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
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("weights/tiny-clip"))
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--data", type=Path, default=Path("var/benchmark-confidence"))
    arguments = parser.parse_args()

    encoder = load_encoder(Bundle.open(arguments.bundle))
    keep = arguments.data / Bundle.open(arguments.bundle).fingerprint
    day, night = prepare_people(DAY, arguments.data / "day"), prepare_people(NIGHT, arguments.data / "night")
    val = embed(encoder, day, "val", keep / "val")
    calibration = fit_calibration(val, "val", THRESHOLD)
    rules = (before(val), now(calibration))
    print("| gallery | R@1 | rule | calibration error | log loss | precision | right kept | absent called reliable |")
    print("|---|---|---|---|---|---|---|---|")
    test = embed(encoder, day, "test", keep / "test")
    like_val = [print_rows(f"test, {people(parts)}", synthetic_verdicts(test, rules, parts)) for parts in SIZES]
    like_val.append(
        print_rows(f"test, {people(1)} among the people of val", synthetic_verdicts(among(test, val), rules, 1))
    )
    shifted = {
        change.__name__: embed(Degraded(encoder, change), day, "test", keep / change.__name__) for change in CHANGES
    }
    shifted["at night"] = embed(encoder, night, "test", keep / "night")
    unlike_val = [
        print_rows(f"test {name}, {people(parts)}", synthetic_verdicts(embeddings, rules, parts))
        for name, embeddings in shifted.items()
        for parts in SIZES
    ]
    footage = take_in(IngestConfig(), FootageFiles(DESCRIBED, arguments.clips, CROPS, gallery_in))
    (keep / CALIBRATION).write_text(calibration.model_dump_json())
    searcher = footage_searcher(footage, encoder, keep / CALIBRATION)
    print_rows("footage", footage_verdicts(search_footage(footage, searcher), searcher, rules))
    print_means({"test": like_val, "test, degraded and at night": unlike_val})
    print(f"\n{calibration.curve}")


def embed(encoder: Encoder, prepared: Path, split: Split, folder: Path) -> SplitEmbeddings:
    """The embeddings of one split, cached in `folder`."""
    return embed_records(encoder, prepared, read_manifest(prepared, split), folder)


def among(embeddings: SplitEmbeddings, others: SplitEmbeddings) -> SplitEmbeddings:
    """The same captions, searched in a gallery with other people's images added."""
    return replace(
        embeddings,
        records=embeddings.records + others.records,
        image_GD=np.concatenate([embeddings.image_GD, others.image_GD]),
    )


def before(val: SplitEmbeddings) -> Rule:
    """The rule that considers neither tracks nor the size of the gallery."""
    found = [find_candidates(val, absent=absent, parts=(1,)) for absent in (False, True)]
    features_NF = np.concatenate([_score_and_lead(part).reshape(-1, 2) for part in found])
    intercept, *slopes = fit_logistic(features_NF, np.concatenate([part.right_QK.ravel() for part in found]))

    def probability(features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-(intercept + features @ np.array(slopes)))))

    def of_search(searcher: Searcher, text: str) -> float:
        scores = [hit.score for hit in searcher.index.search(searcher.encoder.encode_texts([text]), DEPTH)[0]]
        return float(probability(np.array([scores[0], scores[0] - np.mean(scores)])))

    return Rule("before", lambda candidates: probability(_score_and_lead(candidates)), of_search)


def now(calibration: Calibration) -> Rule:
    """The confidence of the library's searcher."""

    def of_search(searcher: Searcher, text: str) -> float:
        return searcher.answer(text, k=1).candidates[0].confidence or 0.0

    return Rule("now", lambda candidates: probabilities(calibration.curve, candidates), of_search)


def _score_and_lead(candidates: Candidates) -> NDArray[np.float64]:
    score_QK = candidates.score_QK
    return np.stack([score_QK, score_QK - score_QK.mean(axis=1, keepdims=True)], axis=-1)


def synthetic_verdicts(
    embeddings: SplitEmbeddings, rules: Sequence[Rule], parts: int
) -> Iterator[tuple[str, Verdicts]]:
    """Every caption, once with its person in the gallery and once without."""
    present, absent = (find_candidates(embeddings, absent=absent, parts=(parts,)) for absent in (False, True))
    there_Q = np.repeat([True, False], [len(present.person_Q), len(absent.person_Q)])
    right_Q = np.concatenate([present.right_QK[:, 0], absent.right_QK[:, 0]])
    for rule in rules:
        best_Q = np.concatenate([rule.of_candidates(part)[:, 0] for part in (present, absent)])
        yield rule.name, Verdicts(best_Q, right_Q, there_Q)


def footage_verdicts(
    findings: FootageFindings, searcher: Searcher, rules: Sequence[Rule]
) -> Iterator[tuple[str, Verdicts]]:
    """The descriptions of people in the footage, then those of people who are not."""
    asked = [shown.asked for shown in (*findings.present, *findings.absent)]
    right_Q = np.array([one.rank == 1 for one in asked])
    present_Q = np.arange(len(asked)) < len(findings.present)
    for rule in rules:
        yield rule.name, Verdicts(np.array([rule.of_search(searcher, one.text) for one in asked]), right_Q, present_Q)


def people(parts: int) -> str:
    return f"{DAY.identities_test // parts} people"


def print_rows(name: str, verdicts: Iterator[tuple[str, Verdicts]]) -> dict[str, Verdicts]:
    """Print one row for each rule; returns the verdicts."""
    found = dict(verdicts)
    for rule, verdict in found.items():
        print(f"| {name} | {100 * verdict.right_Q[verdict.present_Q].mean():.0f} % | {rule} | {verdict.row()} |")
    return found


def print_means(groups: dict[str, list[dict[str, Verdicts]]]) -> None:
    """Print mean calibration error and log loss, each gallery weighted equally."""
    print("\n| mean of | rule | calibration error | log loss |\n|---|---|---|---|")
    for name, galleries in groups.items():
        for rule in galleries[0]:
            error, loss = np.mean([(found[rule].error, found[rule].loss) for found in galleries], axis=0)
            print(f"| {name} | {rule} | {error:.3f} | {loss:.3f} |")


if __name__ == "__main__":
    main()
