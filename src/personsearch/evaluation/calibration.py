"""Fits a model's calibration on queries whose answer is known, and measures how far it can be trusted.

It is fitted in galleries of several sizes, because the same similarity means less in a larger one. Every image counts
as a track of its own here.

Shapes: Q queries, C queries of one chunk, G images, K candidates of a query, N candidates in all, F features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import similarity_chunks
from personsearch.search.calibration import DEPTH, Calibration, Curve

RIDGE = 1e-3
ITERATIONS = 50
BINS = 10
CHUNK = 1024
LARGEST_LOGIT = 60.0
PARTS = (1, 2, 4)  # galleries: everyone, then people dealt into halves, then into quarters


@dataclass(frozen=True)
class Candidates:
    """The DEPTH best images of every query, best first: similarity, lead, whether it is right, and whether it exists at
    all [Q, K]; the number of images searched and the person searched for [Q].
    """

    score_QK: NDArray[np.float64]
    lead_QK: NDArray[np.float64]
    right_QK: NDArray[np.bool_]
    there_QK: NDArray[np.bool_]
    searched_Q: NDArray[np.int64]
    person_Q: NDArray[np.int64]

    def select(self, chosen_Q: NDArray[np.bool_]) -> "Candidates":
        return Candidates(*(values[chosen_Q] for values in vars(self).values()))

    @classmethod
    def join(cls, parts: Sequence["Candidates"]) -> "Candidates":
        return cls(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))

    def features(self) -> NDArray[np.float64]:
        """The curve's inputs for the candidates that exist [N, F], in the order of its weights."""
        tracks_QK = np.broadcast_to(np.log(np.maximum(self.searched_Q, 1))[:, None], self.score_QK.shape)
        return np.stack([self.score_QK, self.lead_QK, tracks_QK], axis=-1)[self.there_QK]

    def rightness(self) -> NDArray[np.bool_]:
        """Whether each candidate that exists is right [N]."""
        return self.right_QK[self.there_QK]


def fit_calibration(embeddings: SplitEmbeddings, split: str, threshold: float) -> Calibration:
    """Fit on all people; the stated rates come from fitting on one half of them and measuring on the other."""
    present, absent = find_candidates(embeddings, absent=False), find_candidates(embeddings, absent=True)
    held_out = [_held_out(present, absent, half, threshold) for half in (0, 1)]
    rates = {name: float(np.mean([rate[name] for rate in held_out])) for name in held_out[0]}
    return Calibration(
        curve=fit_curve([present, absent]),
        threshold=threshold,
        split=split,
        queries=len(embeddings.captions),
        galleries=tuple(float(len(embeddings.records) / parts) for parts in PARTS),
        **rates,
    )


def find_candidates(embeddings: SplitEmbeddings, *, absent: bool, parts: Sequence[int] = PARTS) -> Candidates:
    """The best images of every caption in each gallery that holds its person; `absent` removes the person first."""
    return Candidates.join(
        [
            _search(embeddings, images_G, captions_Q, absent=absent)
            for count in parts
            for images_G, captions_Q in _galleries(embeddings, count)
        ]
    )


def fit_curve(parts: Sequence[Candidates]) -> Curve:
    """Fit the slopes to all candidates, but the intercept to the best ones: they decide whether to trust a search."""
    candidates = Candidates.join(parts)
    intercept, score, lead, log_tracks = map(float, fit_logistic(candidates.features(), candidates.rightness()))
    curve = Curve(intercept=intercept, score=score, lead=lead, log_tracks=log_tracks)
    found_Q = candidates.there_QK[:, 0]
    best_Q = probabilities(curve, candidates)[found_Q, 0]
    right_Q = candidates.right_QK[found_Q, 0]
    share = (right_Q.sum() + 0.5) / (len(right_Q) + 1)
    return curve.model_copy(update={"intercept": intercept + shift_to_mean(best_Q, float(share))})


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
    logit_N = curve.intercept + candidates.features() @ np.array([curve.score, curve.lead, curve.log_tracks])
    probability_QK = np.zeros(candidates.score_QK.shape)
    probability_QK[candidates.there_QK] = 1 / (1 + np.exp(-np.clip(logit_N, -LARGEST_LOGIT, LARGEST_LOGIT)))
    return probability_QK


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


