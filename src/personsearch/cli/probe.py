"""`personsearch probe`: which layers a model can do without."""

import json
from pathlib import Path
from typing import Annotated

import typer

from personsearch.cli import output
from personsearch.cli.model import ParametersOption
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
    dataset: Annotated[Path, typer.Option(help="Prepared data set.")],
    out: Annotated[Path, typer.Option(help="Folder to write; holding an unfinished probe, it goes on.")],
    split: Annotated[
        Split | None, typer.Option(help="Split to measure on; default: val, test where there is none.")
    ] = None,
    max_loss: Annotated[
        float | None, typer.Option(help="Points of R@1 that a critical module's own training is worth; default: 3.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or, for one of several, cuda:0.")] = None,
    parameters: ParametersOption = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Measure what each layer of a trained model contributes, and which to freeze or drop in a new training.

    *Contribution* is the R@1 that is lost without a module; *criticality* how much of its training it must keep.
    OUT/probe.md tells both for every attention, feed-forward and layer of both towers, OUT/probe.png shows them, and
    the table here names the layers with the smallest sums, as lines for the section `model` of a recipe:

        personsearch train RECIPE --set 'model.drop_text_layers=[7, 8]' …

    Killed at any moment, the same command goes on; with another --max-loss it measures only what is missing. Weights
    that have a name instead of a file become a bundle by `personsearch train RECIPE --set epochs=0`.
    """
    from personsearch.compression.probing import FIGURES, PICTURE, TABLE, ProbeConfig
    from personsearch.compression.probing import probe as run
    from personsearch.integrations.mlflow.report import Report, log_report

    config = ProbeConfig() if parameters is None else ProbeConfig.from_yaml(parameters, "probe")
    config = config.overridden({"split": split, "max_loss": max_loss, "device": device})
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
        output.show_table(f"{side} tower", ["freeze_… or drop_…", "sum"], rows)
