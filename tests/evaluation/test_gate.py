"""The gate as a table of cases."""

import pytest

from personsearch.evaluation.gate import (
    VERDICT_ABOVE,
    VERDICT_DESCRIPTIONS,
    GateConfig,
    OnVerdicts,
    decide,
)


@pytest.mark.parametrize(
    ("config", "metrics", "baseline", "passed", "reason"),
    [
        ({}, {"t2i_r1": 0.0}, None, True, "no champion"),
        ({"min_r1": 50}, {"t2i_r1": 50.0}, None, True, "not below the floor"),
        ({"min_r1": 50}, {"t2i_r1": 49.99}, None, False, "49.99 is below the floor 50.00"),
        ({}, {}, None, False, "t2i_r1 is missing"),
        ({"min_r1": 1}, {"t2i_r1": float("nan")}, None, False, "below the floor"),
        ({}, {"t2i_r1": 60.0}, {"t2i_r1": 60.5}, True, "not below the champion's"),
        ({}, {"t2i_r1": 60.0}, {"t2i_r1": 60.6}, False, "below the champion's 60.60 less 0.50 = 60.10"),
        ({"max_regression": 3}, {"t2i_r1": 61.4}, {"t2i_r1": 64.4}, True, "not below the champion's 64.40 less 3.00"),
        ({}, {"t2i_r1": 60.0}, {"map": 99.0}, True, "no champion"),
        ({"max_calibration_error": 0.1}, {"t2i_r1": 1.0}, None, False, "expected_calibration_error is missing"),
        (
            {"max_calibration_error": 0.1},
            {"t2i_r1": 1.0, "expected_calibration_error": 0.2},
            None,
            False,
            "0.200 is above the ceiling 0.100",
        ),
        ({"min_colour_swap": 80}, {"t2i_r1": 1.0, "colour_swap": 79.0}, None, False, "colour_swap 79.00 is below"),
        ({"min_colour_swap": 80}, {"t2i_r1": 1.0, "colour_swap": 81.0}, None, True, "colour_swap 81.00 is not below"),
    ],
)
def test_decides_and_says_why(config, metrics, baseline, passed, reason) -> None:
    decision = decide(GateConfig(**config), metrics, baseline)
    assert decision.passed is passed
    assert any(reason in line for line in decision.reasons), decision.reasons


GENDER, BAG = "attribute_auc_gender", "attribute_auc_bag"


@pytest.mark.parametrize(
    ("config", "metrics", "champion", "passed", "reason"),
    [
        ({"min_attribute_auc": 0.7}, {GENDER: 0.7, BAG: 0.9}, {}, True, "the lowest is gender 0.70"),
        ({"min_attribute_auc": 0.7}, {GENDER: 0.69, BAG: 0.9}, {}, False, "below the floor 0.70: gender 0.69"),
        ({"min_attribute_auc": 0.7}, {GENDER: float("nan")}, {}, False, "gender nan"),
        ({"min_attribute_auc": 0.7}, {}, {}, False, "no attribute was measured"),
        ({}, {GENDER: 0.5}, {GENDER: 0.6}, True, "no attribute's AUC is more than 0.10 behind"),
        ({}, {GENDER: 0.5, BAG: 0.9}, {GENDER: 0.61, BAG: 0.9}, False, "champion's: gender 0.50 (champion 0.61)"),
        ({}, {}, {BAG: 0.9}, False, "bag not measured (champion 0.90)"),
        ({"max_attribute_regression": None}, {}, {BAG: 0.9}, True, "not below the champion's"),
    ],
)
def test_judges_what_a_model_sees(config, metrics, champion, passed, reason) -> None:
    decision = decide(GateConfig(**config), {"t2i_r1": 60.0, **metrics}, {"t2i_r1": 60.0, **champion})
    assert decision.passed is passed
    assert any(reason in line for line in decision.reasons), decision.reasons


def test_attributes_that_nobody_measured_are_not_mentioned() -> None:
    reasons = decide(GateConfig(), {"t2i_r1": 60.0}, {"t2i_r1": 60.0}).reasons
    assert not [reason for reason in reasons if "attribute" in reason]


@pytest.mark.parametrize(
    ("max_loss", "uncompressed", "passed", "reason"),
    [
        (1.0, {"t2i_r1": 61.0}, True, "60.00 is not below the uncompressed 61.00 less 1.00 = 60.00"),
        (0.9, {"t2i_r1": 61.0}, False, "60.00 is below the uncompressed 61.00 less 0.90 = 60.10"),
        (0.0, {}, False, "of the uncompressed model is missing"),
    ],
)
def test_holds_a_compressed_model_against_the_whole_one(max_loss, uncompressed, passed, reason) -> None:
    decision = decide(GateConfig(max_compression_loss=max_loss), {"t2i_r1": 60.0}, None, uncompressed)
    assert decision.passed is passed
    assert any(reason in line for line in decision.reasons), decision.reasons
    assert reason in decision.summary()


def test_what_was_not_compressed_is_not_held_against_anything() -> None:
    config = GateConfig(max_compression_loss=None)
    assert len(decide(config, {"t2i_r1": 60.0}, None, {"t2i_r1": 99.0}).reasons) == 2


def verdicts(above: float, descriptions: int = 40) -> dict[str, float]:
    return {VERDICT_ABOVE: above, VERDICT_DESCRIPTIONS: descriptions}


@pytest.mark.parametrize(
    ("challenger", "champion", "passed"),
    [
        (verdicts(80), verdicts(82), True),
        (verdicts(79.9), verdicts(82), False),
        (verdicts(10, 19), verdicts(82, 19), True),  # too few to say
        (verdicts(10), None, True),
    ],
)
def test_a_model_may_not_rank_what_people_judged_worse_than_the_champion(
    challenger: dict[str, float], champion: dict[str, float] | None, passed: bool
) -> None:
    judged = OnVerdicts(challenger, champion)
    assert decide(GateConfig(), {"t2i_r1": 60.0}, None, None, judged).passed is passed
    assert decide(GateConfig(max_verdict_regression=None), {"t2i_r1": 60.0}, None, None, judged).passed


def test_a_refusal_is_a_tag_with_its_reasons_alone() -> None:
    judged = OnVerdicts(verdicts(50), verdicts(90))
    decision = decide(GateConfig(), {"t2i_r1": 60.0}, None, None, judged)
    assert decision.tags() == {
        "gate": "refused",
        "gate_reason": "verdict_confirmed_above_rejected 50.00 is below the champion's 90.00 less 2.00 = 88.00",
    }
    assert judged.metrics()["champion_verdict_confirmed_above_rejected"] == 90
    assert decide(GateConfig(), {"t2i_r1": 60.0}, None).tags() == {"gate": "passed"}
