"""The results of a study: mean and spread over seeds, Δ to the base, and the order compared with published results."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from personsearch.studies.runs import FIGURES, Outcome

TEST = "test"
VALIDATION_R1 = "val_r1"


@dataclass(frozen=True, slots=True)
class Row:
    """One arm with its runs by seed, in percent. `trained_parameters` is None if no run finished."""

    stage: str
    name: str
    settings: tuple[str, ...]
    recipe: str
    weights_from: str | None
    runs: Mapping[int, Outcome]
    trained_parameters: int | None = None
    published_r1: float | None = None

    @property
    def label(self) -> str:
        return f"{self.stage}/{self.name}"

    @property
    def finished(self) -> list[Outcome]:
        return [run for run in self.runs.values() if run.error is None]

    @property
    def errors(self) -> dict[int, str]:
        """Why runs failed, by seed."""
        return {seed: run.error for seed, run in self.runs.items() if run.error is not None}

    def values(self, figure: str) -> list[float]:
        """A figure of the test split, or `val_r1`, of every finished run."""
        if figure == VALIDATION_R1:
            return [run.training[VALIDATION_R1] for run in self.finished]
        return [run.tests[TEST][figure] for run in self.finished]

    def mean(self, figure: str) -> float | None:
        values = self.values(figure)
        return statistics.fmean(values) if values else None

    def spread(self, figure: str) -> float | None:
        """Sample standard deviation over seeds, or None with fewer than two."""
        values = self.values(figure)
        return statistics.stdev(values) if len(values) > 1 else None

    def cost(self, name: str) -> float | None:
        """Mean over the runs whose cost is known."""
        known = [run.cost[name] for run in self.finished if run.cost is not None]
        return statistics.fmean(known) if known else None


@dataclass(frozen=True, slots=True)
class StageResult:
    """The arms of a stage, the arm that it built on, and its best arm by validation."""

    name: str
    builds_on: str | None
    rows: Sequence[Row]

    @property
    def best(self) -> str | None:
        """The full name of the arm with the best mean validation R@1; untrained and partly failed arms are left out."""
        standing = [row for row in self.rows if row.finished and not row.errors and not _untrained(row)]
        scores = {row.label: row.mean(VALIDATION_R1) or 0.0 for row in standing}
        return max(scores, key=scores.__getitem__) if scores else None


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A whole study; `base` is the full name of the arm that Δ is measured against."""

    name: str
    dataset: str
    dataset_hash: str
    seeds: Sequence[int]
    base: str
    stages: Sequence[StageResult]

    @property
    def rows(self) -> list[Row]:
        return [row for stage in self.stages for row in stage.rows]

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.rows if row.errors]

    def delta(self, row: Row) -> float | None:
        """Points of R@1 above the base."""
        base = next((other.mean("r1") for other in self.rows if other.label == self.base), None)
        own = row.mean("r1")
        return None if base is None or own is None else own - base

    def to_json(self) -> dict[str, Any]:
        """The contents of study.json."""
        return {
            "name": self.name,
            "dataset": self.dataset,
            "dataset_hash": self.dataset_hash,
            "seeds": list(self.seeds),
            "base": self.base,
            "stages": [
                {
                    "name": stage.name,
                    "builds_on": stage.builds_on,
                    "best": stage.best,
                    "arms": [self._row(row) for row in stage.rows],
                }
                for stage in self.stages
            ],
        }

    def _row(self, row: Row) -> dict[str, Any]:
        figures = (*FIGURES, VALIDATION_R1)
        return {
            "name": row.name,
            "recipe": row.recipe,
            "settings": list(row.settings),
            "weights_from": row.weights_from,
            "trained_parameters": row.trained_parameters,
            "published_r1": row.published_r1,
            "mean": {figure: row.mean(figure) for figure in figures},
            "spread": {figure: row.spread(figure) for figure in figures},
            "delta_r1": self.delta(row),
            "runs": [
                {
                    "seed": seed,
                    "folder": run.folder.name,
                    "test": run.tests.get(TEST),
                    "training": run.training,
                    "cost": run.cost,
                    "error": run.error,
                }
                for seed, run in row.runs.items()
            ],
        }


def disagreements(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Pairs of arms whose order by mean test R@1 contradicts the published one, the published winner first."""
    known = [row for row in rows if row.published_r1 is not None and row.mean("r1") is not None]
    pairs = []
    for first, second in combinations(sorted(known, key=lambda row: -(row.published_r1 or 0.0)), 2):
        if first.published_r1 != second.published_r1 and (first.mean("r1") or 0.0) < (second.mean("r1") or 0.0):
            pairs.append((first, second))
    return pairs


def _untrained(row: Row) -> bool:
    return all(run.training["steps"] == 0 for run in row.finished)
