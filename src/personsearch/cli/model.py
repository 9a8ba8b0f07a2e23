"""`personsearch` commands of the group "model"."""

from pathlib import Path
from typing import Annotated

import typer

from personsearch.cli import output

SETTING_HELP = "One setting of the recipe, dotted: optimiser.lr=1e-4. Repeatable."


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.command()(train)


def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file such as recipes/tiny/pretrain.yaml.")],
    *,
    dataset: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder to write; holding an unfinished run, it goes on.")],
    settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help=SETTING_HELP)] = [],  # noqa: B006
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<number>.")] = "auto",
    as_json: output.JsonFlag = False,
) -> None:
    """Train a model by a recipe and write its bundle to OUT/bundle.

    Killed at any moment, the same command goes on and reaches the same weights. With several GPUs:
    `torchrun --nproc-per-node 4 -m personsearch train …`.
    """
    from personsearch.integrations.mlflow_runs import mlflow_callbacks
    from personsearch.training.recipe import read_recipe
    from personsearch.training.train import train as run

    config = read_recipe(recipe, [*settings, f"device={device}"])
    output.show(run(config, dataset, out, callbacks=mlflow_callbacks()), as_json=as_json)
