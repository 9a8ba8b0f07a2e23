"""`personsearch` commands of the group "model"."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from personsearch.cli import output
from personsearch.config import Config
from personsearch.data.records import Split

SETTING_HELP = "One setting of the recipe, dotted: optimiser.lr=1e-4. Repeatable."

ParametersOption = Annotated[
    Path | None, typer.Option("--params", help="YAML file with a section of this command's name, such as params.yaml.")
]

C = TypeVar("C", bound=Config)


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    for command in (train, evaluate, compress, gate):
        app.command()(command)


def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file such as recipes/tiny/pretrain.yaml.")],
    *,
    dataset: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder to write; holding an unfinished run, it goes on.")],
    settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help=SETTING_HELP)] = [],  # noqa: B006
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or, for one of several, cuda:0.")] = "auto",
    as_json: output.JsonFlag = False,
) -> None:
    """Train a model by a recipe and write its bundle to OUT/bundle.

    Killed at any moment, the same command goes on and reaches the same weights. With several GPUs:
    `torchrun --nproc-per-node 4 -m personsearch train …`.
    """
    from personsearch.integrations.mlflow.runs import mlflow_callbacks
    from personsearch.training.recipe import read_recipe
    from personsearch.training.train import train as run

    config = read_recipe(recipe, [*settings, f"device={device}"])
    output.show(run(config, dataset, out, callbacks=mlflow_callbacks()), as_json=as_json)


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Model bundle, of any variant.")],
    dataset: Annotated[Path, typer.Argument(help="Prepared data set.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to write; holding an unfinished run, it goes on.")],
    split: Annotated[Split | None, typer.Option(help="Split to search in; default: the parameters' own.")] = None,
    parameters: ParametersOption = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Measure a model: R@k, mAP and mINP of both directions, calibration, and OUT/report.html to look at."""
    from personsearch.evaluation.evaluate import evaluate as run
    from personsearch.evaluation.measured import EvaluateConfig

    config = _configuration(EvaluateConfig, parameters, "evaluate").overridden({"split": split})
    output.show(run(config, bundle, dataset, out), as_json=as_json)


def compress(
    bundle: Annotated[Path, typer.Argument(help="Torch bundle, as `personsearch train` writes it.")],
    dataset: Annotated[Path, typer.Argument(help="Prepared data set to measure on.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to write; holding an unfinished run, it goes on.")],
    parameters: ParametersOption = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Make smaller and faster forms of a model, measure each, and choose the one to serve: OUT/chosen.

    The section `compress` of --params names the forms (what is cut, trained back, quantised, and what runs it) and the
    rule of choice. OUT/compression.md is the table with the reasons, compression.png shows what size and time cost.
    """
    from personsearch.compression.compress import PICTURE, REPORT, CompressConfig
    from personsearch.compression.compress import compress as run
    from personsearch.integrations.mlflow.report import Report, log_report

    config = _configuration(CompressConfig, parameters, "compress")
    results = run(config, bundle, dataset, out)
    log_report("compress", Report(results, files=[out / REPORT, out / PICTURE]))
    output.show(results, as_json=as_json)


def gate(
    metrics: Annotated[Path, typer.Argument(help="metrics.json of the model to judge.")],
    *,
    baseline: Annotated[Path | None, typer.Option(help="metrics.json of the champion, on the same data.")] = None,
    uncompressed: Annotated[
        Path | None, typer.Option(help="metrics.json of the model that this one was compressed from.")
    ] = None,
    parameters: ParametersOption = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Decide whether a model may be registered: exit code 0 if so, 1 if not, with the reasons."""
    from personsearch.evaluation.gate import GateConfig, decide, read_metrics

    champion, whole = (None if path is None else read_metrics(path) for path in (baseline, uncompressed))
    decision = decide(_configuration(GateConfig, parameters, "gate"), read_metrics(metrics), champion, whole)
    output.show({"passed": decision.passed, "reasons": decision.reasons}, as_json=as_json)
    raise typer.Exit(0 if decision.passed else 1)


def _configuration(kind: type[C], parameters: Path | None, section: str) -> C:
    return kind() if parameters is None else kind.from_yaml(parameters, section)
