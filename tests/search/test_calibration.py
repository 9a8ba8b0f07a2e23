"""The curve by hand, and files of this and other formats."""

import json
import logging
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.bundle import CALIBRATION
from personsearch.errors import UserError
from personsearch.search.calibration import DEPTH, Calibration, Curve, lead_over, read_calibration

CURVE = Curve(intercept=-1.0, score=2.0, lead=4.0, log_tracks=-0.5)


def calibration(curve: Curve = CURVE, **changes: object) -> Calibration:
    fields: dict[str, object] = {
        "curve": curve,
        "threshold": 0.5,
        "split": "val",
        "queries": 1,
        "galleries": (9.0,),
        "expected_calibration_error": 0.0,
        "precision": 1.0,
        "reliable_when_present": 1.0,
        "reliable_when_absent": 0.0,
    }
    return Calibration.model_validate({**fields, **changes})


def test_the_curve_by_hand() -> None:
    """−1 + 2 × .5 + 4 × .25 − .5 × ln e² = 0."""
    assert CURVE.probability(0.5, 0.25, math.e**2) == pytest.approx(0.5)
    assert CURVE.probability(0.5, 0.25, 1.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert CURVE.probability(0.5, 0.25, 0.2) == CURVE.probability(0.5, 0.25, 1.0)


def test_the_lead_is_over_the_mean_of_the_best_other_tracks() -> None:
    assert lead_over(0.5, [0.3, 0.1]) == pytest.approx(0.3)
    assert lead_over(0.5, [0.3] * DEPTH + [0.0] * 90) == pytest.approx(0.2)
    assert lead_over(0.5, []) == 0.0


@given(st.floats(-1, 1), st.lists(st.floats(-1, 1), max_size=12), st.floats(1, 1e7))
def test_confidence_is_a_probability_that_falls_as_the_gallery_grows(
    score: float, others: list[float], tracks: float
) -> None:
    lead = lead_over(score, others)
    few, more = (calibration().confidence(score, lead, number) for number in (tracks, 2 * tracks))
    assert 0 <= more <= few <= 1


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_calibration(tmp_path / CALIBRATION) is None
    (tmp_path / "calibration.json").write_text(calibration().model_dump_json())
    assert read_calibration(tmp_path / CALIBRATION) == calibration()


@pytest.mark.parametrize("content", ['{"threshold": 2', '{"format": 2, "threshold": 2}', "[]", "\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "calibration.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"calibration\.json"):
        read_calibration(tmp_path / CALIBRATION)


@pytest.mark.parametrize(("content", "found"), [({"by_score": {}, "by_query": {}}, 1), ({"format": 3}, 3)])
def test_another_format_is_as_good_as_none_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: dict[str, object], found: int
) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        assert read_calibration(tmp_path / CALIBRATION) is None
    assert f"format {found}" in caplog.text
    assert "evaluated again" in caplog.text
