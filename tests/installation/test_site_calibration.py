"""Verdicts from the audit log become a calibration that belongs to one model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personsearch.errors import UserError
from personsearch.installation.site_calibration import (
    Verdicts,
    collect_verdicts,
    fit_site,
    read_site_calibration,
    remove_site_calibration,
    write_site_calibration,
)
from personsearch.search.calibration import CalibratedCurve, Conditions, Curve, Level, Reference, features

MODEL = "0123456789abcdef"
OWN = CalibratedCurve(curve=Curve(intercept=-12.0, score=20.0, lead=10.0, log_tracks=0.0), threshold=0.6)


def search(number: int, *crops: str, **changes: object) -> dict[str, Any]:
    """The record of a search; a candidate's score falls with its rank, and with the number of the search."""
    scores = [0.5 - 0.01 * number - 0.1 * rank for rank in range(len(crops))]
    evidence = {"scores": scores, "leads": [score - 0.2 for score in scores], "tracks": 9.0}
    return {"request_id": f"s{number}", "fingerprint": MODEL, "results": list(crops), **evidence, **changes}


def verdict(number: int, crop_id: str, verdict: str = "confirmed") -> dict[str, Any]:
    return {"search_request_id": f"s{number}", "crop_id": crop_id, "verdict": verdict}


def collected(searches: int = 24) -> Verdicts:
    """In each search the first candidate is confirmed, the second rejected; they score low."""
    said = [verdict(n, crop, word) for n in range(searches) for crop, word in (("a", "confirmed"), ("b", "rejected"))]
    return collect_verdicts([search(n, "a", "b") for n in range(searches)], said, MODEL, OWN)


def test_the_latest_verdict_counts_and_a_withdrawn_one_does_not() -> None:
    said = [
        verdict(1, "a", "rejected"), verdict(1, "a"), verdict(1, "b", "rejected"), verdict(1, "c"),
        verdict(1, "c", "withdrawn"), verdict(2, "a", "rejected"), verdict(9, "a"),
    ]  # fmt: skip
    found = collect_verdicts([search(1, "a", "b", "c"), search(2, "b", "a")], said, MODEL, OWN)
    judged = found.judged
    assert judged.right_N.tolist() == [True, False, False]
    assert judged.rank_N.tolist() == [1, 2, 2]
    inputs_NF = judged.features_NF
    assert inputs_NF[:, 0].tolist() == pytest.approx([0.49, 0.39, 0.38])
    assert inputs_NF[:, 1].tolist() == pytest.approx([0.29, 0.19, 0.18])
    assert inputs_NF[:, 2].tolist() == pytest.approx([np.log(9)] * 3)
    assert not inputs_NF[:, 3:].any()
    assert judged.searches == 2


def test_in_the_order_of_time_nobody_has_a_rank() -> None:
    by_time = search(1, "a", "b", filters={"sort": "newest", "first_rank": 1})
    by_score = search(2, "a", "b", filters={"sort": "score", "first_rank": 3})
    said = [verdict(n, crop) for n in (1, 2) for crop in "ab"]
    assert collect_verdicts([by_time, by_score], said, MODEL, OWN).judged.rank_N.tolist() == [0, 0, 3, 4]


def test_verdicts_on_another_model_or_without_scores_are_left_out() -> None:
    older = {name: value for name, value in search(2, "a").items() if name not in ("scores", "leads", "tracks")}
    said = [verdict(n, "a") for n in (1, 2, 3)]
    found = collect_verdicts([search(1, "a", fingerprint="another"), older, search(3, "a")], said, MODEL, OWN)
    assert (len(found.judged), found.without_evidence) == (1, 1)
    with pytest.raises(UserError, match=r"1 confirmed \(15 needed\), 0 rejected .*; 1 more are on searches without"):
        fit_site(OWN, found, fingerprint=MODEL)


def test_a_calibration_with_a_reference_needs_the_facts_and_levels_of_a_search() -> None:
    reference = Reference.of(np.eye(3, dtype=np.float32))
    own = OWN.model_copy(update={"reference": reference})
    told = search(2, "a", facts=2, levels=[0.1, 0.2, 0.3, 0.4])
    found = collect_verdicts([search(1, "a"), told], [verdict(1, "a"), verdict(2, "a")], MODEL, own)
    assert (len(found.judged), found.without_evidence) == (1, 1)
    assert found.judged.features_NF[0] == pytest.approx(
        features(0.48, 0.28, Conditions(9.0, 2, Level(0.1, 0.2), Level(0.3, 0.4)))
    )
    verdicts = Verdicts(collected().judged, 0)
    assert fit_site(own, verdicts, fingerprint=MODEL).calibration.reference == reference


def test_a_site_whose_right_answers_score_low_gets_higher_confidence() -> None:
    fit = fit_site(OWN, collected(), fingerprint=MODEL)
    assert fit.is_better
    assert fit.before is not None
    assert (fit.first_confirmed, fit.first_rejected) == (24, 0)
    assert fit.before.right_reliable < 12 < fit.after.right_reliable
    assert fit.calibration.threshold == 0.6
    assert fit.calibration.confidence(0.35, 0.15, Conditions(9.0)) > 0.6 > OWN.confidence(0.35, 0.15, Conditions(9.0))


def test_a_calibration_comes_back_for_its_model_alone(tmp_path: Path) -> None:
    calibration = fit_site(None, collected(), fingerprint=MODEL).calibration
    path = write_site_calibration(tmp_path, calibration)
    assert path.stat().st_mode & 0o077 == 0
    assert read_site_calibration(tmp_path, MODEL) == calibration
    assert read_site_calibration(tmp_path, "another") is None
    path.rename(path.with_name("another.json"))
    with pytest.raises(UserError, match=f"fitted to model {MODEL}, which is another one"):
        read_site_calibration(tmp_path, "another")


def test_it_can_be_removed_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = write_site_calibration(tmp_path, fit_site(None, collected(), fingerprint=MODEL).calibration)
    path.write_text(path.read_text()[:40])
    with pytest.raises(UserError, match=rf"{MODEL}\.json"):
        read_site_calibration(tmp_path, MODEL)
    assert remove_site_calibration(tmp_path, MODEL)
    assert read_site_calibration(tmp_path, MODEL) is None
    assert not remove_site_calibration(tmp_path, MODEL)
