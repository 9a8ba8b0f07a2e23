"""Contribution and criticality as heat maps: a row per tower, a line per kind of module, a column per layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from personsearch.compression.probes.figures import Row, TowerFigures
from personsearch.compression.probes.towers import KINDS, Kind
from personsearch.files import replacing

INCHES_PER_LAYER = 0.42
DOTS_PER_INCH = 150
LABELS: dict[Kind, str] = {"attention": "attention", "feed_forward": "feed-forward", "layer": "layer"}
DARK = 0.55  # of a map's range: darker cells carry light figures


def draw_heatmaps(towers: Sequence[TowerFigures], path: Path) -> None:
    """Dark is what the model needs, light what it can do without; a sum goes to 2."""
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
