"""`personsearch` commands of the group "model"."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli import output
from personsearch.cli.options import Dataset, Params, configured
from personsearch.data.records import Split
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.evaluation.footage import FootageFiles

SETTING_HELP = "One setting of the recipe, dotted: optimiser.lr=1e-4. Repeatable."


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    for command in (train, evaluate, compress, gate):
        app.command()(command)


def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file such as recipes/tiny/pretrain.yaml.")],
    *,
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Folder to write; an unfinished run in it is resumed.")],
    settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help=SETTING_HELP)] = [],  # noqa: B006
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or, for one of several, cuda:0; default: the recipe's.")
    ] = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Train a model by a recipe and write its bundle to OUT/bundle.

    Killed at any moment, the same command resumes and reaches the same weights. With several GPUs:
    `torchrun --nproc-per-node 4 -m personsearch train …`.
    """
    from personsearch.integrations.mlflow.runs import mlflow_callbacks
    from personsearch.training.recipe import read_recipe
    from personsearch.training.train import train as run

    config = read_recipe(recipe, settings).overridden({"device": device})
    output.show(run(config, dataset, out, callbacks=mlflow_callbacks()), as_json=as_json)


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Model bundle, of any variant.")],
    *,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Prepared data set, as `personsearch data prepare` writes it."),
    ] = None,
    footage: Annotated[
        Path | None, typer.Option(metavar="FILE", help="people.json: people described in real footage.")
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Its clips. [default: the folder of people.json]", show_default=False),
    ] = None,
    crops: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where crops of the clips are kept for the next model. "
            "[default: footage in $PERSONSEARCH_HOME, else var/footage]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write; an unfinished run in it is resumed.")],
    split: Annotated[Split | None, typer.Option(help="Split to search in; default: as in --params.")] = None,
    params: Params = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Measure a model: R@k, mAP and mINP of both directions, what it sees of single attributes, calibration, and
    OUT/report.html to look at.

    With --footage, also or only: the rank, by track, of people described in real footage, who is found by ingest, and
    how often a right answer and one for an absent person are called reliable. With both, the footage's results are in
    OUT/footage, and its confidence is the one that the data set has just given.
    """
    from personsearch.bundle import CALIBRATION
    from personsearch.evaluation.evaluate import evaluate as run
    from personsearch.evaluation.measured import EvaluateConfig

    if dataset is None and footage is None:
        raise UserError("evaluate: neither --dataset nor --footage is given")
    config = configured(EvaluateConfig, "evaluate", params).overridden({"split": split})
    results: dict[str, object] = {}
    if dataset is not None:
        results |= run(config, bundle, dataset, out)
    if footage is not None:
        fresh = None if dataset is None else out / CALIBRATION
        files = _footage_files(footage, clips, crops)
        results |= _on_footage(bundle, files, out / "footage" if fresh else out, params, fresh, quiet=as_json)
    output.show(results, as_json=as_json)


def _footage_files(described: Path, clips: Path | None, crops: Path | None) -> "FootageFiles":
    from personsearch.evaluation.footage import FootageFiles
    from personsearch.installation.settings import Settings
    from personsearch.integrations.database.gallery import gallery_in

    return FootageFiles(described, clips or described.parent, crops or Settings().home / "footage", gallery_in)


def _on_footage(
    bundle: Path, files: "FootageFiles", out: Path, params: Path | None, calibration: Path | None, *, quiet: bool
) -> dict[str, float]:
    """Measure on footage, and print a row for each description."""
    from personsearch.evaluation.footage import evaluate_footage
    from personsearch.evaluation.footage_report import RANKS_HEAD, rank_rows
    from personsearch.gallery.ingest.tracks import IngestConfig

    findings = evaluate_footage(configured(IngestConfig, "ingest", params), bundle, files, out, calibration=calibration)
    if not quiet:
        output.show_table(RANKS_HEAD, list(rank_rows(findings)))
    return findings.metrics()


def compress(
    bundle: Annotated[Path, typer.Argument(help="Torch bundle, as `personsearch train` writes it.")],
    *,
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Folder to write; an unfinished run in it is resumed.")],
    params: Params = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Make smaller and faster forms of a model, measure each, and choose the one to serve: OUT/chosen.

    The section `compress` of --params names the forms (what is cut, trained back, quantised, and what runs it) and the
    rule of choice. OUT/compression.md is the table with the reasons, compression.png shows what size and time cost.
    """
    from personsearch.compression.compress import PICTURE, REPORT, CompressConfig
    from personsearch.compression.compress import compress as run
    from personsearch.integrations.mlflow.report import Report, log_report

    config = configured(CompressConfig, "compress", params)
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
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The model: also compare it with the champion on the verdicts given in this installation.",
        ),
    ] = None,
    params: Params = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Decide whether a model may be registered: exit code 0 if so, 1 if not, with the reasons."""
    from personsearch.evaluation.gate import GateConfig, decide, read_metrics
    from personsearch.installation.feedback.measure import on_verdicts
    from personsearch.installation.settings import Settings

    champion, whole = (None if path is None else read_metrics(path) for path in (baseline, uncompressed))
    config = configured(GateConfig, "gate", params)
    judged = None if bundle is None else on_verdicts(config, bundle, Settings().model_name)
    decision = decide(config, read_metrics(metrics), champion, whole, judged)
    output.show({"passed": decision.passed, "reasons": decision.reasons}, as_json=as_json)
    raise typer.Exit(0 if decision.passed else 1)
