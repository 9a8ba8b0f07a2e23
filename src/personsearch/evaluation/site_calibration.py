"""Fits a calibration to the verdicts of one site, and measures it before and after.

The model's own curve is where the fit starts: the fewer the verdicts, the less it moves from there.

Shapes: N judged candidates, F features.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personsearch.evaluation.calibration import LARGEST_LOGIT, fit_logistic, shift_to_mean
from personsearch.search.calibration import SLOPES, Curve

LEAST_CONFIRMED = LEAST_REJECTED = 15
LEAST_SEARCHES = 20
TIE_TO_MODEL = 20.0  # penalty on leaving the model's own slopes: about as strong as 80 verdicts
TIE_TO_ZERO = 1.0  # the same for a model without a curve
PARTS = 5
BINS = 5
CHANGING = ("score", "lead")
FLAT = Curve(intercept=0.0, score=0.0, lead=0.0, log_tracks=0.0)


@dataclass(frozen=True)
class Judged:
    """Candidates that people judged: a curve's inputs [N, F], and arrays [N]: rank, number of the search, and whether
    the candidate was confirmed.
    """

    features_NF: NDArray[np.float64]
    rank_N: NDArray[np.int64]
    search_N: NDArray[np.int64]
    right_N: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.right_N)

    @property
    def searches(self) -> int:
        """How many searches have a judged candidate."""
        return len(np.unique(self.search_N))

    @property
    def confirmed(self) -> int:
        return int(self.right_N.sum())

    @property
    def rejected(self) -> int:
        return len(self) - self.confirmed

    def select(self, chosen_N: NDArray[np.bool_]) -> "Judged":
        return Judged(*(values[chosen_N] for values in vars(self).values()))

    def missing(self) -> str:
        """What there is too little of to fit a curve to, with the numbers needed; "" if there is enough."""
        found = {"confirmed": self.confirmed, "rejected": self.rejected, "searches": self.searches}
        least = {"confirmed": LEAST_CONFIRMED, "rejected": LEAST_REJECTED, "searches": LEAST_SEARCHES}
        return ", ".join(f"{found[name]} {name} ({least[name]} needed)" for name in least if found[name] < least[name])


@dataclass(frozen=True)
class Bin:
    """Judged candidates of similar confidence: how many, their mean confidence, the share that was confirmed."""

    candidates: int
    stated: float
    confirmed: float


@dataclass(frozen=True)
class Fit:
    """How well confidences agree with verdicts.

    `log_loss` and `brier` are means over all judged candidates, lower is better. `right_reliable` counts the first
    answers that were confirmed and called reliable, `wrong_reliable` those rejected and called reliable.
    """

    log_loss: float
    brier: float
    right_reliable: int
    wrong_reliable: int
    bins: list[Bin]


def fit_site_curve(prior: Curve | None, judged: Judged) -> Curve:
    """The curve for these verdicts; `prior` is the model's own, None for a model that was never calibrated.

    How similarity and lead count changes; everything else stays as the model has it: at one site, the number of tracks
    varies too little to say what a gallery of twice the size would do. The mean confidence becomes the share of
    confirmed candidates.
    """
    start, ridge = prior or FLAT, (TIE_TO_MODEL if prior else TIE_TO_ZERO) / len(judged)
    changing_NF = judged.features_NF[:, [SLOPES.index(name) for name in CHANGING]]
    change, score, lead = fit_logistic(changing_NF, judged.right_N, offset_N=_logits(start, judged), ridge=ridge)
    curve = start.model_copy(
        update={
            "intercept": start.intercept + float(change),
            "score": start.score + float(score),
            "lead": start.lead + float(lead),
        }
    )
    share = (judged.confirmed + 0.5) / (len(judged) + 1)
    shift = shift_to_mean(confidences(curve, judged), share)
    return curve.model_copy(update={"intercept": curve.intercept + shift})


def confidences(curve: Curve, judged: Judged) -> NDArray[np.float64]:
    """The curve's probability for each judged candidate [N]."""
    return np.asarray(1 / (1 + np.exp(-np.clip(_logits(curve, judged), -LARGEST_LOGIT, LARGEST_LOGIT))))


def held_out_confidences(prior: Curve | None, judged: Judged) -> NDArray[np.float64]:
    """The confidence of each judged candidate [N] by a curve that was fitted without its search."""
    confidence_N = np.zeros(len(judged))
    for unseen_N in _parts(judged):
        confidence_N[unseen_N] = confidences(fit_site_curve(prior, judged.select(~unseen_N)), judged.select(unseen_N))
    return confidence_N


def measure_fit(confidence_N: NDArray[np.float64], judged: Judged, threshold: float) -> Fit:
    """Compare confidences with verdicts; a first answer is called reliable from `threshold` on."""
    clipped_N = confidence_N.clip(1e-6, 1 - 1e-6)
    reliable_N = (judged.rank_N == 1) & (confidence_N >= threshold)
    return Fit(
        log_loss=float(-np.log(np.where(judged.right_N, clipped_N, 1 - clipped_N)).mean()),
        brier=float(((confidence_N - judged.right_N) ** 2).mean()),
        right_reliable=int((reliable_N & judged.right_N).sum()),
        wrong_reliable=int((reliable_N & ~judged.right_N).sum()),
        bins=list(_bins(confidence_N, judged.right_N)),
    )


def _parts(judged: Judged) -> Iterator[NDArray[np.bool_]]:
    """Masks [N] of PARTS groups of searches, dealt at random, the same on every run."""
    searches = np.random.default_rng(0).permutation(np.unique(judged.search_N))
    for start in range(PARTS):
        yield np.isin(judged.search_N, searches[start::PARTS])


def _bins(confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> Iterator[Bin]:
    bin_N = np.minimum((confidence_N * BINS).astype(int), BINS - 1)
    for number in range(BINS):
        inside_N = bin_N == number
        if inside_N.any():
            yield Bin(int(inside_N.sum()), float(confidence_N[inside_N].mean()), float(right_N[inside_N].mean()))


def _logits(curve: Curve, judged: Judged) -> NDArray[np.float64]:
    return np.asarray(curve.intercept + judged.features_NF @ np.array(curve.slopes))
