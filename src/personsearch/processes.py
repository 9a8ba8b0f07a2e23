"""Servers that run as child processes on this machine: ports, waiting until they answer, their last words."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from personsearch.errors import UserError

HOST = "127.0.0.1"
START_SECONDS = 180.0


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    """Return once a server of ours is ready.

    Raises:
        UserError: it ended or took too long; the message ends with the last line of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"{name} did not start: {last_line(log)}")
        time.sleep(0.1)


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_listening(port: int, host: str = HOST) -> bool:
    """Whether something accepts connections at this address."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def last_line(log: Path) -> str:
    """The last line of a log, for an error message."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
