"""Reads the output of kfp's local runner: writes one log file per step and shows one line per step.

kfp prints about thirty lines per step, its whole input included; people need its name, state and duration.
"""

import io
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TextIO

State = Literal["running", "succeeded", "cached", "failed", "skipped"]

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STARTED = re.compile(r"Executing task '(?P<step>[\w-]+)'$")
FINISHED = re.compile(r"Task '(?P<step>[\w-]+)' finished with status (?P<status>SUCCESS|FAILURE)$")
CACHED = re.compile(r"Task (?P<step>[\w-]+) cache hit \(key=")
PROGRESS = re.compile(r"^(?P<text>[^\[{\"]*: \d+(/\d+)?( done)?|epoch \d+: .*)$")
EXCEPTION = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning)?): ?(?P<message>.*)$")
MARKS: dict[State, str] = {"running": "…", "succeeded": "✓", "cached": "=", "failed": "✗", "skipped": "–"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run; `log` holds everything it printed."""

    name: str
    state: State
    seconds: float
    log: Path

    def __str__(self) -> str:
        took = f"{self.seconds:8.1f} s" if self.state in ("succeeded", "failed") else f"{self.state:>10}"
        return f"{MARKS[self.state]} {self.name:<18} {took}"


class StepLog(io.TextIOBase):
    """A text stream that reads kfp's output and calls `announce` at each step's start, progress and end.

    Threads of kfp's write to it where shards run at the same time; which of them printed a line is not known.
    """

    def __init__(self, folder: Path, announce: Callable[[Step, str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.steps: dict[str, Step] = {}
        self._announce = announce
        self._running: list[tuple[Step, float]] = []  # and since when; the shards of a loop run at the same time
        self._lock = threading.RLock()
        self._rest = ""
        self._file: TextIO = (folder / "pipeline.log").open("a", encoding="utf-8")

    def write(self, text: str) -> int:
        with self._lock:
            self._file.write(text)
            self._file.flush()
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._read(COLOUR.sub("", line).strip())
        return len(text)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _read(self, line: str) -> None:
        if match := STARTED.search(line):
            self._start(match["step"])
        elif match := CACHED.search(line):
            self.record(Step(match["step"], "cached", 0.0, self._log_of(match["step"])))
        elif match := FINISHED.search(line):
            self._end(match["step"], "succeeded" if match["status"] == "SUCCESS" else "failed")
        elif (match := PROGRESS.match(line)) and self._running:
            self._announce(self._running[-1][0], match["text"])

    def _start(self, name: str) -> None:
        step = Step(name, "running", 0.0, self._log_of(name))
        self._running.append((step, time.monotonic()))
        self._file.close()
        self._file = step.log.open("a", encoding="utf-8")
        self.record(step)

    def _end(self, name: str, state: State) -> None:
        running = next((each for each in self._running if each[0].name == name), None)
        if running is not None:
            self._running.remove(running)
            step, since = running
            self.record(replace(step, state=state, seconds=time.monotonic() - since))

    def record(self, step: Step) -> None:
        """Record a step's new state and announce it."""
        self.steps[step.name] = step
        self._announce(step, "")

    def _log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def last_words(log: Path) -> tuple[str, str]:
    """The exception that ended a step, as (kind, message); ("", last line) if its log shows none."""
    lines = [COLOUR.sub("", line).rstrip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    raised = [match for line in lines if (match := EXCEPTION.match(line.removeprefix("    ").strip())) and match[3]]
    if raised:
        return raised[-1]["kind"].rpartition(".")[2], raised[-1]["message"]
    spoken = [line.strip() for line in lines if line.strip(" -")]
    return "", spoken[-1] if spoken else "no output"


def announce_plainly(step: Step, progress: str) -> None:
    """Print one line on standard error when a step ends, and its progress until then."""
    if progress:
        print(f"    {step.name}: {progress}", file=sys.stderr, flush=True)
    elif step.state != "running":
        print(step, file=sys.stderr, flush=True)
