"""The command that starts each service of an installation, and the check that it answers."""

import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from personsearch.installation.promoter import HEARTBEAT
from personsearch.integrations.milvus.server import server_command
from personsearch.processes import HOST, is_listening

ServiceName = Literal["mlflow", "milvus", "serving", "promoter"]
Command = Callable[[Path, int], list[str]]
ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """A service: its title, default port (0: it has none), command and health check."""

    title: str
    port: int
    command: Command
    answers: Callable[[Path, str, float], bool]

    def address(self, port: int) -> str:
        return f"http://{HOST}:{port}" if self.port else ""


def environment(home: Path, addresses: Mapping[str, str]) -> dict[str, str]:
    """A service's environment: its installation, the addresses of the others, and a limit on threads."""
    threads = str(max(1, (os.cpu_count() or 2) // 2))
    told = {
        "PERSONSEARCH_HOME": str(home),
        "OMP_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    uris = {f"PERSONSEARCH_{name.upper()}_URI": uri for name, uri in addresses.items() if name in ("mlflow", "milvus")}
    return {**told, **os.environ, "PERSONSEARCH_HOME": str(home), **uris}


def _mlflow(home: Path, port: int) -> list[str]:
    # On loopback MLflow's own guards suffice: it answers to local host names and local origins only.
    store = ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"]
    artifacts = ["--artifacts-destination", (home / "mlflow-artifacts").as_uri()]
    network = ["--host", HOST, "--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "server", *network, *store, *artifacts]


def _milvus(home: Path, port: int) -> list[str]:
    return server_command(home / "milvus.db", port)


def _serving(_: Path, port: int) -> list[str]:
    network = ["--host", HOST, "--port", str(port), "--no-server-header", "--timeout-graceful-shutdown", "10"]
    return [sys.executable, "-m", "uvicorn", "--factory", "serving.app:application", *network]


def _promoter(_: Path, __: int) -> list[str]:
    return [sys.executable, "-m", "personsearch", "promoter"]


def _answers_at(path: str) -> Callable[[Path, str, float], bool]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answers(_: Path, address: str, __: float) -> bool:
        try:
            with opener.open(address + path, timeout=ANSWER_SECONDS) as response:
                return bool(response.status == http.client.OK)
        except (OSError, urllib.error.URLError, http.client.HTTPException):
            return False

    return answers


def _listens(_: Path, address: str, __: float) -> bool:
    return is_listening(int(address.rpartition(":")[2]))


def _has_looked(home: Path, _: str, since: float) -> bool:
    heartbeat = home / HEARTBEAT
    return heartbeat.exists() and heartbeat.stat().st_mtime >= since - 1.0 and time.time() >= since


KINDS: dict[ServiceName, ServiceKind] = {
    "mlflow": ServiceKind("MLflow", 5000, _mlflow, _answers_at("/health")),
    "milvus": ServiceKind("Milvus Lite", 19530, _milvus, _listens),
    "serving": ServiceKind("search", 8080, _serving, _answers_at("/healthz")),
    "promoter": ServiceKind("promoter", 0, _promoter, _has_looked),
}
