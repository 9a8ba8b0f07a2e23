"""Fit a model's calibration on queries whose answer is known, and say how far it can be trusted.

Shapes: Q queries, C queries of one chunk, G images, K candidates of a query, N candidates in all, F features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import similarity_chunks
from personsearch.search.calibration import DEPTH, Calibration, Logistic

RIDGE = 1e-3
ITERATIONS = 50
BINS = 10
CHUNK = 1024


@dataclass(frozen=True)
class Candidates:
    """The best K of every query, best first: similarities, rightness [Q, K], and the person asked for [Q]."""

    score_QK: NDArray[np.float64]
    right_QK: NDArray[np.bool_]
    person_Q: NDArray[np.int64]

    def select(self, chosen_Q: NDArray[np.bool_]) -> "Candidates":
        return Candidates(self.score_QK[chosen_Q], self.right_QK[chosen_Q], self.person_Q[chosen_Q])


def fit_calibration(embeddings: SplitEmbeddings, split: str, threshold: float) -> Calibration:
    """Fit on every person; the stated rates come from fitting on one half of them and measuring on the other."""
    present, absent = _candidates(embeddings, absent=False), _candidates(embeddings, absent=True)
    held_out = [_held_out(present, absent, half, threshold) for half in (0, 1)]
    rates = {name: float(np.mean([rate[name] for rate in held_out])) for name in held_out[0]}
    return Calibration(
        by_score=_fit([present, absent], with_lead=False),
        by_query=_fit([present, absent], with_lead=True),
        threshold=threshold,
        split=split,
        queries=len(embeddings.captions),
        **rates,
    )


def expected_calibration_error(probability_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> float:
    """Mean distance of stated probability and share of right ones over BINS equal bins, weighted by their number."""
    bin_N = np.minimum((probability_N * BINS).astype(int), BINS - 1)
    total = np.bincount(bin_N, minlength=BINS)
    stated = np.bincount(bin_N, probability_N, minlength=BINS)
    found = np.bincount(bin_N, right_N.astype(float), minlength=BINS)
    return float(np.abs(stated - found).sum() / total.sum())


def fit_logistic(features_NF: NDArray[np.float64], right_N: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Ridge-regularised logistic regression by Newton's method; returns the intercept and F weights."""
    mean_F, scale_F = features_NF.mean(axis=0), features_NF.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(features_NF)), (features_NF - mean_F) / scale_F])
    weights = np.zeros(design.shape[1])
    for _ in range(ITERATIONS):
        probability_N = 1 / (1 + np.exp(-np.clip(design @ weights, -60, 60)))
        gradient = design.T @ (probability_N - right_N) / len(design) + RIDGE * weights
        curvature = (design * (probability_N * (1 - probability_N))[:, None]).T @ design / len(design)
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(weights)), gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    slopes_F = weights[1:] / scale_F
    return np.concatenate([[weights[0] - slopes_F @ mean_F], slopes_F])


def _candidates(embeddings: SplitEmbeddings, *, absent: bool) -> Candidates:
    """The best DEPTH images of every caption; `absent` takes the caption's own person out of the gallery first."""
    image_ids_G, caption_ids_Q = embeddings.image_ids, embeddings.caption_ids
    depth = min(DEPTH, len(image_ids_G))
    scores, right = [], []
    for start, similarity_CG in similarity_chunks(embeddings.text_QD, embeddings.image_GD, CHUNK):
        match_CG = caption_ids_Q[start : start + len(similarity_CG), None] == image_ids_G
        if absent:
            similarity_CG[match_CG] = -1.0
        best_CK = np.argsort(-similarity_CG, axis=1, kind="stable")[:, :depth]
        scores.append(np.take_along_axis(similarity_CG, best_CK, axis=1))
        right.append(np.take_along_axis(match_CG, best_CK, axis=1) & (not absent))
    return Candidates(np.concatenate(scores).astype(np.float64), np.concatenate(right), caption_ids_Q)


def _fit(parts: list[Candidates], *, with_lead: bool) -> Logistic:
    features_NF = np.concatenate([_features(part)[:, : 2 if with_lead else 1] for part in parts])
    right_N = np.concatenate([part.right_QK.ravel() for part in parts])
    return Logistic(**dict(zip(("intercept", "score", "lead"), fit_logistic(features_NF, right_N), strict=False)))


def _features(candidates: Candidates) -> NDArray[np.float64]:
    lead_QK = candidates.score_QK - candidates.score_QK.mean(axis=1, keepdims=True)
    return np.column_stack([candidates.score_QK.ravel(), lead_QK.ravel()])


def _probability(model: Logistic, candidates: Candidates) -> NDArray[np.float64]:
    logit_N = model.intercept + _features(candidates) @ np.array([model.score, model.lead])
    probability_N: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logit_N, -60, 60)))
    return probability_N.reshape(candidates.score_QK.shape)


def _held_out(present: Candidates, absent: Candidates, half: int, threshold: float) -> dict[str, float]:
    """Fit on the people of one half, measure on the others. Without two people there is nothing to hold out."""
    people = np.unique(present.person_Q)
    seen_Q = np.isin(present.person_Q, people[half::2])
    if seen_Q.all() or not seen_Q.any():
        seen_Q, unseen_Q = np.ones_like(seen_Q), np.ones_like(seen_Q)
    else:
        unseen_Q = ~seen_Q
    model = _fit([present.select(seen_Q), absent.select(seen_Q)], with_lead=True)
    present, absent = present.select(unseen_Q), absent.select(unseen_Q)
    present_QK, absent_QK = _probability(model, present), _probability(model, absent)
    kept_Q, alarmed_Q = present_QK[:, 0] >= threshold, absent_QK[:, 0] >= threshold
    called = max(int(kept_Q.sum() + alarmed_Q.sum()), 1)
    return {
        "expected_calibration_error": expected_calibration_error(
            np.concatenate([present_QK.ravel(), absent_QK.ravel()]),
            np.concatenate([present.right_QK.ravel(), absent.right_QK.ravel()]),
        ),
        "precision": float((kept_Q & present.right_QK[:, 0]).sum() / called),
        "reliable_when_present": float(kept_Q.mean()),
        "reliable_when_absent": float(alarmed_Q.mean()),
    }
