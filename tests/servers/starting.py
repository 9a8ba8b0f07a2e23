"""What tests need to start a server: a free port, and waiting until it answers."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from personsearch.errors import UserError
from personsearch.processes import HOST, last_line

START_SECONDS = 180.0


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    """Return once a server of ours is ready.

    Raises:
        UserError: it ended or took too long; the message ends with the last line of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"{name} did not start: {last_line(log) or 'it printed nothing'}")
        time.sleep(0.1)


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
