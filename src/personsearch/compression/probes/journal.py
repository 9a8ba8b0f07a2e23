"""R@1 of every probe that was measured, so that a killed run resumes where it stopped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from personsearch.compression.probes.forks import Probe
from personsearch.files import Journal
from personsearch.models.architecture import Side

Measurement = tuple[Side, Probe, float]


class ProbeJournal:
    """The percentages measured so far; the file belongs to one key (models, data)."""

    def __init__(self, path: Path, key: str) -> None:
        self.key = key
        self._journal = Journal(path, key, encode=_to_json, decode=_from_json)
        self._measured = {(side, probe): r1 for side, probe, r1 in self._journal.entries()}

    def r1(self, side: Side, probe: Probe) -> float | None:
        """The percentage that was measured, None where none was."""
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
