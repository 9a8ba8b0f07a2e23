"""Measures what is missing, walk after walk over the split, until every figure of a tower is known."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from personsearch.compression.probes.batches import Batches
from personsearch.compression.probes.figures import TowerFigures, bracket, contributions, next_step
from personsearch.compression.probes.forks import Probe, probe_features
from personsearch.compression.probes.journal import ProbeJournal
from personsearch.compression.probes.scores import Scores
from personsearch.compression.probes.towers import KINDS, Kind, Tower
from personsearch.evaluation.embeddings import SplitEmbeddings
from personsearch.evaluation.metrics import points_lost
from personsearch.progress import track

BlockWeights = Sequence[Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Prober:
    """`data` are the unchanged model's embeddings, `r1` what they give in percent; alpha goes in 1/`steps`.

    `state` is the file of the last walk, which goes on from there if it was interrupted.
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
        """What can be measured next: every removal, and one step of each module's bisection."""
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
        walk = (self.journal.key, tower.side, batches.size, tuple(probes))
        identity = hashlib.sha256(repr(walk).encode()).hexdigest()
        for number in track(range(scores.restore(self.state, identity), len(batches)), description):
            batch = batches.read(number)
            for probe, features_ND in probe_features(tower, before, probes, batch.inputs):
                scores.add(probe, batch.rows_N, features_ND.cpu().numpy())
            scores.save(self.state, identity, number + 1)
        return list(map(float, scores.r1()))

    def _bearable(self, tower: Tower, layer: int, kind: Kind) -> dict[int, bool]:
        """Of the steps measured so far, whether less than `max_loss` is lost there."""
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
