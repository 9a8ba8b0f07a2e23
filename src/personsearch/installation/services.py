"""Start, find and stop the services of one machine: MLflow, Milvus Lite's server, the search service, the promoter.

They are detached processes with logs in `<home>/logs`, listed in `<home>/services.json`. Starting is idempotent:
running services are left alone, dead ones restart at their old address, or at another where a stranger took it. Only
processes that are provably ours are believed and stopped.
"""

import hashlib
import json
import logging
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from personsearch.addresses import hide_credentials
from personsearch.errors import UserError
from personsearch.files import alone, private_file, private_folder
from personsearch.installation.api_keys import local_key
from personsearch.installation.service_commands import KINDS, ServiceName, environment
from personsearch.installation.service_records import (
    ServiceRecord,
    ensure_installation_id,
    is_running,
    read_records,
    start_of_process,
    write_records,
)
from personsearch.installation.settings import Settings
from personsearch.integrations.milvus.server import PORT_TAKEN
from personsearch.processes import last_line, listen

logger = logging.getLogger(__name__)

LOCK = "services.lock"  # held by a command that starts or stops services, so that two of them take turns
START_SECONDS = 240.0
STOP_SECONDS = 15.0
PORT_SECONDS = 2.0
PORTS_TRIED = 100
MOST_STARTS = 6  # of a service whose port somebody else takes each time
PRIVATE_UMASK = 0o077
PERSONAL = ("gallery", "logs", "mlflow.db", "mlflow-artifacts", "milvus.db", "audit.jsonl", "audit-heads")
EVERY_SERVICE: tuple[ServiceName, ...] = ("mlflow", "milvus", "serving", "promoter")
ONE_SHOT_SERVICES: tuple[ServiceName, ...] = ("mlflow", "milvus", "serving")
FOLLOWERS: tuple[ServiceName, ...] = ("serving", "promoter")  # they read from the other two

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Services:
    """Where the services of an installation answer, as people may see it, and the key of the person at this machine."""

    mlflow_uri: str
    milvus_uri: str
    serving_uri: str
    api_key: str


@dataclass(frozen=True, slots=True)
class Start:
    """When a service was started, and its process; 0.0 and None if it ran already."""

    since: float
    process: subprocess.Popen[bytes] | None


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
    private_folder(home)
    if readable := _open_to_others(home):
        report(f"{', '.join(readable)}: every user of this machine can read it; `chmod -R o= {home}` ends that")
    key = local_key(Settings(home=home))
    ensure_installation_id(home)
    elsewhere = _elsewhere()
    with alone(home / LOCK):
        # The promoter comes last: what it saw before the others answered would be its state until it looks again.
        for group in ([name for name in names if name != "promoter"], [name for name in names if name == "promoter"]):
            started = {name: _ensure(home, name, elsewhere, report) for name in group if name not in elsewhere}
            for name, start in started.items():
                address = _wait_until_it_answers(home, name, start, report)
                report(f"{KINDS[name].title}: {address or 'running'}")
    shown = {name: hide_credentials(address) for name, address in elsewhere.items()}
    addresses = {name: record.address for name, record in read_records(home).items()} | shown
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


def _ensure(home: Path, name: ServiceName, elsewhere: Mapping[str, str], report: Report) -> Start:
    """Start a service if it is not running."""
    record = read_records(home).get(name)
    told = _fingerprint(elsewhere)
    if record is not None and is_running(record):
        if record.elsewhere == told or name not in FOLLOWERS:
            return Start(0.0, None)
        report(f"{KINDS[name].title}: restarting, because PERSONSEARCH_MLFLOW_URI or PERSONSEARCH_MILVUS_URI changed")
        _stop(record)
    else:
        report(f"{KINDS[name].title}: starting …")
    since = time.time()
    return Start(since, _start(home, name, record.port if record else 0, told))


