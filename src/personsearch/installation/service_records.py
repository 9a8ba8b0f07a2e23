"""The list of an installation's services on this machine, from which every command learns their addresses.

<home>/services.json   {"milvus": {"pid": …, "started": …, "address": "http://127.0.0.1:19530", "log": …}, …}
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from personsearch.errors import UserError
from personsearch.files import write_json

RECORDS = "services.json"


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A process that was started. `started` is the kernel's start time, because process ids are reused."""

    pid: int
    started: str
    address: str
    log: str

    @property
    def port(self) -> int:
        """0 for a service without an address."""
        return int(self.address.rpartition(":")[2] or 0)


def read_records(home: Path) -> dict[str, ServiceRecord]:
    """The recorded services by name, running or not.

    Raises:
        UserError: the file cannot be understood.
    """
    path = home / RECORDS
    if not path.exists():
        return {}
    try:
        return {name: ServiceRecord(**values) for name, values in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a list of services: {error}; delete it if no service is running") from error


def write_records(home: Path, records: Mapping[str, ServiceRecord]) -> None:
    """Replace the list."""
    write_json(home / RECORDS, {name: asdict(record) for name, record in records.items()})


def is_running(record: ServiceRecord) -> bool:
    """Whether the recorded process, and not another one with its id, is still running."""
    return bool(record.started) and start_of_process(record.pid) == record.started


def running_address(home: Path, name: str) -> str | None:
    """The address of a service of this installation, None if it is not running."""
    record = read_records(home).get(name)
    return record.address if record is not None and is_running(record) else None


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
