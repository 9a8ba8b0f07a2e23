"""Milvus Lite's server mode as a child process of a test."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import grpc

from personsearch.errors import UserError
from personsearch.integrations.milvus.server import server_command
from personsearch.processes import HOST
from tests.servers.starting import free_port, wait_until

ANSWER_SECONDS = 1.0
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


def start_server(database: Path, *, port: int = 0, log: Path | None = None) -> MilvusLiteServer:
    """Start the server and wait until it answers. `port` 0 takes a free one.

    Raises:
        UserError: it ended or did not answer; the message holds the last of what it said.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = log or database.with_suffix(".log")
    with log.open("ab") as output:
        command = server_command(database, port)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    server = MilvusLiteServer(process, f"http://{HOST}:{port}")
    try:
        wait_until(lambda: answers(port), process, log, f"{database}: Milvus Lite's server")
    except UserError:
        server.stop()
        raise
    return server


def answers(port: int) -> bool:
    """Whether the server answers: its port listens before it has opened the database."""
    with grpc.insecure_channel(f"{HOST}:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(ANSWER_SECONDS)
        except grpc.FutureTimeoutError:
            return False
    return True
