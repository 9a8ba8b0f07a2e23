"""`personsearch probe`: which layers a model can do without."""

import json
from pathlib import Path
from typing import Annotated

import typer

from personsearch.cli import output
from personsearch.cli.options import Dataset, Params, configured
from personsearch.data.records import Split


def register(app: typer.Typer) -> None:
    """Add this group's command to the root command."""
    app.command()(probe)


def probe(
    bundle: Annotated[Path, typer.Argument(help="Torch bundle, as `personsearch train` writes it.")],
    *,
    before: Annotated[
        Path, typer.Option(help="What it was trained from: a bundle or a file of weights of the same architecture.")
    ],
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Folder to write; an unfinished probe in it is resumed.")],
    split: Annotated[
        Split | None, typer.Option(help="Split to measure on; default: val, test where there is none.")
    ] = None,
    max_loss: Annotated[
        float | None, typer.Option(help="Points of R@1 that a critical module's own training is worth; default: 3.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or, for one of several, cuda:0.")] = None,
    params: Params = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Measure what each layer of a trained model contributes, and which to freeze or drop in a new training.

    Contribution is the R@1 that is lost without a module; criticality how much of its training it must keep.
    OUT/probe.md lists both for every attention, feed-forward and layer of both towers, OUT/probe.png shows them, and
    the table here names the layers with the smallest sums, as lines for the section `model` of a recipe. In
    `personsearch train` that is, for example, `--set 'model.drop_text_layers=[7, 8]'`.

    Killed at any moment, the same command resumes; with another --max-loss it measures only what is missing. Weights
    that have a name instead of a file become a bundle by `personsearch train` with `--set epochs=0`.
    """
    from personsearch.compression.probing import FIGURES, PICTURE, TABLE, ProbeConfig
    from personsearch.compression.probing import probe as run
    from personsearch.integrations.mlflow.report import Report, log_report

    flags = {"split": split, "max_loss": max_loss, "device": device}
    config = configured(ProbeConfig, "probe", params).overridden(flags)
    results = run(config, bundle, before, dataset, out)
    log_report("probe", Report(results, files=[out / TABLE, out / PICTURE]))
    figures = json.loads((out / FIGURES).read_text(encoding="utf-8"))
    if as_json:
        output.show(figures, as_json=True)
        return
    output.show({"R@1": results["r1"], "table": out / TABLE, "picture": out / PICTURE}, as_json=False)
    for side, tower in figures["towers"].items():
        sums = tower["sum"]["layer"]
        rows = [
            [f"{side}_layers: {layers}", f"{sum(sums[layer - 1] for layer in layers):.2f}"]
            for layers in tower["selections"]
        ]
        output.show_table(["freeze_… or drop_…", "sum"], rows, title=f"{side} tower", numeric=True)
