"""Fits a model's calibration to searches whose answer is known, and measures how far it can be trusted.

Shapes: Q queries, K candidates of a query, N candidates in all, F features.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.evaluation.attributes.ranking import area_under_curve
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.known_searches import (
    GALLERIES,
    Candidates,
    Questions,
    Searched,
    search_kinds,
    search_known,
)
from personsearch.search.calibration import SLOPES, Calibration, Curve, KindRates, Reference
from personsearch.search.query import QueryKind

RIDGE = 1e-3
ITERATIONS = 50
BINS = 10
LARGEST_LOGIT = 60.0
OF_FACTS = ("facts", "lead_facts")
LEAST_OUTCOMES = 20  # right first answers, and wrong ones, from which another kind of query is calibrated

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """A curve's probabilities for the searches for people that it had not seen [Q, K]."""

    searched: Searched
    present_QK: NDArray[np.float64]
    absent_QK: NDArray[np.float64]

    @classmethod
    def by(cls, curve: Curve, searched: Searched) -> "Judged":
        return cls(searched, probabilities(curve, searched.present), probabilities(curve, searched.absent))

    def best(self) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Of the best candidates: the probability, whether it is right, and whether somebody was there [N]."""
        parts = ((self.searched.present, self.present_QK, True), (self.searched.absent, self.absent_QK, False))
        found = [(QK[part.there_QK[:, 0], 0], part.best()[1], there) for part, QK, there in parts]
        probability_N = np.concatenate([each[0] for each in found])
        there_N = np.repeat([each[2] for each in found], [len(each[0]) for each in found])
        return probability_N, np.concatenate([each[1] for each in found]), there_N


def fit_calibration(
    embeddings: SplitEmbeddings,
    split: str,
    *,
    short: Questions | None = None,
    others: Mapping[QueryKind, Sequence[Questions]] | None = None,
    threshold: float = 0.5,
) -> Calibration:
    """Fit on all people; the stated rates come from fitting on one half of them and measuring on the other.

    An answer is reliable from `threshold`. Each kind of the `others` gets a curve of its own, unless there is too
    little to fit it to.
    """
    kinds = search_kinds(embeddings, short, None)
    unseen = list(_held_out(kinds))
    rates = {name: measure_kind([judged[name] for judged in unseen], threshold) for name in kinds}
    fitted = dict(_fit_others(embeddings, others or {}, threshold))
    return Calibration(
        curve=fit_curve(list(kinds.values())),
        threshold=threshold,
        reference=Reference.of(embeddings.image_GD),
        split=split,
        queries=len(embeddings.captions),
        galleries=tuple(float(len(embeddings.records) / each.parts) for each in GALLERIES if not each.by_person),
        **measure_rates([judged for half in unseen for judged in half.values()], threshold),
        captions=rates["captions"],
        short_queries=rates.get("short_queries"),
        curves={kind: curve for kind, (curve, _) in fitted.items()},
        kinds={kind: of_kind for kind, (_, of_kind) in fitted.items()},
    )


def _fit_others(
    embeddings: SplitEmbeddings, others: Mapping[QueryKind, Sequence[Questions]], threshold: float
) -> Iterator[tuple[QueryKind, tuple[Curve, KindRates]]]:
    """The curve of each kind, and how far it can be trusted."""
    for kind, questions in others.items():
        found = {str(number): search_known(embeddings, asked) for number, asked in enumerate(questions)}
        right_N = np.concatenate([part.best()[1] for each in found.values() for part in (each.present, each.absent)])
        if min(right_N.sum(), (~right_N).sum()) < LEAST_OUTCOMES:
            logger.warning("%s: %d right and %d wrong first answers are too few to calibrate", kind, *_counts(right_N))
            continue
        judged = [each for half in _held_out(found) for each in half.values()]
        yield kind, (fit_curve(list(found.values())), measure_kind(judged, threshold))


def _counts(right_N: NDArray[np.bool_]) -> tuple[int, int]:
    return int(right_N.sum()), int((~right_N).sum())


def fit_curve(kinds: Sequence[Searched]) -> Curve:
    """Fit the curve to the best candidates, which decide whether to trust a search; their mean confidence becomes the
    share of right ones. How many facts a query names counts only if there are short queries.
    """
    parts = [part.best() for searched in kinds for part in (searched.present, searched.absent)]
    features_NF = np.concatenate([part[0] for part in parts])
    right_N = np.concatenate([part[1] for part in parts])
    left_out = set() if len(kinds) > 1 else set(OF_FACTS)
    intercept, slopes = _fit_slopes(features_NF, right_N, left_out)
    if slopes.get("log_tracks", 0.0) > 0:  # chance: a larger gallery must never make a search more confident
        intercept, slopes = _fit_slopes(features_NF, right_N, left_out | {"log_tracks"})
    curve = Curve.of(intercept, slopes)
    share = (right_N.sum() + 0.5) / (len(right_N) + 1)
    shift = shift_to_mean(_probability(curve, features_NF), float(share))
    return curve.model_copy(update={"intercept": intercept + shift})


def _fit_slopes(
    features_NF: NDArray[np.float64], right_N: NDArray[np.bool_], left_out: set[str]
) -> tuple[float, dict[str, float]]:
    """The intercept, and the slopes by name."""
    names = [name for name in SLOPES if name not in left_out]
    intercept, *slopes = map(float, fit_logistic(features_NF[:, [SLOPES.index(name) for name in names]], right_N))
    return intercept, dict(zip(names, slopes, strict=True))


def shift_to_mean(probability_N: NDArray[np.float64], mean: float) -> float:
    """What to add to the log-odds of these probabilities to make their mean `mean`, found by bisection."""
    clipped_N = probability_N.clip(1e-12, 1 - 1e-12)
    logit_N = np.log(clipped_N / (1 - clipped_N))
    low, high = -LARGEST_LOGIT, LARGEST_LOGIT
    for _ in range(ITERATIONS):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-(logit_N + middle)))).mean() < mean:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def probabilities(curve: Curve, candidates: Candidates) -> NDArray[np.float64]:
    """The curve's probability for each candidate [Q, K]; 0 where there is no candidate."""
    return np.where(candidates.there_QK, _probability(curve, candidates.features_QKF), 0.0)


