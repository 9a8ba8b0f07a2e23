"""Runs `personsearch` commands in subprocesses, each on its share of the machine, and measures their cost."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

COMMAND = (sys.executable, "-m", "personsearch")
KIB_PER_MIB = 1024
MLFLOW_RUN = "MLFLOW_RUN_ID"
SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """A share of the machine: a number of CPU threads, and the index of a GPU if there is one."""

    threads: int
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. A negative code is the signal that killed it; the peak memory is 0 if unknown."""

    code: int
    seconds: float
    peak_memory_mib: float


class Runner(Protocol):
    """Runs `personsearch` with `arguments`, its output appended to `log`; the descriptor `lock` is inherited."""

    def __call__(self, arguments: Sequence[str], log: Path, place: Place, *, lock: int) -> Ended: ...


class Subprocesses:
    """The Runner of real studies. `stop` may be called from any thread."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._running: set[subprocess.Popen[bytes]] = set()
        self._mutex = threading.Lock()

    def __call__(self, arguments: Sequence[str], log: Path, place: Place, *, lock: int) -> Ended:
        started = time.monotonic()
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(place),
                pass_fds=[lock],
            )
        with self._mutex:
            self._running.add(process)
        peak = _wait(process)
        with self._mutex:
            self._running.discard(process)
        return Ended(process.returncode, time.monotonic() - started, peak)

    def stop(self) -> None:
        """Ask every running process to end."""
        with self._mutex:
            for process in self._running:
                process.terminate()


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process to end; returns the peak of its memory in MiB.

    The peak is polled while the process runs: the kernel's figure for an ended child starts at its parent's memory.
    """
    peak = 0.0
    while True:
        peak = max(peak, _peak_memory_mib(process.pid))
        try:
            process.wait(SECONDS_BETWEEN_LOOKS)
            return peak
        except subprocess.TimeoutExpired:
            continue


def _peak_memory_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    known = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(known[0]) / KIB_PER_MIB if known else 0.0


def _environment(place: Place) -> dict[str, str]:
    """The environment that keeps a process to its share: idle threads sleep, and each run has its own MLflow run."""
    given = {name: value for name, value in os.environ.items() if name != MLFLOW_RUN}
    given |= {"OMP_NUM_THREADS": str(place.threads), "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    return given if place.gpu is None else given | {"CUDA_VISIBLE_DEVICES": str(place.gpu)}
