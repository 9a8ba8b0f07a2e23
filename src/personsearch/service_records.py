"""Which services of an installation run on this machine, so that every command finds them without being told.

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
    """A process that was started. `started` is the system's word for when, since numbers of processes come again."""

    pid: int
    started: str
    address: str
    log: str

    @property
    def port(self) -> int:
        """0 for a service without address."""
        return int(self.address.rpartition(":")[2] or 0)


def read_records(home: Path) -> dict[str, ServiceRecord]:
    """What was started, running or not, by name.

    Raises:
        UserError: the file cannot be understood.
    """
    path = home / RECORDS
    if not path.exists():
        return {}
    try:
        return {name: ServiceRecord(**values) for name, values in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a list of services: {error}; remove it if nothing runs") from error


def write_records(home: Path, records: Mapping[str, ServiceRecord]) -> None:
    """Replace the list."""
    write_json(home / RECORDS, {name: asdict(record) for name, record in records.items()})


def is_running(record: ServiceRecord) -> bool:
    """Whether the very process that was recorded still runs."""
    return bool(record.started) and start_of_process(record.pid) == record.started


def running_address(home: Path, name: str) -> str | None:
    """The address of a service of this installation, None where it does not run."""
    record = read_records(home).get(name)
    return record.address if record is not None and is_running(record) else None


def start_of_process(pid: int) -> str:
    """When a process was started, in the system's own words; "" where it is gone or a zombie."""
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
