"""probe.md and probe.png: the figures of every layer as a table and as heat maps."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from personsearch.compression.probes.figures import ProbeFigures, Row, TowerFigures
from personsearch.compression.probes.towers import KINDS, Kind
from personsearch.files import replacing

INCHES_PER_LAYER = 0.42
DOTS_PER_INCH = 150
LABELS: dict[Kind, str] = {"attention": "attention", "feed_forward": "feed-forward", "layer": "layer"}
DARK = 0.55  # of a map's range: darker cells carry light figures
HEAD = """# Probe

R@1 {r1:.2f} % text→image on {split}: {captions:,} captions, {images:,} images.

*Contribution*: the R@1 that is lost when a module is removed, over the largest such loss among modules of its kind in
its tower. *Criticality*: how far from the weights before fine-tuning (0) to the trained ones (1) a module must go for
less than {max_loss:g} points of R@1 to be lost, in steps of {resolution:g}, all else trained. A layer is its attention
and its feed-forward together. Low figures: what the model can do without, or without having trained.

![Heat maps of both figures and their sum](probe.png)
"""


def report(figures: ProbeFigures) -> str:
    """The whole page."""
    head = HEAD.format(**{field.name: getattr(figures, field.name) for field in fields(figures)})
    return "\n".join([head, *(_tower(tower, figures.largest_selection) for tower in figures.towers)])


def _tower(tower: TowerFigures, largest_selection: int) -> str:
    return "\n".join(
        [
            f"## {tower.side.capitalize()} tower\n",
            "| layer | R@1 without attention, feed-forward, layer | contribution | criticality | sum of the layer |",
            "|---|---|---|---|---|",
            *(_layer(tower, index) for index in range(tower.num_layers)),
            "",
            "| layers | smallest sum | to train with them as they are | to train without them |",
            "|---|---|---|---|",
            *(_selection(tower, layers) for layers in tower.selections(largest_selection)),
            "",
        ]
    )


def _layer(tower: TowerFigures, index: int) -> str:
    without = " · ".join(f"{tower.r1_without[kind][index]:.2f}" for kind in KINDS)
    shares = (
        " · ".join(f"{figure[kind][index]:.2f}" for kind in KINDS) for figure in (tower.contribution, tower.criticality)
    )
    return f"| {index + 1} | {without} | {' | '.join(shares)} | {tower.total['layer'][index]:.2f} |"


def _selection(tower: TowerFigures, layers: tuple[int, ...]) -> str:
    chosen = ", ".join(map(str, layers))
    total = sum(tower.total["layer"][layer - 1] for layer in layers)
    options = " | ".join(f"`{action}_{tower.side}_layers: [{chosen}]`" for action in ("freeze", "drop"))
    return f"| {chosen} | {total:.2f} | {options} |"


def draw_heatmaps(towers: Sequence[TowerFigures], path: Path) -> None:
    """Draw the figures: dark is what the model needs, light what it can do without; a sum goes up to 2."""
    from matplotlib.figure import Figure  # takes half a second, which other commands need not pay

    deepest = max(tower.num_layers for tower in towers)
    size = (3 * (1.3 + INCHES_PER_LAYER * deepest), 0.4 + 1.7 * len(towers))
    figure = Figure(figsize=size, layout="constrained")
    for line, tower in zip(figure.subplots(len(towers), 3, squeeze=False), towers, strict=True):
        maps = {"contribution": tower.contribution, "criticality": tower.criticality, "sum": tower.total}
        for axes, (name, values) in zip(line, maps.items(), strict=True):
            _draw(axes, f"{tower.side} tower: {name}", values, top=2.0 if name == "sum" else 1.0)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def _draw(axes: Any, title: str, values: Mapping[Kind, Row], *, top: float) -> None:
    lines = [values[kind] for kind in KINDS]
    axes.imshow(lines, cmap="YlGnBu", vmin=0, vmax=top, aspect="auto")
    for i, line in enumerate(lines):
        for j, value in enumerate(line):
            colour = "white" if value > DARK * top else "black"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(lines[0])), range(1, len(lines[0]) + 1), fontsize=8)
    axes.set_yticks(range(len(KINDS)), [LABELS[kind] for kind in KINDS], fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("layer", fontsize=8)
