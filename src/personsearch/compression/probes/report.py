"""probe.md: the figures of every layer and the lines that a recipe takes to freeze or drop the chosen ones."""

from dataclasses import fields

from personsearch.compression.probes.figures import ProbeFigures, TowerFigures
from personsearch.compression.probes.towers import KINDS

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
