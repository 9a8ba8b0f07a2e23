"""Start, find and stop the services of one machine: MLflow, Milvus Lite's server, the search service, the promoter.

They are detached processes with logs in `<home>/logs`, listed in `<home>/services.json`. Starting is idempotent:
running services are left alone, dead ones restart at their old address. Only processes that are provably ours are
stopped.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from personsearch.errors import UserError
from personsearch.files import alone
from personsearch.installation.api_keys import local_key
from personsearch.installation.service_commands import KINDS, ServiceName, environment
from personsearch.installation.service_records import (
    ServiceRecord,
    is_running,
    read_records,
    start_of_process,
    write_records,
)
from personsearch.installation.settings import Settings
from personsearch.processes import is_listening, last_line

logger = logging.getLogger(__name__)

LOCK = "services.lock"  # held by a command that starts or stops services, so that two of them take turns
START_SECONDS = 240.0
STOP_SECONDS = 15.0
PORT_SECONDS = 2.0
PORTS_TRIED = 100
EVERY_SERVICE: tuple[ServiceName, ...] = ("mlflow", "milvus", "serving", "promoter")
ONE_SHOT_SERVICES: tuple[ServiceName, ...] = ("mlflow", "milvus", "serving")

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Services:
    """Where the services of an installation answer, and the key of the person at this machine."""

    mlflow_uri: str
    milvus_uri: str
    serving_uri: str
    api_key: str


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One service as `status` shows it."""

    name: str
    state: str
    address: str
    pid: int
    log: str


def start_services(
    home: Path, names: Sequence[ServiceName] = ONE_SHOT_SERVICES, *, report: Report = logger.info
) -> Services:
    """Start the services that are not running and wait until all of them answer. A service whose address is set in the
    environment (`PERSONSEARCH_MLFLOW_URI`, `PERSONSEARCH_MILVUS_URI`) runs elsewhere and is not started.

    Raises:
        UserError: a service ended or did not answer in time; the message ends with the last line of its log.
    """
    home = home.resolve()
    key = local_key(home)
    elsewhere = _elsewhere()
    with alone(home / LOCK):
        started = [_ensure(home, name, elsewhere, report) for name in names if name not in elsewhere]
        for name, record, since in started:
            _wait_until_it_answers(home, name, record, since)
            report(f"{KINDS[name].title}: {record.address or 'running'}")
    addresses = {name: record.address for name, record in read_records(home).items()} | elsewhere
    return Services(
        mlflow_uri=addresses.get("mlflow", ""),
        milvus_uri=addresses.get("milvus", ""),
        serving_uri=addresses.get("serving", ""),
        api_key=key,
    )


def stop_services(home: Path, *, report: Report = logger.info) -> list[str]:
    """Stop what `start_services` started, dependent services first. Returns the names of those that were running."""
    home = home.resolve()
    stopped: list[str] = []
    with alone(home / LOCK):
        records = read_records(home)
        for name in reversed([name for name in EVERY_SERVICE if name in records]):
            if is_running(records[name]):
                _stop(records[name])
                stopped.append(name)
                report(f"{KINDS[name].title}: stopped")
            del records[name]
            write_records(home, records)
    return stopped


def service_states(home: Path) -> list[ServiceState]:
    """Every service that was started: `answers`, `starting` (it runs but does not answer) or `stopped`."""
    home = home.resolve()
    records = read_records(home)
    known = [(name, records[name]) for name in EVERY_SERVICE if name in records]
    return [
        ServiceState(name, _state(home, name, record), record.address, record.pid, record.log) for name, record in known
    ]


def _ensure(
    home: Path, name: ServiceName, elsewhere: Mapping[str, str], report: Report
) -> tuple[ServiceName, ServiceRecord, float]:
    """The process of a service, started if it is not running, and the time of that start (0.0: it ran already)."""
    records = read_records(home)
    record = records.get(name)
    if record is not None and is_running(record):
        return name, record, 0.0
    port = _free_port(KINDS[name].port, record)
    addresses = {known: value.address for known, value in records.items()} | dict(elsewhere)
    since = time.time()
    report(f"{KINDS[name].title}: starting …")
    record = _start(home, name, port, addresses)
    write_records(home, {**records, name: record})
    return name, record, since


def _start(home: Path, name: ServiceName, port: int, addresses: Mapping[str, str]) -> ServiceRecord:
    log = home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            KINDS[name].command(home, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(home, addresses),
            start_new_session=True,
        )
    return ServiceRecord(process.pid, start_of_process(process.pid), KINDS[name].address(port), str(log))


def _wait_until_it_answers(home: Path, name: ServiceName, record: ServiceRecord, since: float) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not KINDS[name].answers(home, record.address, since):
        ended = not is_running(record)
        if ended or time.monotonic() > deadline:
            what = "ended" if ended else f"does not answer after {START_SECONDS:.0f} s"
            said = last_line(Path(record.log)) or "it said nothing"
            raise UserError(f"{KINDS[name].title} {what}: {said} (see {record.log})")
        time.sleep(0.2)


def _state(home: Path, name: ServiceName, record: ServiceRecord) -> str:
    if not is_running(record):
        return "stopped"
    return "answers" if KINDS[name].answers(home, record.address, 0.0) else "starting"


def _stop(record: ServiceRecord) -> None:
    """Send SIGTERM to the process and its session, and SIGKILL if they do not exit in time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_running(record):
            break
        with suppress(ProcessLookupError):
            os.killpg(record.pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while is_running(record) and time.monotonic() < deadline:
            time.sleep(0.05)
    with suppress(ChildProcessError):
        os.waitpid(record.pid, os.WNOHANG)


def _free_port(usual: int, record: ServiceRecord | None) -> int:
    """The port used last time, else the default one, else the next free one."""
    if usual == 0:
        return 0
    if record is not None and record.port and _falls_free(record.port):
        return record.port
    for port in range(usual, usual + PORTS_TRIED):
        if not is_listening(port):
            return port
    raise UserError(f"no free port between {usual} and {usual + PORTS_TRIED - 1}")


def _falls_free(port: int) -> bool:
    """Whether the port is free or becomes free shortly: a killed process closes its sockets a moment after it exits."""
    deadline = time.monotonic() + PORT_SECONDS
    while is_listening(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _elsewhere() -> dict[str, str]:
    settings = Settings()
    given = {"mlflow": settings.mlflow_uri, "milvus": settings.milvus_uri}
    return {name: uri for name, uri in given.items() if uri}
