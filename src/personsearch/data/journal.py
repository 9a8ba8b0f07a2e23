"""What has been done so far, one line per row, so that a killed run goes on where it stopped."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from personsearch.data.checks import Finding
from personsearch.data.records import ImageRecord


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row: a record or none, what was refused, what was odd. `size` is (height, width)."""

    record: ImageRecord | None = None
    digest: str = ""
    size: tuple[int, int] = (0, 0)
    refused: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)


class Journal:
    """An append-only file of outcomes that belongs to one key; opened with another key it starts anew."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        self.matches = path.is_file() and self._read_key() == key

    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes written so far, in the order of the rows."""
        if not self.matches:
            return
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield _outcome(json.loads(line))

    def __enter__(self) -> Self:
        if self.matches:
            self._cut_half_line()
        else:
            self.path.write_text(json.dumps(self._key) + "\n", encoding="utf-8")
            self.matches = True
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, outcome: Outcome) -> None:
        """Add the next row's outcome; it survives this process from here on."""
        self._file.write(json.dumps(asdict(outcome)) + "\n")
        self._file.flush()

    def _read_key(self) -> str:
        with self.path.open("rb") as file:
            line = file.readline()
        return str(json.loads(line)) if line.endswith(b"\n") else ""

    def _cut_half_line(self) -> None:
        """Drop what a killed process wrote of its last line."""
        with self.path.open("rb+") as file:
            whole = 0
            for line in file:
                whole += len(line) if line.endswith(b"\n") else 0
            file.truncate(whole)


def _outcome(values: dict[str, Any]) -> Outcome:
    return Outcome(
        record=ImageRecord(**values["record"]) if values["record"] else None,
        digest=values["digest"],
        size=(values["size"][0], values["size"][1]),
        refused=[Finding(**finding) for finding in values["refused"]],
        remarks=[Finding(**finding) for finding in values["remarks"]],
    )
