"""Milvus Lite's server mode as a child process: one writer's database, readable by several processes."""

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from personsearch.errors import UserError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
START_SECONDS = 180.0
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class MilvusLiteServer:
    """A server started by `start_server`; `uri` is what MilvusStore takes."""

    process: subprocess.Popen[bytes]
    uri: str

    def stop(self) -> None:
        """End the server; acknowledged rows stay in its database."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def server_command(database: Path, port: int) -> list[str]:
    """The command that serves `database` on this machine only (its own default is every network interface)."""
    module = [sys.executable, "-m", "milvus_lite", "server"]
    return [*module, "--data-dir", str(database), "--host", HOST, "--port", str(port)]


def start_server(database: Path, *, port: int = 0, log: Path | None = None) -> MilvusLiteServer:
    """Start the server and wait until it answers. `port` 0 takes a free one.

    Raises:
        UserError: it ended or did not answer; the message ends with the last line of its log.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = log or database.with_suffix(".log")
    with log.open("ab") as output:
        command = server_command(database, port)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    server = MilvusLiteServer(process, f"http://{HOST}:{port}")
    try:
        wait_until(lambda: is_listening(port), process, log, f"{database}: Milvus Lite's server")
    except UserError:
        server.stop()
        raise
    logger.info("Milvus Lite serves %s at %s", database, server.uri)
    return server


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