def _probability(curve: Curve, features: NDArray[np.float64]) -> NDArray[np.float64]:
    logit = curve.intercept + features @ np.array(curve.slopes)
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -LARGEST_LOGIT, LARGEST_LOGIT))))


def expected_calibration_error(probability_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> float:
    """Mean distance between stated probability and share of right ones, over BINS equal bins weighted by their size."""
    bin_N = np.minimum((probability_N * BINS).astype(int), BINS - 1)
    total = np.bincount(bin_N, minlength=BINS)
    stated = np.bincount(bin_N, probability_N, minlength=BINS)
    found = np.bincount(bin_N, right_N.astype(float), minlength=BINS)
    return float(np.abs(stated - found).sum() / max(total.sum(), 1))


def fit_logistic(
    features_NF: NDArray[np.float64],
    right_N: NDArray[np.bool_],
    *,
    offset_N: NDArray[np.float64] | float = 0.0,
    ridge: float = RIDGE,
) -> NDArray[np.float64]:
    """Ridge-regularised logistic regression by Newton's method; returns the intercept and F weights.

    `offset_N` are log-odds from which the fit starts: they are added to those of the weights.
    """
    # standardised, so that the ridge penalises every feature alike; the weights are scaled back at the end
    mean_F, scale_F = features_NF.mean(axis=0), features_NF.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(features_NF)), (features_NF - mean_F) / scale_F])
    weights = np.zeros(design.shape[1])
    for _ in range(ITERATIONS):
        logit_N = design @ weights + offset_N
        probability_N = 1 / (1 + np.exp(-np.clip(logit_N, -LARGEST_LOGIT, LARGEST_LOGIT)))
        gradient = design.T @ (probability_N - right_N) / len(design) + ridge * weights
        curvature = (design * (probability_N * (1 - probability_N))[:, None]).T @ design / len(design)
        step = np.linalg.solve(curvature + ridge * np.eye(len(weights)), gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    slopes_F = weights[1:] / scale_F
    return np.concatenate([[weights[0] - slopes_F @ mean_F], slopes_F])


def _held_out(kinds: Mapping[str, Searched]) -> Iterator[dict[str, Judged]]:
    """Fit on one half of the people and judge the other; with a single person, both are the same."""
    people = np.unique(np.concatenate([searched.present.person_Q for searched in kinds.values()]))
    for half in (0, 1):
        seen, unseen = people[half::2], people[1 - half :: 2]
        seen, unseen = (seen, unseen) if len(people) > 1 else (people, people)
        curve = fit_curve([searched.select(seen) for searched in kinds.values()])
        yield {name: Judged.by(curve, searched.select(unseen)) for name, searched in kinds.items()}


def measure_rates(judged: Sequence[Judged], threshold: float) -> dict[str, float]:
    """The four rates that a calibration states of all queries."""
    probability_N, right_N, there_N = map(np.concatenate, zip(*(each.best() for each in judged), strict=True))
    called_N = probability_N >= threshold
    candidates = [part for each in judged for part in (each.searched.present, each.searched.absent)]
    stated = [QK for each in judged for QK in (each.present_QK, each.absent_QK)]
    return {
        "expected_calibration_error": expected_calibration_error(
            np.concatenate([QK[part.there_QK] for QK, part in zip(stated, candidates, strict=True)]),
            np.concatenate([part.rightness() for part in candidates]),
        ),
        "precision": float((called_N & right_N).sum() / max(called_N.sum(), 1)),
        "reliable_when_present": _share(called_N[there_N]),
        "reliable_when_absent": _share(called_N[~there_N]),
    }


def measure_kind(judged: Sequence[Judged], threshold: float) -> KindRates:
    """The rates of one kind of query."""
    probability_N, right_N, there_N = map(np.concatenate, zip(*(each.best() for each in judged), strict=True))
    called_N = probability_N >= threshold
    truth_N = np.where(right_N, probability_N, 1 - probability_N).clip(1e-6)
    return KindRates(
        queries=sum(len(each.present_QK) for each in judged),
        log_loss=float(-np.log(truth_N).mean()) if len(truth_N) else 0.0,
        auc=area_under_curve(probability_N, right_N) if 0 < right_N.sum() < len(right_N) else 0.5,
        precision=float(right_N[called_N].mean()) if called_N.any() else 1.0,
        right_reliable=_share(called_N[right_N]),
        absent_reliable=_share(called_N[~there_N]),
    )


def _share(chosen_N: NDArray[np.bool_]) -> float:
    return float(chosen_N.mean()) if len(chosen_N) else 0.0
