"""The figures on what a model sees. Precision and swapped sentences are in percent, areas under the curve in [0, 1]."""

from dataclasses import dataclass, replace
from typing import Self

from personsearch.evaluation.attributes.swapped import SwapFigures


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """A short query: how many images fit it, of how many of which that is known, and how well they are ranked."""

    text: str
    fitting: int
    known: int
    precision_at_10: float
    average_precision: float

    @property
    def base_rate(self) -> float:
        """What a random order would reach, in percent."""
        return 100.0 * self.fitting / self.known

    @property
    def lift(self) -> float:
        """Average precision as a multiple of the base rate."""
        return self.average_precision / self.base_rate


@dataclass(frozen=True, slots=True)
class AttributeScore:
    """How well an attribute is told apart by words, and by a linear probe: AUC, 0.5 is a coin toss.

    `fitting` of `known` images have it; for an attribute with two sides (gender) the first side.
    """

    name: str
    label: str
    text: str
    fitting: int
    known: int
    auc: float
    probe_auc: float | None = None

    def with_probe(self, auc: float | None) -> Self:
        """The same with the probe's figure."""
        return replace(self, probe_auc=auc)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A short query that was not asked, and why."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class AttributeFigures:
    """What a model sees, of so many images; of `from_captions` images captions alone tell what is true."""

    images: int
    from_captions: int
    queries: tuple[QueryFigures, ...]
    left_out: tuple[LeftOut, ...]
    groups: tuple[AttributeScore, ...]
    facts: tuple[AttributeScore, ...]
    swaps: tuple[SwapFigures, ...]

    def metrics(self) -> dict[str, float]:
        """The figures by name; an attribute that could not be measured has none."""
        figures: dict[str, float] = {}
        if self.queries:
            figures["attribute_short_query_map"] = _mean([query.average_precision for query in self.queries])
            figures["attribute_short_query_p10"] = _mean([query.precision_at_10 for query in self.queries])
            figures["attribute_base_rate"] = _mean([query.base_rate for query in self.queries])
        if self.groups:
            figures["attribute_min_auc"] = min(group.auc for group in self.groups)
        figures |= {f"attribute_auc_{group.name}": group.auc for group in self.groups}
        figures |= {
            f"attribute_probe_auc_{group.name}": group.probe_auc for group in self.groups if group.probe_auc is not None
        }
        return figures | {f"attribute_swapped_{swap.name}": swap.preferred for swap in self.swaps}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
