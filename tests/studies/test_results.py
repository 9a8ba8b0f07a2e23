"""Means, spreads, choices and orders of hand-made results."""

from pathlib import Path

import pytest

from personsearch.studies.results import Row, StageResult, StudyResult, disagreements
from personsearch.studies.runs import FIGURES, Outcome
from personsearch.studies.table import cells, head, markdown_table, study_table


def run(r1: float, val_r1: float = 50.0, steps: float = 10.0, seconds: float | None = None) -> Outcome:
    cost = None if seconds is None else {"seconds": seconds, "peak_memory_mib": 100.0}
    figures = dict.fromkeys(FIGURES, 10.0) | {"r1": r1}
    return Outcome(Path("run"), {"val_r1": val_r1, "steps": steps}, {"test": figures}, cost)


def row(name: str, *runs: Outcome, published: float | None = None) -> Row:
    return Row("stage", name, (), "recipe.yaml", None, dict(enumerate(runs)), 1234, published)


def result(*rows: Row) -> StudyResult:
    stages = [StageResult("stage", None, rows)]
    return StudyResult("A study", "data", "0123456789abcdef0", (0, 1), "stage/base", stages)


BASE = row("base", run(40.0, 60.0), run(44.0, 62.0), published=60.0)
BETTER = row("better", run(45.0, 70.0, seconds=10), run(45.0, 50.0, seconds=30), published=65.0)


def test_mean_spread_and_delta() -> None:
    assert BASE.mean("r1") == 42
    assert BASE.spread("r1") == pytest.approx(8**0.5)
    assert result(BASE, BETTER).delta(BETTER) == 3
    assert row("once", run(40.0)).spread("r1") is None
    assert BETTER.cost("seconds") == 20
    assert BASE.cost("seconds") is None


def test_the_best_arm_is_chosen_by_validation_among_whole_trained_arms() -> None:
    failed = row("half", run(99.0, 99.0), Outcome(Path("run"), error="out of memory"))
    start = row("start", run(99.0, 99.0, steps=0))
    assert StageResult("stage", None, [BASE, BETTER, failed, start]).best == "stage/base"
    assert StageResult("stage", None, [failed, start]).best is None


def test_a_row_of_the_table() -> None:
    study = result(BASE, BETTER)
    shown = dict(zip(head(study), cells(study, BASE), strict=True))
    assert shown["R@1"] == "42.00 ± 2.83"
    assert shown["Δ"] == "+0.00"
    assert shown["val R@1"] == "61.00 ± 1.41"
    assert shown["published R@1"] == "60.00"
    assert shown["time"] == "–"
    assert shown["trained"] == "1,234"
    assert dict(zip(head(study), cells(study, BETTER), strict=True))["time"] == "20 s"


def test_the_order_is_held_against_the_published_one() -> None:
    worse = row("worse", run(39.0), published=66.0)
    unknown = row("unknown", run(99.0))
    study = result(BASE, BETTER, worse, unknown)
    assert [(a.name, b.name) for a, b in disagreements(study.rows)] == [("worse", "better"), ("worse", "base")]
    assert "- worse is published above base by 6.00; here it is below by 3.00" in study_table(study, "study.png")
    close = row("close", run(41.0), published=61.0)
    assert "here it is below by 1.00, within the spread\n" in study_table(result(BASE, close), "study.png")
    assert "All arms are in the published order." in study_table(result(BASE, BETTER), "study.png")


def test_a_cell_cannot_break_the_table() -> None:
    assert markdown_table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"
