"""R@1 of every probe that was measured, one line each, so that a killed run goes on where it stopped."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from personsearch.compression.probes.forks import Probe
from personsearch.files import replacing
from personsearch.models.layers import Side


class ProbeJournal:
    """An append-only file that belongs to one key (models, data); opened with another key it starts anew."""

    def __init__(self, path: Path, key: str) -> None:
        self.key = key
        self._path = path
        self._measured: dict[tuple[Side, Probe], float] = {}
        head, *lines = _whole_lines(path) or [""]
        if head != json.dumps(key):
            head, lines = json.dumps(key), []
        for line in lines:
            values = json.loads(line)
            self._measured[values.pop("tower"), Probe(values["layer"], values["kind"], values["alpha"])] = values["r1"]
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in [head, *lines]), encoding="utf-8")

    def r1(self, side: Side, probe: Probe) -> float | None:
        """The percentage that was measured, None where none was."""
        return self._measured.get((side, probe))

    def record(self, side: Side, r1_of: Mapping[Probe, float]) -> None:
        """Add what was measured; it survives this process from here on."""
        lines = [
            {"tower": side, "layer": probe.layer, "kind": probe.kind, "alpha": probe.alpha, "r1": r1}
            for probe, r1 in r1_of.items()
        ]
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        self._measured |= {(side, probe): r1 for probe, r1 in r1_of.items()}


def _whole_lines(path: Path) -> list[str]:
    """Without what a killed process wrote of its last line."""
    if not path.is_file():
        return []
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    return whole
