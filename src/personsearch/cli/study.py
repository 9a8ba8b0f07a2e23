"""`personsearch` commands of the group "study": compare trainings, and tell what a recipe is."""

import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from personsearch.cli import output
from personsearch.cli.model import SETTING_HELP
from personsearch.cli.options import Dataset
from personsearch.errors import UserError

SHOWN_COLUMNS = {"arm", "R@1", "Δ", "mAP", "val R@1", "trained"}

Jobs = Annotated[int, typer.Option(min=1, help="Runs under way at a time; cores and GPUs are divided among them.")]
Out = Annotated[Path, typer.Option(help="Folder to write; an unfinished study in it is resumed.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    for command in (study, transfer, describe):
        app.command()(command)


def study(
    config: Annotated[
        Path, typer.Argument(metavar="STUDY", help="YAML file such as recipes/studies/few-shot-tiny.yaml.")
    ],
    *,
    dataset: Dataset,
    out: Out,
    jobs: Jobs = 1,
    as_json: output.JsonFlag = False,
) -> None:
    """Train and test every arm of a study and write OUT/study.md: a table with the difference of each to the base.

    Killed at any moment, the same command resumes; finished runs are not repeated. An arm that fails is listed in the
    table with its error, and the exit code is 1.
    """
    from personsearch.studies.study import TABLE, StudyConfig
    from personsearch.studies.study import study as run
    from personsearch.studies.table import cells, head

    _end_runs_when_terminated()
    result = run(StudyConfig.from_yaml(config), dataset, out, jobs=jobs)
    if as_json:
        output.show(result.to_json(), as_json=True)
    else:
        shown = [index for index, name in enumerate(head(result)) if name in SHOWN_COLUMNS]
        for stage in result.stages:
            lines = [head(result), *(cells(result, row) for row in stage.rows)]
            first, *others = [[line[index] for index in shown] for line in lines]
            output.show_table(first, others, title=stage.name, numeric=True)
        output.show({"table": out / TABLE}, as_json=False)
    raise typer.Exit(1 if result.failed else 0)


def transfer(
    config: Annotated[
        Path, typer.Argument(metavar="STUDY", help="YAML file such as recipes/studies/transfer-tiny.yaml.")
    ],
    *,
    dataset: Annotated[list[str], typer.Option(metavar="NAME=FOLDER", help="Prepared data set; two or more.")],
    out: Out,
    jobs: Jobs = 1,
    as_json: output.JsonFlag = False,
) -> None:
    """Train on each of several data sets, test on all of them, and write the matrix to OUT/transfer.md."""
    from personsearch.studies.transfer import TABLE, TransferConfig
    from personsearch.studies.transfer import transfer as run

    _end_runs_when_terminated()
    result = run(TransferConfig.from_yaml(config), _named(dataset), out, jobs=jobs)
    if as_json:
        output.show(result.to_json(), as_json=True)
    else:
        rows = zip(result.runs, result.matrix("r1"), strict=True)
        lines = [[row, *("–" if value is None else f"{value:.2f}" for value in values)] for row, values in rows]
        output.show_table(["", *result.datasets], lines, title="R@1: trained on ↓ tested on →", numeric=True)
        output.show({"table": out / TABLE}, as_json=False)
    raise typer.Exit(1 if result.failed else 0)


def describe(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file such as recipes/paper/tbps-clip.yaml.")],
    *,
    settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help=SETTING_HELP)] = [],  # noqa: B006
    as_json: output.JsonFlag = False,
) -> None:
    """Show what a recipe is: architecture, sizes, losses, augmentation, parameters by part, encoder passes per pair.

    No weights are read or fetched.
    """
    from personsearch.training.describe import describe as run
    from personsearch.training.recipe import read_recipe

    description = run(read_recipe(recipe, settings))
    if as_json:
        output.show(asdict(description), as_json=True)
        return
    output.show(description.summary(), as_json=False)
    counts = [[part, f"{count.total:,}", f"{count.trained:,}"] for part, count in description.parameters.items()]
    output.show_table(["part", "total", "trained"], counts, title="parameters", numeric=True)


def _end_runs_when_terminated() -> None:
    """Let `kill` end the runs too, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _named(datasets: list[str]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for given in datasets:
        name, separator, folder = given.partition("=")
        if not separator or not name or not folder or name in named:
            raise UserError(f"--dataset {given!r}: NAME=FOLDER wanted, every name once")
        named[name] = Path(folder)
    return named
