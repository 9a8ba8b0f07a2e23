"""The transfer stage: trains on each of several data sets and tests on all of them.

OUT/transfer.md, transfer.json, transfer.png   the matrix
OUT/runs/<data set>-<hash>/                    one folder per run (runs.py)
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from personsearch.config import Config
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.files import write_json
from personsearch.studies.config import Settings
from personsearch.studies.pictures import draw_matrix
from personsearch.studies.plan import Plan, settings
from personsearch.studies.runs import FIGURES, Outcome, Task, run_folder, run_key
from personsearch.studies.schedule import Execute, in_subprocesses, run_tasks
from personsearch.studies.table import NAMES, UNKNOWN, markdown_table, write_text

__all__ = ["TransferConfig", "transfer"]

RUNS, TABLE, RECORD, PICTURE = "runs", "transfer.md", "transfer.json", "transfer.png"
UNTRAINED = "(not trained)"


class TransferConfig(Config):
    """A recipe with settings over it, trained on every data set with every seed."""

    name: str
    """Title of the table."""

    recipe: Path
    """The recipe."""

    set: Settings = Field(default={})
    """Dotted settings over the recipe."""

    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Every data set is trained once with each seed."""


@dataclass(frozen=True, slots=True)
class TransferResult:
    """Outcomes by training set and seed; the first row is the untrained start."""

    name: str
    datasets: Mapping[str, str]
    runs: Mapping[str, Mapping[int, Outcome]]

    @property
    def failed(self) -> dict[str, str]:
        """Why runs failed, by training set and seed."""
        return {
            f"{row}, seed {seed}": run.error
            for row, runs in self.runs.items()
            for seed, run in runs.items()
            if run.error is not None
        }

    def values(self, trained_on: str, tested_on: str, figure: str) -> list[float]:
        """One figure, in percent, of every seed that finished."""
        runs = self.runs[trained_on].values()
        return [run.tests[tested_on][figure] for run in runs if run.error is None]

    def mean(self, trained_on: str, tested_on: str, figure: str) -> float | None:
        values = self.values(trained_on, tested_on, figure)
        return statistics.fmean(values) if values else None

    def matrix(self, figure: str) -> list[list[float | None]]:
        """Means over seeds: a row per training set, a column per test set."""
        return [[self.mean(row, column, figure) for column in self.datasets] for row in self.runs]

    def to_json(self) -> dict[str, Any]:
        """The contents of transfer.json."""
        return {
            "name": self.name,
            "datasets": dict(self.datasets),
            "trained_on": list(self.runs),
            "tested_on": list(self.datasets),
            "mean": {figure: self.matrix(figure) for figure in FIGURES},
            "runs": {
                row: {
                    seed: {"folder": run.folder.name, "tests": run.tests, "error": run.error}
                    for seed, run in runs.items()
                }
                for row, runs in self.runs.items()
            },
        }


def transfer(
    config: TransferConfig,
    datasets: Mapping[str, Path],
    out_dir: Path,
    *,
    jobs: int = 1,
    execute: Execute | None = None,
) -> TransferResult:
    """Train on each data set, test on all, and write the matrix; resumes and executes like a study.

    Raises:
        UserError: a data set or the recipe cannot be read, or a setting is wrong.
    """
    if execute is None:
        with in_subprocesses() as do:
            return transfer(config, datasets, out_dir, jobs=jobs, execute=do)
    if UNTRAINED in datasets or len(datasets) < 2:
        raise UserError(f"transfer: {len(datasets)} data sets; expected two or more, none of them called {UNTRAINED!r}")
    opened = {name: Dataset.open(path) for name, path in datasets.items()}
    tasks = _tasks(config, opened, out_dir.resolve() / RUNS)
    outcomes = dict(zip(tasks, run_tasks(list(tasks.values()), jobs, execute), strict=True))
    runs = {row: {seed: outcomes[row, seed] for seed in config.seeds} for row in (UNTRAINED, *datasets)}
    result = TransferResult(config.name, {name: dataset.hash for name, dataset in opened.items()}, runs)
    write_json(out_dir / RECORD, result.to_json())
    write_text(out_dir / TABLE, transfer_table(result, PICTURE))
    draw_matrix(config.name, result.matrix("r1"), list(runs), list(datasets), out_dir / PICTURE)
    return result


def _tasks(config: TransferConfig, datasets: Mapping[str, Dataset], runs: Path) -> dict[tuple[str, int], Task]:
    plan = Plan("transfer", config.recipe, settings(config.set))
    untrained = replace(plan, settings=(*plan.settings, "epochs=0"))
    rows = {UNTRAINED: (untrained, next(iter(datasets.values())))}
    rows |= {name: (plan, dataset) for name, dataset in datasets.items()}
    tasks = {}
    for row, (how, dataset) in rows.items():
        for seed in config.seeds:
            name, run = f"{row}, seed {seed}", how.config(seed)
            tasks[row, seed] = Task(name, run, dataset, datasets, run_folder(runs, name, run_key(run, dataset)))
    return tasks


def transfer_table(result: TransferResult, picture: str) -> str:
    """The text of transfer.md: R@1 and mAP by training set (rows) and test set (columns)."""
    seeds = ", ".join(map(str, next(iter(result.runs.values()))))
    explanation = (
        f"Text to image on the test split of each data set, in percent; mean over seeds {seeds}. "
        "Rows are training sets, columns are test sets."
    )
    parts = [f"# {result.name}", explanation, f"![R@1 by training and test set]({picture})"]
    for figure in ("r1", "map"):
        lines = zip(result.runs, result.matrix(figure), strict=True)
        cells = [[row, *(UNKNOWN if value is None else f"{value:.2f}" for value in values)] for row, values in lines]
        parts.append(markdown_table([f"{NAMES[figure]}: trained on ↓ tested on →", *result.datasets], cells))
    failed = [f"- {run}: {error}" for run, error in result.failed.items()]
    parts += ["\n".join(["Failed:", "", *failed])] if failed else []
    return "\n\n".join(parts) + "\n"