def _start(home: Path, name: ServiceName, earlier_port: int, elsewhere: str) -> subprocess.Popen[bytes]:
    """Start the process of a service, at its earlier port if that is free (0: there is none), and record it."""
    kind = KINDS[name]
    listener = _listener(kind.port, earlier_port) if kind.port else None
    port = listener.getsockname()[1] if listener else 0
    if listener and not kind.takes_socket:
        listener.close()
    log = home / "logs" / f"{name}.log"
    private_folder(log.parent)
    private_file(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            kind.command(home, port),
            stdin=listener.fileno() if listener and kind.takes_socket else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(home),
            start_new_session=True,
            umask=PRIVATE_UMASK,
        )
    if listener:
        listener.close()
    record = ServiceRecord(
        process.pid, start_of_process(process.pid), kind.address(port), str(log), elsewhere, str(home)
    )
    write_records(home, {**read_records(home), name: record})
    return process


def _wait_until_it_answers(home: Path, name: ServiceName, start: Start, report: Report) -> str:
    """Its address, once it answers. One that found its port taken is started again at one that is free by then."""
    deadline, process, starts = time.monotonic() + START_SECONDS, start.process, 1
    while True:
        record = read_records(home)[name]
        if KINDS[name].answers(home, record, start.since):
            return record.address
        ended = not is_running(record)
        # Its own word counts, not a look at the port: who took it may have let go of it since.
        if ended and process is not None and _exit_code(process) == PORT_TAKEN and starts < MOST_STARTS:
            report(f"{KINDS[name].title}: somebody else took port {record.port}; starting again …")
            process = _start(home, name, _any_port(name), record.elsewhere)
            deadline, starts = time.monotonic() + START_SECONDS, starts + 1
        elif ended or time.monotonic() > deadline:
            what = "ended" if ended else f"does not answer after {START_SECONDS:.0f} s"
            said = last_line(Path(record.log)) or "it said nothing"
            raise UserError(f"{KINDS[name].title} {what}: {said} (see {record.log})")
        time.sleep(0.2)


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """Of a process that is ending: its entry in the process table goes a moment before its exit code is there."""
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _state(home: Path, name: ServiceName, record: ServiceRecord) -> str:
    if not is_running(record):
        return "stopped"
    return "answers" if KINDS[name].answers(home, record, 0.0) else "starting"


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


def _any_port(name: ServiceName) -> int:
    """One of a service's ports by chance: others who lost the same race would all choose the next one."""
    return KINDS[name].port + random.randrange(PORTS_TRIED)


def _listener(usual: int, earlier: int) -> socket.socket:
    """A socket that listens at the earlier port (0: none), else at the usual one, else at the next free one."""
    if earlier and (listener := _listen_soon(earlier)):
        return listener
    for port in range(usual, usual + PORTS_TRIED):
        if listener := listen(port):
            return listener
    raise UserError(f"no free port between {usual} and {usual + PORTS_TRIED - 1}")


def _listen_soon(port: int) -> socket.socket | None:
    """A socket at a port that falls free shortly: a killed process closes its sockets a moment after it exits."""
    deadline = time.monotonic() + PORT_SECONDS
    while (listener := listen(port)) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return listener


def _open_to_others(home: Path) -> list[str]:
    """What holds personal data and can be read by others, because it was made before it was kept private."""
    if not home.stat().st_mode & 0o001:
        return []
    kept = [home / name for name in PERSONAL if (home / name).exists()]
    return [path.name for path in kept if path.stat().st_mode & 0o004]


def _fingerprint(elsewhere: Mapping[str, str]) -> str:
    """A hash, because an address may hold a password."""
    return hashlib.sha256(json.dumps(dict(elsewhere), sort_keys=True).encode()).hexdigest() if elsewhere else ""


def _elsewhere() -> dict[str, str]:
    settings = Settings()
    given = {"mlflow": settings.mlflow_uri, "milvus": settings.milvus_uri}
    return {name: uri for name, uri in given.items() if uri}
