"""Which form of a model is served: the rule of choice, and the table and picture that explain it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from personsearch.config import Config
from personsearch.evaluation.metrics import points_lost
from personsearch.files import replacing

logger = logging.getLogger(__name__)

DOTS_PER_INCH = 150
BYTES_PER_NUMBER = 4
PANELS = (("megabytes of weights", "bytes", 1e-6), ("ms per text query", "text_ms", 1.0))


class ChoiceConfig(Config):
    """The rule that chooses one form; if none meets it, the form with the best R@1 is chosen."""

    prefer: Literal["bytes", "text_ms", "image_ms", "memory_mib"] = "bytes"
    """Of the forms that are good enough, take the one with the least of this: weight bytes, milliseconds per query or
    image, peak memory.
    """

    max_loss: float = Field(default=0.5, ge=0, le=100)
    """Points of R@1 (text→image) that a form may lose against the uncompressed model."""

    beyond_chance: bool = False
    """Add the 95 % margin to what a form loses, so that chance cannot hide a larger loss; needs thousands of
    captions.
    """

    max_text_ms: float | None = Field(default=None, gt=0)
    """Longest median time of a text query in milliseconds; null for no limit."""


@dataclass(frozen=True, slots=True)
class Row:
    """One form of the model: percent on the split; bytes of weights; medians of one item, on one machine.

    `r1_margin` is half the 95 % confidence interval, in points, of its difference in R@1 to the uncompressed model.
    `dim` is the length of its embeddings, `images_per_second` is measured on batches, `memory_mib` is the peak of a
    process that does nothing else.
    """

    name: str
    r1: float
    map: float
    r1_margin: float
    bytes: int
    text_ms: float
    image_ms: float
    images_per_second: float
    memory_mib: float
    dim: int
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The rows, one of them marked as chosen, and for every form the reason why it was or was not."""

    rows: list[Row]
    reasons: list[str]

    @property
    def chosen(self) -> Row:
        return next(row for row in self.rows if row.chosen)


def choose(rows: Sequence[Row], config: ChoiceConfig) -> Choice:
    """Apply the rule. The first row is the uncompressed model, which is not a candidate: serving has no torch."""
    uncompressed, *candidates = rows
    faults = {row.name: _faults(row, uncompressed, config) for row in candidates}
    good = [row for row in candidates if not faults[row.name]]
    if good:
        chosen = min(good, key=lambda row: (getattr(row, config.prefer), -row.r1))
    else:
        chosen = max(candidates, key=lambda row: row.r1)
        logger.warning("no form is good enough; %s has the best R@1", chosen.name)
    why = f"chosen: the least {config.prefer} of {len(good)} that are good enough" if good else "chosen: the best R@1"
    reasons = [
        "; ".join([_quality(row, uncompressed), *faults[row.name], *([why] if row is chosen else [])])
        for row in candidates
    ]
    return Choice([replace(row, chosen=row is chosen) for row in rows], reasons)


def _quality(row: Row, uncompressed: Row) -> str:
    return f"{row.name}: R@1 {row.r1:.2f} against {uncompressed.r1:.2f} ± {row.r1_margin:.2f}"


def _faults(row: Row, uncompressed: Row, config: ChoiceConfig) -> list[str]:
    faults = []
    lost = points_lost(uncompressed.r1, row.r1)
    if lost > config.max_loss:
        faults.append(f"loses more than {config.max_loss:.2f} points")
    elif config.beyond_chance and lost + row.r1_margin > config.max_loss:
        faults.append(f"may lose {lost + row.r1_margin:.2f} points, more than {config.max_loss:.2f}")
    if config.max_text_ms is not None and row.text_ms > config.max_text_ms:
        faults.append(f"a query takes {row.text_ms:.2f} ms, more than {config.max_text_ms:.2f}")
    return faults


def table(choice: Choice, split: str) -> str:
    """Markdown: a row per form, and below it the reasons for the choice."""
    lines = "\n".join(_table_line(row) for row in choice.rows)
    reasons = "\n".join(f"- {reason}" for reason in choice.reasons)
    return (
        f"Quality on {split}, text→image; ± is half the 95 % confidence interval, over people, of a form's\n"
        "difference in R@1 to the first row. Times are medians of one item, forms in turns on one machine; memory is\n"
        "the peak of a process that does nothing else.\n\n"
        "| form | R@1 % | ± | mAP % | MB | text ms | image ms | images/s | memory MiB | bytes per crop |\n"
        f"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n{lines}\n\n{reasons}\n"
    )


def _table_line(row: Row) -> str:
    name = f"**{row.name}**" if row.chosen else row.name
    quality = f"{row.r1:.2f} | {row.r1_margin:.2f} | {row.map:.2f}"
    times = f"{row.text_ms:.2f} | {row.image_ms:.2f} | {row.images_per_second:.0f}"
    sizes = f"{row.memory_mib:.0f} | {BYTES_PER_NUMBER * row.dim}"
    return f"| {name} | {quality} | {row.bytes / 1e6:.1f} | {times} | {sizes} |"


def frontier(rows: Sequence[Row], cost: str) -> list[Row]:
    """The Pareto frontier of `cost` and R@1, cheapest first."""
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
        above = 6 if number % 2 else -12  # in turn, so that neighbours' names do not overlap
        place = (unit * getattr(row, cost), row.r1)
        axes.scatter(*place, color="C1" if row.chosen else "C0", marker="*" if row.chosen else "o", s=40, zorder=3)
        axes.annotate(row.name, place, (0, above), textcoords="offset points", fontsize=7, ha="center")
