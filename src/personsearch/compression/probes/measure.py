"""Measures every probe that is missing, walk after walk, and keeps what was measured in a journal."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from personsearch.compression.probes.figures import TowerFigures, bracket, contributions, next_step
from personsearch.compression.probes.towers import KINDS, Kind, Tower
from personsearch.compression.probes.walk import Batches, Probe, Scores, probe_features
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import points_lost
from personsearch.files import Journal
from personsearch.models.architecture import Side
from personsearch.progress import track

BlockWeights = Sequence[Mapping[str, Tensor]]
Measurement = tuple[Side, Probe, float]


class ProbeJournal:
    """The percentages measured so far; the file belongs to one key (models, data, split)."""

    def __init__(self, path: Path, key: str) -> None:
        self.key = key
        self._journal = Journal(path, key, encode=_to_json, decode=_from_json)
        self._measured = {(side, probe): r1 for side, probe, r1 in self._journal.entries()}

    def r1(self, side: Side, probe: Probe) -> float | None:
        """The percentage that was measured, else None."""
        return self._measured.get((side, probe))

    def record(self, side: Side, r1_of: Mapping[Probe, float]) -> None:
        """Add what was measured; it is on disk when this returns."""
        with self._journal:
            for probe, r1 in r1_of.items():
                self._journal.append((side, probe, r1))
        self._measured |= {(side, probe): r1 for probe, r1 in r1_of.items()}


def _to_json(measurement: Measurement) -> dict[str, Any]:
    side, probe, r1 = measurement
    return {"tower": side, "layer": probe.layer, "kind": probe.kind, "alpha": probe.alpha, "r1": r1}


def _from_json(values: Mapping[str, Any]) -> Measurement:
    return values["tower"], Probe(values["layer"], values["kind"], values["alpha"]), values["r1"]


@dataclass(frozen=True, slots=True)
class Prober:
    """`data` are the unchanged model's embeddings, `r1` their R@1 in percent; alpha goes in steps of 1/`steps`.

    `state` is the file from which an interrupted walk resumes.
    """

    data: SplitEmbeddings
    r1: float
    max_loss: float
    steps: int
    journal: ProbeJournal
    state: Path

    def measure(self, tower: Tower, before: BlockWeights, batches: Batches) -> TowerFigures:
        """Every figure of a tower; `before` holds its blocks' weights before fine-tuning."""
        while probes := self._missing(tower):
            removals = sum(probe.alpha is None for probe in probes)
            description = f"{tower.side} tower, {removals} removals, {len(probes) - removals} blends"
            r1_P = self._walk(tower, before, probes, batches, description)
            self.journal.record(tower.side, dict(zip(probes, r1_P, strict=True)))
        layers = range(1, len(tower.blocks) + 1)
        without = {kind: tuple(self._r1(tower, Probe(layer, kind)) for layer in layers) for kind in KINDS}
        return TowerFigures(
            tower.side,
            r1_without=without,
            contribution={kind: contributions(self.r1, without[kind]) for kind in KINDS},
            criticality={kind: tuple(self._criticality(tower, layer, kind) for layer in layers) for kind in KINDS},
        )

    def _missing(self, tower: Tower) -> list[Probe]:
        """What the next walk can measure: every removal, and one step of each module's bisection."""
        modules = [(layer, kind) for layer in range(1, len(tower.blocks) + 1) for kind in KINDS]
        removals = [Probe(layer, kind) for layer, kind in modules]
        steps = [(module, next_step(self._bearable(tower, *module), self.steps)) for module in modules]
        blends = [Probe(*module, step / self.steps) for module, step in steps if step is not None]
        return [probe for probe in (*removals, *blends) if self.journal.r1(tower.side, probe) is None]

    @torch.inference_mode()
    def _walk(
        self, tower: Tower, before: BlockWeights, probes: Sequence[Probe], batches: Batches, description: str
    ) -> list[float]:
        scores = Scores(tower.side, len(probes), self.data)
        # The size belongs to the identity: as many batches of another size hold other items.
        walk = (self.journal.key, tower.side, batches.size, tuple(probes))
        identity = hashlib.sha256(repr(walk).encode()).hexdigest()
        for number in track(range(scores.restore(self.state, identity), len(batches)), description):
            batch = batches.read(number)
            for probe, features_ND in probe_features(tower, before, probes, batch.inputs):
                scores.add(probe, batch.rows_N, features_ND.cpu().numpy())
            scores.save(self.state, identity, number + 1)
        return list(map(float, scores.r1()))

    def _bearable(self, tower: Tower, layer: int, kind: Kind) -> dict[int, bool]:
        """Whether less than `max_loss` is lost, for each step measured so far."""
        measured = {
            step: self.journal.r1(tower.side, Probe(layer, kind, step / self.steps)) for step in range(self.steps)
        }
        return {step: points_lost(self.r1, r1) < self.max_loss for step, r1 in measured.items() if r1 is not None}

    def _criticality(self, tower: Tower, layer: int, kind: Kind) -> float:
        return bracket(self._bearable(tower, layer, kind), self.steps)[1] / self.steps

    def _r1(self, tower: Tower, probe: Probe) -> float:
        r1 = self.journal.r1(tower.side, probe)
        assert r1 is not None
        return r1
