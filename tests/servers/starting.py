"""What tests need to start a server: a free port, and waiting until it answers."""

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from personsearch.errors import UserError
from personsearch.processes import last_line, listen

START_SECONDS = 180.0
PORTS = range(20_000, 32_000)  # below those that systems give to outgoing connections, which would take one at any time


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
    """A free port of this machine, for a server that binds it itself; others hardly choose the same meanwhile."""
    while True:
        if listener := listen(random.choice(PORTS)):
            with listener:
                return int(listener.getsockname()[1])
