"""The list of an installation's services on this machine, from which every command learns their addresses.

<home>/services.json     {"milvus": {"pid": …, "started": …, "address": "http://127.0.0.1:19530", "log": …}, …}
<home>/installation_id   a random name, by which services and clients tell this installation from others
"""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from personsearch.errors import UserError
from personsearch.files import replacing, write_json
from personsearch.processes import holds_port

RECORDS = "services.json"
INSTALLATION_ID = "installation_id"


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A process that was started, as the leader of a session of its own.

    `started` is the kernel's start time, because process ids are reused; `elsewhere` is a hash of the addresses of
    services that run elsewhere, as this one was told them; `home` is the folder that it was started for.
    """

    pid: int
    started: str
    address: str
    log: str
    elsewhere: str = ""
    home: str = ""

    @property
    def port(self) -> int:
        """0 for a service without an address."""
        return int(self.address.rpartition(":")[2] or 0)


def read_records(home: Path) -> dict[str, ServiceRecord]:
    """The recorded services by name, running or not. In a copy of a home, those of the original are left out.

    Raises:
        UserError: the file cannot be understood.
    """
    path = home / RECORDS
    if not path.exists():
        return {}
    try:
        records = {name: ServiceRecord(**values) for name, values in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a list of services: {error}; delete it if no service is running") from error
    return {name: record for name, record in records.items() if not _is_of_another(record, home)}


def write_records(home: Path, records: Mapping[str, ServiceRecord]) -> None:
    """Replace the list."""
    write_json(home / RECORDS, {name: asdict(record) for name, record in records.items()})


def _is_of_another(record: ServiceRecord, home: Path) -> bool:
    """Whether it serves another folder, which is still there: a home that was moved takes its services along."""
    return bool(record.home) and Path(record.home) != home.resolve() and Path(record.home).is_dir()


def is_running(record: ServiceRecord) -> bool:
    """Whether the recorded process, and not another one with its id, is still running."""
    return bool(record.started) and start_of_process(record.pid) == record.started


def holds_its_port(record: ServiceRecord) -> bool:
    """Whether it is our process that listens at the recorded address."""
    return is_running(record) and holds_port(record.pid, record.port)


def running_address(home: Path, name: str) -> str | None:
    """The address of a service that was started for this installation, None if none was.

    Raises:
        UserError: it was started, but has ended or does not listen yet; what listens at its address is a stranger.
    """
    record = read_records(home).get(name)
    if record is None:
        return None
    if not is_running(record):
        raise UserError(
            f"{name} of {home} has ended (see {record.log}); `personsearch up` starts it again, "
            "`personsearch down` forgets it"
        )
    if not holds_its_port(record):
        raise UserError(f"{name} of {home} does not listen at {record.address} yet; try again in a moment")
    return record.address


def address_if_running(home: Path, name: str) -> str | None:
    """The address of a service of this installation, None if it does not run."""
    record = read_records(home).get(name)
    return record.address if record is not None and holds_its_port(record) else None


def installation_id(home: Path) -> str:
    """The id of an installation, "" if no service was ever started for it."""
    try:
        return (home / INSTALLATION_ID).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def ensure_installation_id(home: Path) -> str:
    """The id of an installation; the first call makes it."""
    if not installation_id(home):
        with replacing(home / INSTALLATION_ID) as temporary:
            temporary.write_text(f"{secrets.token_hex(8)}\n", encoding="utf-8")
    return installation_id(home)


def start_of_process(pid: int) -> str:
    """The kernel's start time of a process; "" if it is gone or a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        if Path("/proc/self/stat").exists():
            fields = stat.read_text().rpartition(")")[2].split()
            return "" if fields[0] == "Z" else fields[19]
    except OSError:
        return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return result.stdout.strip()
