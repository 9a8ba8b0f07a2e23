"""The rule of choice and the Pareto frontier as tables of cases, and the report that tells of them."""

from pathlib import Path

import pytest

from personsearch.compression.choice import Choice, ChoiceConfig, Row, choose, draw, frontier, table


def row(name: str, r1: float, size: int, text_ms: float = 1.0, margin: float = 0.25) -> Row:
    return Row(name, r1, 50.0, margin, size, text_ms, 2.0, images_per_second=100.0, memory_mib=80.0, dim=192)


@pytest.mark.parametrize(
    ("r1_full", "r1_int8", "max_loss", "chosen"),
    [
        (60.0, 59.6, 0.5, "onnx-int8"),
        (60.0, 59.4, 0.5, "onnx-fp32"),
        (60.0, 61.0, 0.0, "onnx-int8"),
        (58.0, 57.0, 0.5, "onnx-fp32"),
        (57.0, 58.0, 0.5, "onnx-int8"),
    ],
)
def test_the_smallest_within_the_loss_is_chosen(r1_full: float, r1_int8: float, max_loss: float, chosen: str) -> None:
    rows = [row("torch", 60.0, 10), row("onnx-fp32", r1_full, 40), row("onnx-int8", r1_int8, 12)]
    choice = choose(rows, ChoiceConfig(max_loss=max_loss))
    assert [each.name for each in choice.rows if each.chosen] == [chosen]
    assert choice.chosen.name == chosen


def test_exactly_the_loss_that_is_allowed_is_allowed() -> None:
    """64.4 - 63.9 is more than a half in floating point."""
    rows = [row("torch", 64.4, 40), row("onnx-fp32", 64.4, 40), row("onnx-int8", 63.9, 10)]
    assert choose(rows, ChoiceConfig(max_loss=0.5)).chosen.name == "onnx-int8"


def test_the_fastest_may_be_preferred_and_slow_ones_be_left_out() -> None:
    rows = [row("torch", 60.0, 40, 9.0), row("small", 60.0, 10, 5.0), row("fast", 60.0, 20, 1.0)]
    assert choose(rows, ChoiceConfig(prefer="text_ms")).chosen.name == "fast"
    choice = choose(rows, ChoiceConfig(max_text_ms=4.0))
    assert choice.chosen.name == "fast"
    assert choice.reasons[0] == "small: R@1 60.00 against 60.00 ± 0.25; a query takes 5.00 ms, more than 4.00"


def test_of_equal_ones_the_better_is_chosen() -> None:
    rows = [row("torch", 60.0, 40), row("a", 60.0, 10), row("b", 60.2, 10)]
    assert choose(rows, ChoiceConfig()).chosen.name == "b"


def test_what_chance_may_hide_can_be_counted_as_lost() -> None:
    rows = [row("torch", 60.0, 40), row("unsure", 59.8, 10, margin=0.4), row("sure", 59.8, 20, margin=0.2)]
    assert choose(rows, ChoiceConfig()).chosen.name == "unsure"
    choice = choose(rows, ChoiceConfig(beyond_chance=True))
    assert choice.chosen.name == "sure"
    assert choice.reasons[0] == "unsure: R@1 59.80 against 60.00 ± 0.40; may lose 0.60 points, more than 0.50"


def test_every_form_is_told_why() -> None:
    rows = [row("torch", 60.0, 40), row("good", 59.6, 20), row("bad", 50.0, 10)]
    assert choose(rows, ChoiceConfig()).reasons == [
        "good: R@1 59.60 against 60.00 ± 0.25; chosen: the least bytes of 1 that are good enough",
        "bad: R@1 50.00 against 60.00 ± 0.25; loses more than 0.50 points",
    ]


def test_the_frontier_holds_what_nothing_beats_in_both() -> None:
    rows = [row("large", 60.0, 40), row("middle", 59.0, 20), row("worse", 58.0, 30), row("small", 40.0, 5)]
    assert [each.name for each in frontier(rows, "bytes")] == ["small", "middle", "large"]


def test_table_and_picture_show_every_form(tmp_path: Path) -> None:
    choice: Choice = choose([row("torch", 60.0, 40_000_000), row("onnx-int8", 59.8, 10_000_000)], ChoiceConfig())
    text = table(choice, "val")
    assert "Quality on val" in text
    assert "| torch | 60.00 | 0.25 | 50.00 | 40.0 | 1.00 | 2.00 | 100 | 80 | 768 |" in text
    assert "| **onnx-int8** | 59.80 | 0.25 | 50.00 | 10.0 |" in text
    draw(choice, tmp_path / "compression.png")
    assert (tmp_path / "compression.png").read_bytes().startswith(b"\x89PNG")
