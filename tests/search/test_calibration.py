"""The curve by hand, and files of this and other formats."""

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from personsearch.bundle import CALIBRATION
from personsearch.errors import UserError
from personsearch.search.calibration import (
    DEPTH,
    SLOPES,
    Calibration,
    Conditions,
    Curve,
    Level,
    Moments,
    Reference,
    count_facts,
    features,
    lead_over,
    read_calibration,
)

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
    assert CURVE.probability(0.5, 0.25, Conditions(math.e**2)) == pytest.approx(0.5)
    assert CURVE.probability(0.5, 0.25, Conditions(1.0)) == pytest.approx(1 / (1 + math.exp(-1)))
    assert CURVE.probability(0.5, 0.25, Conditions(0.2)) == CURVE.probability(0.5, 0.25, Conditions(1.0))


def test_the_inputs_of_a_curve_by_hand() -> None:
    """Three facts: ln 4."""
    given = Conditions(math.e**2, facts=3, reference=Level(0.1, 0.2), gallery=Level(0.3, 0.4))
    expected = (0.5, 0.25, 2, math.log(4), 0.25 * math.log(4), 0.1, 0.2, 0.3, 0.4)
    assert features(0.5, 0.25, given) == pytest.approx(expected)
    slopes = dict(zip(SLOPES, range(1, 10), strict=True))
    logit = -9 + sum(weight * value for weight, value in zip(range(1, 10), expected, strict=True))
    assert Curve.of(-9, slopes).probability(0.5, 0.25, given) == pytest.approx(1 / (1 + math.exp(-logit)))


@pytest.mark.parametrize(
    ("text", "facts"), [("a kangaroo", 0), ("a person in a red top", 1), ("a woman in a red coat and jeans", 4)]
)
def test_the_facts_of_a_description_are_counted(text: str, facts: int) -> None:
    assert count_facts(text) == facts


def test_the_level_of_the_reference_is_that_of_its_pictures() -> None:
    image_ND = np.random.default_rng(0).normal([0.5, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], (500, 4)).astype(np.float32)
    query_D = np.array([0.5, 0.5, 0.5, 0.5], dtype=np.float32)
    similarity_N = image_ND @ query_D
    level = Reference.model_validate_json(Reference.of(image_ND).model_dump_json()).level(query_D)
    assert level.mean == pytest.approx(similarity_N.mean(), abs=1e-3)
    assert level.spread == pytest.approx(similarity_N.std(), rel=0.01)
    assert Reference.of(image_ND[:1]).level(query_D).spread == pytest.approx(0, abs=1e-6)


def test_a_small_gallery_is_believed_less_than_the_reference() -> None:
    """16 pictures count as much as the reference, none not at all."""
    reference = Level(0.2, 0.1)
    assert Level.of(np.array([]), reference) == reference
    assert Level.of(np.full(16, 0.4), reference).mean == pytest.approx(0.3)
    assert Level.of(np.full(16, 0.4), reference).spread == pytest.approx(math.sqrt(0.005))


def test_the_lead_is_over_the_mean_of_the_best_other_tracks() -> None:
    assert lead_over(0.5, [0.3, 0.1]) == pytest.approx(0.3)
    assert lead_over(0.5, [0.3] * DEPTH + [0.0] * 90) == pytest.approx(0.2)
    assert lead_over(0.5, []) == 0.0


@for_all(st.floats(-1, 1), st.lists(st.floats(-1, 1), max_size=12), st.floats(1, 1e7))
def test_confidence_is_a_probability_that_falls_as_the_gallery_grows(
    score: float, others: list[float], tracks: float
) -> None:
    lead = lead_over(score, others)
    few, more = (calibration().confidence(score, lead, Conditions(number)) for number in (tracks, 2 * tracks))
    assert 0 <= more <= few <= 1


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_calibration(tmp_path / CALIBRATION) is None
    (tmp_path / "calibration.json").write_text(calibration().model_dump_json())
    assert read_calibration(tmp_path / CALIBRATION) == calibration()


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_moments_give_the_level_of_the_vectors(count: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, 5)).astype(np.float32)
    query, reference = np.array([0.6, 0, 0.8, 0, 0], dtype=np.float32), Level(0.3, 0.1)
    found, expected = Moments.of(vectors).level(query, reference), Level.of(vectors @ query, reference)
    assert (found.mean, found.spread) == pytest.approx((expected.mean, expected.spread), abs=1e-6)


def test_a_file_of_the_format_before_is_read(tmp_path: Path) -> None:
    """It knew neither facts nor levels, so they count nothing."""
    old = json.loads(calibration(format=2).model_dump_json())
    for name in ("reference", "captions", "short_queries"):
        del old[name]
    old["curve"] = {name: old["curve"][name] for name in ("intercept", "score", "lead", "log_tracks")}
    (tmp_path / "calibration.json").write_text(json.dumps(old))
    read = read_calibration(tmp_path / CALIBRATION)
    assert read is not None
    assert read.curve == CURVE
    told = Conditions(9.0, facts=5, reference=Level(0.1, 0.1), gallery=Level(0.2, 0.2))
    assert read.confidence(0.5, 0.25, told) == read.confidence(0.5, 0.25, Conditions(9.0))


@pytest.mark.parametrize("content", ['{"threshold": 2', '{"format": 2, "threshold": 2}', "[]", "\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "calibration.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"calibration\.json"):
        read_calibration(tmp_path / CALIBRATION)


@pytest.mark.parametrize(("content", "found"), [({"by_score": {}, "by_query": {}}, 1), ({"format": 5}, 5)])
def test_another_format_is_as_good_as_none_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: dict[str, object], found: int
) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        assert read_calibration(tmp_path / CALIBRATION) is None
    assert f"format {found}" in caplog.text
    assert "evaluated again" in caplog.text


def test_a_calibration_of_single_descriptions_alone_is_read_and_has_no_other_curve(tmp_path: Path) -> None:
    earlier = {**calibration().model_dump(mode="json"), "format": 3}
    del earlier["curves"], earlier["kinds"]
    (tmp_path / CALIBRATION).write_text(json.dumps(earlier))
    read = read_calibration(tmp_path / CALIBRATION)
    assert read is not None
    assert read.curve_of("description") == calibration().curve
    assert read.curve_of("picture") is None
