"""What recording costs a search: records a second by how they are written, with several processes at once.

Run: `python benchmarks/audit.py [--seconds 3]`. Four ways to write the same record, each durable before the next:

- file: a line of a file under a lock, flushed, which only processes of one machine can share;
- one by one: one chain in the database, a transaction for each record;
- chain: one chain, as the service writes it: records of one process that come at the same time share a transaction;
- no chain: a transaction for each record without the chain's lock: more than a chain for each process could reach.
"""

import argparse
import fcntl
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from personsearch.installation.audit.chain import Head, make_record
from personsearch.installation.audit.log import AuditLog, to_stored
from personsearch.integrations.database.audit import AuditTurn, DatabaseAudit
from personsearch.integrations.database.engine import Database
from personsearch.integrations.database.schema import migrate, open_database
from tests.servers.postgresql import postgresql

WRITERS = ((1, 1), (1, 8), (2, 8), (4, 8))  # processes, threads of each
WAYS = ("file", "one by one", "chain", "no chain")
RECORD = {
    "request_id": "c1d5a3d0c8a34c6f",
    "who": "team 7",
    "purpose": "case 17",
    "query": "a woman in a red jacket and blue jeans",
    "filters": {"cameras": ["junction"], "after": None, "before": None, "k": 20, "group_by_track": True},
    "results": [f"junction-2026-03-01T12-{number:06}" for number in range(20)],
    "scores": [0.123456] * 20,
    "leads": [0.012345] * 20,
}


def main() -> None:
    """Measure every way on every engine with more and more writers; `--address` makes this process one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--address")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.address:
        print(_write(options.address, options.way, options.threads, options.seconds))
        return
    header = [f"{processes} × {threads}" for processes, threads in WRITERS]
    table = Table("", "", *header, title="Records a second, by processes × threads")
    with postgresql(durable=True) as new_database, tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        table.add_row("file", "", *_rates(lambda n: f"{folder}/{n}.jsonl", "file", options.seconds))
        for engine in ("sqlite", "postgresql"):
            for way in WAYS[1:]:
                places = _files(Path(folder) / way) if engine == "sqlite" else (lambda _: new_database())
                table.add_row(engine, way, *_rates(_prepared(places), way, options.seconds))
    Console().print(table)


def _files(folder: Path) -> Callable[[int], str]:
    return lambda number: f"sqlite:///{folder / f'{number}.db'}"


def _prepared(address: Callable[[int], str]) -> Callable[[int], str]:
    def prepare(number: int) -> str:
        made = address(number)
        migrate(Database(made))
        return made

    return prepare


def _rates(address: Callable[[int], str], way: str, seconds: float) -> list[str]:
    rates = []
    for number, (processes, threads) in enumerate(WRITERS):
        given = ["--address", address(number), "--way", way, "--threads", str(threads), "--seconds", str(seconds)]
        command = [sys.executable, __file__, *given]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        writers = [subprocess.Popen(command, **pipes) for _ in range(processes)]  # type: ignore[call-overload]
        for writer in writers:
            writer.stdout.readline()  # it is ready
        written = sum(int(line) for line in _lines_after_start(writers))
        rates.append(f"{written / seconds:.0f}")
    return rates


def _lines_after_start(writers: list[subprocess.Popen[str]]) -> list[str]:
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("start\n")
        writer.stdin.flush()
    return [writer.communicate()[0] for writer in writers]


def _write(address: str, way: str, threads: int, seconds: float) -> int:
    append, counts = _appender(address, way), [0] * threads
    append()
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + seconds

    def write(thread: int) -> None:
        while time.monotonic() < end:
            append()
            counts[thread] += 1

    running = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(counts)


def _appender(address: str, way: str) -> Callable[[], object]:
    if way == "file":
        return lambda: _append_line(Path(address))
    database, alone = open_database(address), threading.Lock()
    log = AuditLog(DatabaseAudit(database))
    if way == "chain":
        return lambda: log.append("search", RECORD)
    return (lambda: _append_alone(log, alone)) if way == "one by one" else (lambda: _append_unchained(database))


def _append_line(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.write(file, json.dumps(make_record(Head(), "search", RECORD)).encode() + b"\n")
    os.fsync(file)
    os.close(file)


def _append_alone(log: AuditLog, alone: threading.Lock) -> None:
    with alone:
        log.append("search", RECORD)


def _append_unchained(database: Database) -> None:
    """A record at a random number, so that no writer waits for another but where the engine makes it wait."""
    record = to_stored(make_record(Head(random.getrandbits(60)), "search", RECORD))
    with database.writing() as connection:
        connection.execute(sa.text("SELECT 1"))  # as many round trips as the chain needs, less its lock
        AuditTurn(connection).add([record])


if __name__ == "__main__":
    main()
