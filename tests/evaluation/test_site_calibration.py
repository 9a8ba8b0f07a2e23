"""A curve fitted to verdicts: near the model's own when few, honest when many, measured on unseen searches."""

import numpy as np
import pytest

from personsearch.evaluation.site_calibration import (
    Judged,
    confidences,
    fit_site_curve,
    held_out_confidences,
    measure_fit,
)
from personsearch.search.calibration import Conditions, Curve, features

MODEL = Curve(intercept=-12.0, score=20.0, lead=10.0, log_tracks=-0.5)
SITE = MODEL.model_copy(update={"intercept": -8.0})  # this site's pictures score lower than those of validation


def verdicts(searches: int, *, truth: Curve = SITE, seed: int = 0) -> Judged:
    """The first two candidates of each search, confirmed as often as `truth` says."""
    rng = np.random.default_rng(seed)
    count = 2 * searches
    scores_and_leads = zip(rng.uniform(0.2, 0.7, count), rng.uniform(0.0, 0.3, count), strict=True)
    judged = Judged(
        features_NF=np.array([features(score, lead, Conditions(50.0)) for score, lead in scores_and_leads]),
        rank_N=np.tile([1, 2], searches),
        search_N=np.repeat(np.arange(searches), 2),
        right_N=np.zeros(count, bool),
    )
    right_N = rng.random(count) < confidences(truth, judged)
    return Judged(**{**vars(judged), "right_N": right_N})


def test_the_fit_finds_how_a_site_differs() -> None:
    many, unseen = verdicts(400), verdicts(400, seed=1)
    fitted, truth = (confidences(curve, unseen) for curve in (fit_site_curve(MODEL, many), SITE))
    assert np.abs(fitted - truth).mean() < 0.05
    assert np.abs(confidences(MODEL, unseen) - truth).mean() > 0.3


def test_without_a_curve_of_the_model_it_starts_from_nothing() -> None:
    unseen = verdicts(400, seed=1)
    fitted = confidences(fit_site_curve(None, verdicts(400)), unseen)
    assert np.abs(fitted - confidences(SITE, unseen)).mean() < 0.06


def test_few_verdicts_hardly_move_the_slopes_but_the_height() -> None:
    few = fit_site_curve(MODEL, verdicts(20))
    assert few.score == pytest.approx(MODEL.score, rel=0.25)
    assert few.log_tracks == MODEL.log_tracks
    assert few.intercept > MODEL.intercept + 1


def test_mean_confidence_is_the_share_of_confirmed_candidates() -> None:
    judged = verdicts(60)
    assert confidences(fit_site_curve(MODEL, judged), judged).mean() == pytest.approx(judged.right_N.mean(), abs=0.01)


def test_no_verdict_judges_a_curve_that_was_fitted_to_it() -> None:
    """Verdicts by chance: on them the fit looks better than it is."""
    judged = verdicts(40, truth=Curve(intercept=0.0, score=0.0, lead=0.0, log_tracks=0.0))
    seen = measure_fit(confidences(fit_site_curve(None, judged), judged), judged, 0.5)
    unseen = measure_fit(held_out_confidences(None, judged), judged, 0.5)
    assert seen.log_loss < np.log(2) < unseen.log_loss


def test_what_is_measured_by_hand() -> None:
    judged = Judged(
        features_NF=np.zeros((4, 9)),
        rank_N=np.array([1, 1, 1, 2]), search_N=np.arange(4), right_N=np.array([True, False, True, True]),
    )  # fmt: skip
    fit = measure_fit(np.array([0.9, 0.8, 0.3, 0.9]), judged, 0.5)
    assert (fit.right_reliable, fit.wrong_reliable) == (1, 1)
    assert fit.brier == pytest.approx((0.01 + 0.64 + 0.49 + 0.01) / 4)
    assert fit.log_loss == pytest.approx(-np.log([0.9, 0.2, 0.3, 0.9]).mean())
    assert [(one.candidates, one.confirmed) for one in fit.bins] == [(1, 1.0), (3, pytest.approx(2 / 3))]


def test_what_is_missing_is_named() -> None:
    assert verdicts(60).missing() == ""
    alike = Judged(**{**vars(verdicts(12)), "right_N": np.ones(24, bool)})
    assert alike.missing() == "0 rejected (15 needed), 12 searches (20 needed)"
