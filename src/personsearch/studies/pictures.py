"""Draws studies: the R@1 of every arm, and a transfer matrix as a heat map."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from personsearch.files import replacing
from personsearch.studies.results import StudyResult

INCHES_PER_ROW = 0.3
DOTS_PER_INCH = 150


def draw_arms(result: StudyResult, path: Path) -> None:
    """Draw the test R@1 of every arm: colours are stages, whiskers the spread over seeds, the dashed line the base.

    The axis does not start at zero: arms often differ by a single point in fifty.
    """
    rows = result.rows
    figure, axes = _canvas(width=8.0, height=1.2 + INCHES_PER_ROW * len(rows))
    stages = [stage.name for stage in result.stages]
    for place, row in enumerate(rows):
        mean = row.mean("r1")
        if mean is None:
            axes.annotate(
                "failed", (0, place), (6, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=8
            )
            continue
        spread = row.spread("r1") or 0.0
        axes.errorbar(mean, place, xerr=spread, fmt="o", color=f"C{stages.index(row.stage)}", ecolor="0.3", capsize=2)
        axes.annotate(
            f"{mean:.1f}", (mean + spread, place), (6, 0), textcoords="offset points", va="center", fontsize=8
        )
    base = next((row.mean("r1") for row in rows if row.label == result.base), None)
    if base is not None:
        axes.axvline(base, color="0.4", linewidth=0.8, linestyle="--")
    axes.margins(x=0.15)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("R@1, % (text to image, test)")
    axes.set_title(result.name, fontsize=10)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def draw_matrix(
    title: str, values: Sequence[Sequence[float | None]], rows: Sequence[str], columns: Sequence[str], path: Path
) -> None:
    """Draw R@1 by training set (rows) and test set (columns)."""
    figure, axes = _canvas(width=2.5 + 1.1 * len(columns), height=1.6 + 0.6 * len(rows))
    known = [[float("nan") if value is None else value for value in line] for line in values]
    picture = axes.imshow(known, cmap="viridis", vmin=0, aspect="auto")
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            axes.text(j, i, "failed" if value is None else f"{value:.1f}", ha="center", va="center", color="white",
                      bbox={"facecolor": "black", "alpha": 0.35, "linewidth": 0, "boxstyle": "round"})  # fmt: skip
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
    axes.set_title(title, fontsize=10)
    figure.colorbar(picture, label="R@1, %")
    _save(figure, path)


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # takes half a second, which other commands need not pay

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
