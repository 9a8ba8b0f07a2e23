"""Contribution by hand, the bisection against every possible answer, and the page."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.compression.probes.figures import ProbeFigures, TowerFigures, bracket, contributions, next_step
from personsearch.compression.probes.report import report
from personsearch.compression.probes.towers import KINDS

TOWER = TowerFigures(
    "text",
    r1_without=dict.fromkeys(KINDS, (20.0, 55.0, 62.0)),
    contribution=dict.fromkeys(KINDS, (1.0, 0.125, -0.05)),
    criticality=dict.fromkeys(KINDS, (0.5, 0.25, 0.9)),
)
FIGURES = ProbeFigures("val", 360, 180, 60.0, 3.0, 0.01, 5, [TOWER])


def test_contribution_is_the_share_of_the_largest_loss() -> None:
    assert contributions(60.0, [20.0, 55.0, 62.0]) == pytest.approx((1.0, 0.125, -0.05))
    assert contributions(60.0, [60.0, 61.0]) == (0.0, 0.0)


def test_a_loss_by_rounding_is_none() -> None:
    """8 of 48 captions as `metrics` computes it and as `scores` does."""
    assert 100.0 * 8 / 48 > 100.0 * (8 / 48)
    assert contributions(100.0 * 8 / 48, [100.0 * (8 / 48)]) == (0.0,)


@given(st.integers(1, 130), st.data())
def test_bisection_finds_the_smallest_step_that_is_bearable(steps: int, data: st.DataObject) -> None:
    smallest = data.draw(st.integers(0, steps))
    measured: dict[int, bool] = {}
    while (step := next_step(measured, steps)) is not None:
        assert step not in measured
        assert 0 <= step < steps, "the trained weights themselves need no measurement"
        measured[step] = step >= smallest
    assert bracket(measured, steps)[1] == smallest
    assert len(measured) <= 1 + math.ceil(math.log2(steps))


def test_what_is_not_monotone_ends_at_the_lowest_step_found() -> None:
    measured = {0: False, 50: True, 25: False, 75: False, 37: True, 31: False, 34: True, 32: False, 33: True}
    assert next_step(measured, 100) is None
    assert bracket(measured, 100) == (32, 33)


def test_layers_are_selected_by_the_sum_as_long_as_one_remains() -> None:
    assert TOWER.total["layer"] == pytest.approx((1.5, 0.375, 0.85))
    assert TOWER.selections(5) == [(2,), (2, 3)]
    assert TOWER.selections(1) == [(2,)]


def test_figures_for_programs_and_for_people() -> None:
    assert FIGURES.metrics() == pytest.approx(
        {"r1": 60.0, "text_layer_01": 1.5, "text_layer_02": 0.375, "text_layer_03": 0.85}
    )
    written = FIGURES.to_json()
    assert written["towers"]["text"]["selections"] == [(2,), (2, 3)]
    assert written["towers"]["text"]["contribution"]["attention"] == (1.0, 0.125, -0.05)
    page = report(FIGURES)
    assert "R@1 60.00 % text→image on val: 360 captions, 180 images." in page
    assert "| 2 | 55.00 · 55.00 · 55.00 | 0.12 · 0.12 · 0.12 | 0.25 · 0.25 · 0.25 | 0.38 |" in page
    assert "| 2, 3 | 1.23 | `freeze_text_layers: [2, 3]` | `drop_text_layers: [2, 3]` |" in page
