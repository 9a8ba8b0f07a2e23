"""Child processes on this machine: servers and when they answer, commands of our own, and why they failed."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from personsearch.errors import UserError

HOST = "127.0.0.1"
START_SECONDS = 180.0
TAIL_BYTES = 4096


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    """Return once a server of ours is ready.

    Raises:
        UserError: it ended or took too long; the message ends with the last line of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"{name} did not start: {last_line(log) or 'it said nothing'}")
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


def run_python(*arguments: str, echo: bool = False) -> str:
    """Run this Python in a process of its own and return what it printed; `echo` passes its log on at the end.

    Raises:
        UserError: it failed; the message says why.
    """
    command = [sys.executable, *arguments]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if echo:
        sys.stderr.write(result.stderr)
    if result.returncode:
        raise UserError(why_it_failed(result.returncode, _last_line(result.stderr)))
    return result.stdout


def why_it_failed(code: int, last_words: str) -> str:
    """Why a command of ours failed, by its exit code (a negative one is a signal) and the last line of its output."""
    if code < 0:
        return f"killed by signal {-code}"
    return last_words.removeprefix("personsearch: ") or f"ended with exit code {code}"


def last_line(log: Path) -> str:
    """The last line of a log, "" if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return _last_line(file.read().decode("utf-8", "replace"))
    except OSError:
        return ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
