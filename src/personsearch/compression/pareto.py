"""The forms of a model as a table and as a picture of what size and time cost in quality."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from personsearch.compression.choice import Choice, Row
from personsearch.files import replacing

DOTS_PER_INCH = 150
BYTES_PER_NUMBER = 4
PANELS = (("megabytes of weights", "bytes", 1e-6), ("ms per text query", "text_ms", 1.0))


def table(choice: Choice, split: str) -> str:
    """Markdown: a row per form, the reasons of the choice below."""
    lines = "\n".join(_line(row) for row in choice.rows)
    reasons = "\n".join(f"- {reason}" for reason in choice.reasons)
    return (
        f"Quality on {split}, text→image; ± is how far chance reaches into a form's difference of R@1 to the first\n"
        "(95 %, over persons). Times are medians of one item, forms in turns on one machine; memory is the peak of a\n"
        "process that does nothing else.\n\n"
        "| form | R@1 % | ± | mAP % | MB | text ms | image ms | images/s | memory MiB | bytes per crop |\n"
        f"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n{lines}\n\n{reasons}\n"
    )


def _line(row: Row) -> str:
    name = f"**{row.name}**" if row.chosen else row.name
    quality = f"{row.r1:.2f} | {row.r1_margin:.2f} | {row.map:.2f}"
    times = f"{row.text_ms:.2f} | {row.image_ms:.2f} | {row.images_per_second:.0f}"
    sizes = f"{row.memory_mib:.0f} | {BYTES_PER_NUMBER * row.dim}"
    return f"| {name} | {quality} | {row.bytes / 1e6:.1f} | {times} | {sizes} |"


def frontier(rows: Sequence[Row], cost: str) -> list[Row]:
    """The rows than which none is both cheaper in `cost` and better in R@1, from the cheapest on."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (getattr(row, cost), -row.r1)):
        if not best or row.r1 > best[-1].r1:
            best.append(row)
    return best


def draw(choice: Choice, path: Path) -> None:
    """R@1 against size and against the time of a query, logarithmic; the Pareto frontier as a line."""
    from matplotlib.figure import Figure  # takes half a second, which other commands need not pay
    from matplotlib.ticker import LogFormatter

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, (label, cost, unit) in zip(figure.subplots(1, 2, sharey=True), PANELS, strict=True):
        _panel(axes, choice.rows, cost, unit)
        axes.set_xlabel(label)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(LogFormatter(labelOnlyBase=False))
        axes.xaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
        axes.margins(x=0.15, y=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("R@1, %")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def _panel(axes: Any, rows: Sequence[Row], cost: str, unit: float) -> None:
    best = frontier(rows, cost)
    axes.plot([unit * getattr(row, cost) for row in best], [row.r1 for row in best], color="0.7", linewidth=1)
    for number, row in enumerate(sorted(rows, key=lambda row: (row.r1, getattr(row, cost)))):
        place, above = (unit * getattr(row, cost), row.r1), 6 if number % 2 else -12  # neighbours' names stay apart
        axes.scatter(*place, color="C1" if row.chosen else "C0", marker="*" if row.chosen else "o", s=40, zorder=3)
        axes.annotate(row.name, place, (0, above), textcoords="offset points", fontsize=7, ha="center")
