"""Contribution and criticality from what was measured, and the bisection that decides what to measure next."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from personsearch.compression.probes.towers import KINDS, Kind
from personsearch.evaluation.metrics import points_lost
from personsearch.models.architecture import Side

Row = tuple[float, ...]
SAME_SUM = 9  # decimals: sums that differ only by rounding are equal


@dataclass(frozen=True, slots=True)
class TowerFigures:
    """One figure per layer and kind of module; R@1 in percent with that module removed."""

    side: Side
    r1_without: Mapping[Kind, Row]
    contribution: Mapping[Kind, Row]
    criticality: Mapping[Kind, Row]

    @property
    def num_layers(self) -> int:
        return len(self.contribution["layer"])

    @property
    def total(self) -> dict[Kind, Row]:
        """Contribution and criticality together."""
        pairs = {kind: zip(self.contribution[kind], self.criticality[kind], strict=True) for kind in KINDS}
        return {kind: tuple(sum(pair) for pair in pairs[kind]) for kind in KINDS}

    def selections(self, largest: int) -> list[tuple[int, ...]]:
        """The layers to freeze or drop, one of them, two, …, as long as a layer remains."""
        counts = range(1, min(largest, self.num_layers - 1) + 1)
        return [select_layers(self.contribution["layer"], self.criticality["layer"], count) for count in counts]


@dataclass(frozen=True, slots=True)
class ProbeFigures:
    """A whole probe: R@1 of the unchanged model in percent, and the settings under which it was probed."""

    split: str
    captions: int
    images: int
    r1: float
    max_loss: float
    resolution: float
    largest_selection: int
    towers: Sequence[TowerFigures]

    def metrics(self) -> dict[str, float]:
        """R@1 and the sum of both figures of every layer."""
        sums = {
            f"{tower.side}_layer_{layer:02d}": total
            for tower in self.towers
            for layer, total in enumerate(tower.total["layer"], start=1)
        }
        return {"r1": self.r1, **sums}

    def to_json(self) -> dict[str, Any]:
        """Everything, with the sums and the chosen layers of each tower."""
        chosen = {tower.side: tower.selections(self.largest_selection) for tower in self.towers}
        towers = {
            tower.side: asdict(tower) | {"sum": tower.total, "selections": chosen[tower.side]} for tower in self.towers
        }
        return asdict(self) | {"towers": towers}


def contributions(r1: float, r1_without: Sequence[float]) -> Row:
    """The loss of each removal over the largest loss; negative where removal helps, all 0 where nothing is lost."""
    losses = [points_lost(r1, without) for without in r1_without]
    largest = max(losses)
    return tuple(loss / largest if largest > 0 else 0.0 for loss in losses)


def bracket(bearable: Mapping[int, bool], steps: int) -> tuple[int, int]:
    """The highest step that is not bearable (-1: none is known) and the lowest that is, of 0 … `steps`.

    The last step, the trained weights, is always bearable. A step above a bearable one is taken for bearable, too:
    without that assumption, every step would have to be measured.
    """
    lowest = min((step for step, good in bearable.items() if good), default=steps)
    return max((step for step, good in bearable.items() if not good and step < lowest), default=-1), lowest


def next_step(bearable: Mapping[int, bool], steps: int) -> int | None:
    """The step to measure next: first 0, then by bisection; None when the lowest bearable step is known."""
    low, high = bracket(bearable, steps)
    if high == low + 1:
        return None
    return 0 if low < 0 else (low + high) // 2


def select_layers(contribution: Sequence[float], criticality: Sequence[float], count: int) -> tuple[int, ...]:
    """Of all subsets of `count` layers, the one with the smallest sum of both figures; layers count from 1.

    A subset's sum is that of its members, so the best subset is the `count` smallest members. Of layers with equal
    sums the lower ones are taken.

    Raises:
        ValueError: the figures are not one per layer, or there are fewer layers than `count`.
    """
    if len(contribution) != len(criticality) or not 0 <= count <= len(contribution):
        raise ValueError(
            f"{count} of layers with {len(contribution)} contributions and {len(criticality)} criticalities"
        )
    sums = [round(sum(figures), SAME_SUM) for figures in zip(contribution, criticality, strict=True)]
    order = sorted(range(len(sums)), key=sums.__getitem__)
    return tuple(sorted(layer + 1 for layer in order[:count]))