def _galleries(embeddings: SplitEmbeddings, parts: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The images and captions of each gallery, into which people are dealt at random, the same on every run."""
    people = np.random.default_rng(0).permutation(np.unique(embeddings.image_ids))
    for start in range(min(parts, len(people))):
        dealt = people[start::parts]
        images_G = np.flatnonzero(np.isin(embeddings.image_ids, dealt))
        yield images_G, np.flatnonzero(np.isin(embeddings.caption_ids, dealt))


def _search(
    embeddings: SplitEmbeddings, images_G: NDArray[np.int64], captions_Q: NDArray[np.int64], *, absent: bool
) -> Candidates:
    image_ids_G, caption_ids_Q = embeddings.image_ids[images_G], embeddings.caption_ids[captions_Q]
    text_QD, image_GD = embeddings.text_QD[captions_Q], embeddings.image_GD[images_G]
    found = []
    for start, similarity_CG in similarity_chunks(text_QD, image_GD, CHUNK):
        person_C = caption_ids_Q[start : start + len(similarity_CG)]
        match_CG = person_C[:, None] == image_ids_G
        if absent:
            similarity_CG[match_CG] = -np.inf
        best_CK = np.argsort(-similarity_CG, axis=1, kind="stable")[:, : DEPTH + 1]
        score_CK = np.take_along_axis(similarity_CG, best_CK, axis=1).astype(np.float64)
        right_CK = np.take_along_axis(match_CG, best_CK, axis=1) & (not absent)
        searched_C = len(image_ids_G) - match_CG.sum(axis=1) * absent
        found.append(_judged(score_CK, right_CK, searched_C, person_C))
    return Candidates.join(found)


def _judged(
    score_CK: NDArray[np.float64],
    right_CK: NDArray[np.bool_],
    searched_C: NDArray[np.int64],
    person_C: NDArray[np.int64],
) -> Candidates:
    """The DEPTH best candidates, each with its lead over the mean of the others among the DEPTH + 1 best."""
    missing = ((0, 0), (0, DEPTH + 1 - score_CK.shape[1]))
    score_CK = np.pad(score_CK, missing, constant_values=-np.inf)
    there_CK = np.isfinite(score_CK)
    score_CK = np.where(there_CK, score_CK, 0.0)
    others_CK = there_CK.sum(axis=1, keepdims=True) - there_CK
    total_CK = score_CK.sum(axis=1, keepdims=True) - score_CK
    lead_CK = np.where(others_CK > 0, score_CK - total_CK / np.maximum(others_CK, 1), 0.0)
    best = np.s_[:, :DEPTH]
    right_CK = np.pad(right_CK, missing)
    return Candidates(score_CK[best], lead_CK[best], right_CK[best], there_CK[best], searched_C, person_C)


def _held_out(present: Candidates, absent: Candidates, half: int, threshold: float) -> dict[str, float]:
    """Fit on one half of the people and measure on the other; with a single person, both are the same."""
    people = np.unique(present.person_Q)
    seen_Q = np.isin(present.person_Q, people[half::2])
    unseen_Q = ~seen_Q if seen_Q.any() and not seen_Q.all() else np.ones_like(seen_Q)
    seen_Q = seen_Q if seen_Q.any() else np.ones_like(seen_Q)
    curve = fit_curve([present.select(seen_Q), absent.select(seen_Q)])
    return measure_rates(curve, present.select(unseen_Q), absent.select(unseen_Q), threshold)


def measure_rates(curve: Curve, present: Candidates, absent: Candidates, threshold: float) -> dict[str, float]:
    """The four rates that a calibration states, measured on these queries."""
    present_QK, absent_QK = probabilities(curve, present), probabilities(curve, absent)
    kept_Q, alarmed_Q = present_QK[:, 0] >= threshold, absent_QK[:, 0] >= threshold
    called = max(int(kept_Q.sum() + alarmed_Q.sum()), 1)
    return {
        "expected_calibration_error": expected_calibration_error(
            np.concatenate([present_QK[present.there_QK], absent_QK[absent.there_QK]]),
            np.concatenate([present.rightness(), absent.rightness()]),
        ),
        "precision": float((kept_Q & present.right_QK[:, 0]).sum() / called),
        "reliable_when_present": float(kept_Q.mean()),
        "reliable_when_absent": float(alarmed_Q.mean()),
    }
