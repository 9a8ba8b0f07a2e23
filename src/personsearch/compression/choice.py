"""Which form of a model is served: the best one by a stated rule among those that lose little."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from personsearch.config import Config
from personsearch.evaluation.metrics import points_lost

logger = logging.getLogger(__name__)


class ChoiceConfig(Config):
    """The rule by which one compressed form is chosen; where none meets it, the form with the best R@1."""

    prefer: Literal["bytes", "text_ms", "image_ms", "memory_mib"] = "bytes"
    """Of the forms that are good enough, take the one with the least of this: weight bytes, milliseconds per query or
    image, peak memory.
    """

    max_loss: float = Field(default=0.5, ge=0, le=100)
    """Points of R@1 text→image that a form may lose against the uncompressed model."""

    beyond_chance: bool = False
    """Add the margin of chance to what a form loses, so that the loss is known to stay within `max_loss`; takes
    thousands of captions.
    """

    max_text_ms: float | None = Field(default=None, gt=0)
    """Longest median time of a text query in milliseconds; null for no limit."""


@dataclass(frozen=True, slots=True)
class Row:
    """One form of the model: percent on the split; bytes of weights; medians of one item, on one machine.

    `r1_margin` is how many points chance may reach into its difference of R@1 to the uncompressed model (95 %). `dim`
    is the length of its embeddings, `images_per_second` that of a batch, `memory_mib` the peak of a process that does
    nothing else.
    """

    name: str
    r1: float
    map: float
    r1_margin: float
    bytes: int
    text_ms: float
    image_ms: float
    images_per_second: float
    memory_mib: float
    dim: int
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The rows with one marked as chosen, and for every form a sentence on why it is or is not."""

    rows: list[Row]
    reasons: list[str]

    @property
    def chosen(self) -> Row:
        return next(row for row in self.rows if row.chosen)


def choose(rows: Sequence[Row], config: ChoiceConfig) -> Choice:
    """Apply the rule. The first row is the uncompressed model, which is no candidate: serving has no torch."""
    uncompressed, *candidates = rows
    faults = {row.name: _faults(row, uncompressed, config) for row in candidates}
    good = [row for row in candidates if not faults[row.name]]
    if good:
        chosen = min(good, key=lambda row: (getattr(row, config.prefer), -row.r1))
    else:
        chosen = max(candidates, key=lambda row: row.r1)
        logger.warning("no form is good enough; %s has the best R@1", chosen.name)
    why = f"chosen: the least {config.prefer} of {len(good)} that are good enough" if good else "chosen: the best R@1"
    reasons = [
        "; ".join([_quality(row, uncompressed), *faults[row.name], *([why] if row is chosen else [])])
        for row in candidates
    ]
    return Choice([replace(row, chosen=row is chosen) for row in rows], reasons)


def _quality(row: Row, uncompressed: Row) -> str:
    return f"{row.name}: R@1 {row.r1:.2f} against {uncompressed.r1:.2f} ± {row.r1_margin:.2f}"


def _faults(row: Row, uncompressed: Row, config: ChoiceConfig) -> list[str]:
    faults = []
    lost = points_lost(uncompressed.r1, row.r1)
    if lost > config.max_loss:
        faults.append(f"loses more than {config.max_loss:.2f} points")
    elif config.beyond_chance and lost + row.r1_margin > config.max_loss:
        faults.append(f"may lose {lost + row.r1_margin:.2f} points, more than {config.max_loss:.2f}")
    if config.max_text_ms is not None and row.text_ms > config.max_text_ms:
        faults.append(f"a query takes {row.text_ms:.2f} ms, more than {config.max_text_ms:.2f}")
    return faults
