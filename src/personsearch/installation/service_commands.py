"""The command that starts each service of an installation, and the check that it answers."""

import http.client
import json
import os
import sys
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import grpc

from personsearch.addresses import direct_opener
from personsearch.installation.leadership import is_of_process
from personsearch.installation.promoter_memory import read_memory
from personsearch.installation.service_records import ServiceRecord, holds_its_port, installation_id
from personsearch.installation.settings import Settings
from personsearch.integrations.milvus.server import server_command
from personsearch.processes import HOST

ServiceName = Literal["mlflow", "milvus", "serving", "promoter"]
Command = Callable[[Path, int], list[str]]
Answers = Callable[[Path, ServiceRecord, float], bool]
ANSWER_SECONDS = 2.0
STANDARD_INPUT = "0"
CONNECTION = "serving.connections:Connection"


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """A service: its title, default port (0: it has none), command and health check.

    One that `takes_socket` finds its listening socket as standard input, so nobody can take its port before it does.
    """

    title: str
    port: int
    command: Command
    answers: Answers
    takes_socket: bool = False

    def address(self, port: int) -> str:
        return f"http://{HOST}:{port}" if self.port else ""


def environment(home: Path) -> dict[str, str]:
    """A service's environment: its installation and a limit on threads.

    It reads the addresses of the others in the list of services, because they may change while it runs.
    """
    threads = str(max(1, (os.cpu_count() or 2) // 2))
    told = {
        "OMP_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return {**told, **os.environ, "PERSONSEARCH_HOME": str(home)}


def _mlflow(home: Path, port: int) -> list[str]:
    # On loopback MLflow's own guards suffice: it answers to local host names and local origins only.
    store = ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"]
    artifacts = ["--artifacts-destination", (home / "mlflow-artifacts").as_uri()]
    network = ["--host", HOST, "--port", str(port), "--workers", "1", "--uvicorn-opts", f"--fd {STANDARD_INPUT}"]
    return [sys.executable, "-m", "mlflow", "server", *network, *store, *artifacts]


def _milvus(home: Path, port: int) -> list[str]:
    return server_command(home / "milvus.db", port, installation_id(home))


def _serving(_: Path, __: int) -> list[str]:
    network = ["--fd", STANDARD_INPUT, "--http", CONNECTION, "--no-server-header", "--timeout-graceful-shutdown", "10"]
    return [sys.executable, "-m", "uvicorn", "--factory", "serving.app:application", *network]


def _promoter(_: Path, __: int) -> list[str]:
    return [sys.executable, "-m", "personsearch", "promoter"]


def _mlflow_answers(_: Path, record: ServiceRecord, __: float) -> bool:
    return holds_its_port(record) and _get(f"{record.address}/health") is not None


def _milvus_answers(_: Path, record: ServiceRecord, __: float) -> bool:
    """It holds its port before it answers there."""
    if not holds_its_port(record):
        return False
    with grpc.insecure_channel(f"{HOST}:{record.port}", [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(ANSWER_SECONDS)
        except grpc.FutureTimeoutError:
            return False
    return True


def _serving_answers(home: Path, record: ServiceRecord, _: float) -> bool:
    answer = _get(f"{record.address}/healthz") if holds_its_port(record) else None
    return answer is not None and json.loads(answer).get("installation") == installation_id(home)


def _get(address: str) -> bytes | None:
    """The body of the answer of a service of this machine, None if it does not answer or answers with an error."""
    try:
        with direct_opener().open(address, timeout=ANSWER_SECONDS) as response:
            body: bytes = response.read()
            return body
    except (OSError, urllib.error.URLError, http.client.HTTPException):
        return None


def _has_looked(home: Path, record: ServiceRecord, since: float) -> bool:
    own = [beat for beat in read_memory(Settings(home=home)).heartbeats if is_of_process(beat.holder, record.pid)]
    return any(beat.age <= time.time() - since + 1.0 for beat in own)


KINDS: dict[ServiceName, ServiceKind] = {
    "mlflow": ServiceKind("MLflow", 5000, _mlflow, _mlflow_answers, takes_socket=True),
    "milvus": ServiceKind("Milvus Lite", 19530, _milvus, _milvus_answers),
    "serving": ServiceKind("search", 8080, _serving, _serving_answers, takes_socket=True),
    "promoter": ServiceKind("promoter", 0, _promoter, _has_looked),
}
