"""Writes the results of a study as Markdown tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from personsearch.files import replacing
from personsearch.studies.results import VALIDATION_R1, Row, StageResult, StudyResult, disagreements
from personsearch.studies.runs import FIGURES

NAMES = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "map": "mAP", "minp": "mINP"}
UNKNOWN = "–"


def study_table(result: StudyResult, picture: str) -> str:
    """The text of study.md."""
    seeds = ", ".join(map(str, result.seeds))
    spread = " Mean ± standard deviation over seeds." if len(result.seeds) > 1 else ""
    explanation = (
        f"Text to image on the test split of `{result.dataset}` (`{result.dataset_hash:.16}`), in percent, seeds "
        f"{seeds}.{spread} Δ is R@1 against *{result.base}*. The best arm of a stage by validation R@1 is bold."
    )
    parts = [f"# {result.name}", explanation, f"![R@1 of every arm]({picture})"]
    for stage in result.stages:
        parts += [f"## {stage.name}", *_stage(result, stage)]
    return "\n\n".join([*parts, *_order(result)]) + "\n"


def head(result: StudyResult) -> list[str]:
    """The column names of `cells`."""
    published = ["published R@1"] if any(row.published_r1 is not None for row in result.rows) else []
    figures = [NAMES[figure] for figure in FIGURES[1:]]
    return ["arm", "R@1", "Δ", *figures, "val R@1", *published, "trained", "time", "memory"]


def cells(result: StudyResult, row: Row) -> list[str]:
    """One arm's row of the table."""
    published = [_number(row.published_r1)] if "published R@1" in head(result) else []
    name = row.name + (f" ({len(row.errors)} of {len(row.runs)} failed)" if row.errors else "")
    delta = result.delta(row)
    return [
        name,
        _mean(row, "r1"),
        UNKNOWN if delta is None else f"{delta:+.2f}",
        *(_mean(row, figure) for figure in FIGURES[1:]),
        _mean(row, VALIDATION_R1),
        *published,
        UNKNOWN if row.trained_parameters is None else f"{row.trained_parameters:,}",
        _cost(row, "seconds", "s"),
        _cost(row, "peak_memory_mib", "MiB"),
    ]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table with the first column left-aligned, the others right-aligned."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _stage(result: StudyResult, stage: StageResult) -> Iterable[str]:
    if stage.builds_on is not None:
        yield f"Builds on *{stage.builds_on}*."
    rows = []
    for row in stage.rows:
        line = cells(result, row)
        best = row.label == stage.best and len(stage.rows) > 1
        rows.append([f"**{line[0]}**", *line[1:]] if best else line)
    yield markdown_table(head(result), rows)
    errors = [f"- {row.name}, seed {seed}: {error}" for row in stage.rows for seed, error in row.errors.items()]
    if errors:
        yield "\n".join(["Failed:", "", *errors])


def _order(result: StudyResult) -> Iterable[str]:
    """The section that lists where the order of the arms contradicts the published one."""
    if sum(row.published_r1 is not None for row in result.rows) < 2:
        return
    yield "## Order against the published results"
    lines = [
        f"- {better.name} is published above {worse.name} by {_difference(better.published_r1, worse.published_r1)}; "
        f"here it is below by {_difference(worse.mean('r1'), better.mean('r1'))}{_within(better, worse)}"
        for better, worse in disagreements(result.rows)
    ]
    yield "\n".join(lines) or "All arms are in the published order."


def _within(one: Row, other: Row) -> str:
    """A note if two arms differ by no more than one of them varies with its seed."""
    spread = max(one.spread("r1") or 0.0, other.spread("r1") or 0.0)
    return ", within the spread" if abs((one.mean("r1") or 0.0) - (other.mean("r1") or 0.0)) <= spread else ""


def _difference(larger: float | None, smaller: float | None) -> str:
    return f"{(larger or 0.0) - (smaller or 0.0):.2f}"


def _mean(row: Row, figure: str) -> str:
    mean, spread = row.mean(figure), row.spread(figure)
    return _number(mean) if spread is None else f"{_number(mean)} ± {spread:.2f}"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def _cost(row: Row, name: str, unit: str) -> str:
    value = row.cost(name)
    return UNKNOWN if value is None else f"{value:,.0f} {unit}"
