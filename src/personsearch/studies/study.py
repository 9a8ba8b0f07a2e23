"""The study stage: trains and tests every arm on a prepared data set and tabulates the results.

OUT/study.md, study.json, study.png   the table, everything in it, a picture
OUT/runs/<arm>-<hash>/                one folder per run (runs.py)
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.files import write_json
from personsearch.studies.config import BEST, Arm, Stage, StudyConfig
from personsearch.studies.pictures import draw_arms
from personsearch.studies.plan import Plan, check_plans, plan_stage
from personsearch.studies.results import TEST, Row, StageResult, StudyResult
from personsearch.studies.runs import BUNDLE, RECIPE, Outcome, Task, folder_key, run_folder, run_key
from personsearch.studies.schedule import Execute, in_subprocesses, run_tasks
from personsearch.studies.table import study_table, write_text
from personsearch.training.describe import count_parameters, outline
from personsearch.training.recipe import read_recipe

__all__ = ["StudyConfig", "study"]

RUNS, TABLE, RECORD, PICTURE = "runs", "study.md", "study.json", "study.png"


def study(
    config: StudyConfig, dataset: Path, out_dir: Path, *, jobs: int = 1, execute: Execute | None = None
) -> StudyResult:
    """Train and test every arm with every seed and write the table; `jobs` runs execute at a time.

    Finished runs are not repeated: after a kill, or with arms added, the same call resumes. An arm that fails is
    listed in the table with its error. `execute` does one run, by default in subprocesses.

    Raises:
        UserError: the data set or a recipe cannot be read, or a setting is wrong.
    """
    if execute is None:
        with in_subprocesses() as do:
            return study(config, dataset, out_dir, jobs=jobs, execute=do)
    check_plans(config)
    data = Dataset.open(dataset)
    result = StudyResult(config.name, str(dataset), data.hash, config.seeds, config.base_label, stages=())
    worker = _Worker(config, data, out_dir.resolve() / RUNS, jobs, execute)
    for stage in config.stages:
        done = worker(stage, result.stages[-1] if result.stages else None)
        result = replace(result, stages=(*result.stages, done))
        _write(result, out_dir)
    return result


def _write(result: StudyResult, out_dir: Path) -> None:
    write_json(out_dir / RECORD, result.to_json())
    write_text(out_dir / TABLE, study_table(result, PICTURE))
    draw_arms(result, out_dir / PICTURE)


class _Worker:
    """Runs one stage after another and keeps the plans and outcomes of all of them."""

    def __init__(self, config: StudyConfig, dataset: Dataset, runs: Path, jobs: int, execute: Execute) -> None:
        self.config, self.dataset, self.runs, self.jobs, self.execute = config, dataset, runs, jobs, execute
        self.plans: dict[str, Plan] = {}
        self.outcomes: dict[tuple[str, int], Outcome] = {}

    def __call__(self, stage: Stage, before: StageResult | None) -> StageResult:
        blocked = stage.builds_on == BEST and before is not None and before.best is None
        best = None if before is None else before.best or before.rows[0].label
        built_on, plans = plan_stage(self.config, stage, self.plans, best)
        self.plans |= {plan.label: plan for plan in plans}
        if blocked and before is not None:
            failure = Outcome(self.runs, error=f"no arm of stage {before.name!r} finished")
            self.outcomes |= {(plan.label, seed): failure for plan in plans for seed in self.config.seeds}
        else:
            self._run(plans)
        rows = [self._row(stage, arm, plan) for arm, plan in zip(stage.arms, plans, strict=True)]
        return StageResult(stage.name, None if blocked else built_on, rows)

    def _run(self, plans: Sequence[Plan]) -> None:
        """Run the plans; arms with the same configuration share one run, also across stages."""
        tasks: dict[Path, Task] = {}
        folders: dict[tuple[str, int], Path] = {}
        for plan in plans:
            for seed in self.config.seeds:
                try:
                    task = self._task(plan, seed)
                except UserError as error:
                    self.outcomes[plan.label, seed] = Outcome(self.runs, error=str(error))
                    continue
                tasks.setdefault(task.folder, task)
                folders[plan.label, seed] = task.folder
        outcomes = dict(zip(tasks, run_tasks(list(tasks.values()), self.jobs, self.execute), strict=True))
        self.outcomes |= {run: outcomes[folder] for run, folder in folders.items()}

    def _task(self, plan: Plan, seed: int) -> Task:
        start = start_key = None
        if plan.weights_from is not None:
            source = self.outcomes[plan.weights_from, seed]
            if source.error is not None:
                raise UserError(f"{plan.weights_from!r}, which it starts from, failed")
            start, start_key = str(source.folder / BUNDLE), folder_key(source.folder)
        config = plan.config(seed, start)
        name = f"{plan.label}, seed {seed}"
        folder = run_folder(self.runs, name, run_key(config, self.dataset, start_key))
        return Task(name, config, self.dataset, {TEST: self.dataset}, folder)

    def _row(self, stage: Stage, arm: Arm, plan: Plan) -> Row:
        runs = {seed: self.outcomes[plan.label, seed] for seed in self.config.seeds}
        finished = next((run for run in runs.values() if run.error is None), None)
        return Row(
            stage=stage.name,
            name=arm.name,
            recipe=str(plan.recipe),
            settings=plan.settings,
            weights_from=plan.weights_from,
            runs=runs,
            trained_parameters=None if finished is None else _trained_parameters(finished.folder),
            published_r1=arm.published_r1,
        )


def _trained_parameters(folder: Path) -> int:
    """The trained parameters of a finished run; only its bundle knows the size of a learnt vocabulary."""
    config = read_recipe(folder / RECIPE)
    model = config.model.model_copy(update={"weights": str(folder / BUNDLE), "architecture": None})
    return count_parameters(config, outline(model))["total"].trained if config.epochs else 0
