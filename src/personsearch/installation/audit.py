"""The audit log: an append-only JSON Lines file in which every record carries the hash of the one before it.

    {"sequence": 7, "at": "…Z", "event": "search", …, "previous": "<hash of record 6>", "hash": "<hash of this one>"}

A record is on disk when `append` returns. A process killed while writing leaves a torn last line: the next writer ends
that line and appends a `seal` record with its SHA-256, so nothing written is ever removed and `verify` can still tell
an accident from a forgery. Cutting records off the end leaves a valid shorter chain, so keep the `head` that `verify`
reports somewhere else and pass it as `expected_head`.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from personsearch.errors import UserError
from personsearch.files import locked

GENESIS = "0" * 64
SEAL = "seal"
TORN_MARK = b" (torn)\n"  # a seal follows it, so even a line that lacked only its newline must not count as a record
TAIL_BLOCK = 65_536
MAX_TAIL = 64 * TAIL_BLOCK


class AuditUnavailable(Exception):
    """The log cannot be written, so the action to be logged must not happen."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a chain; `end` is the offset in the file just after it."""

    sequence: int
    hash: str
    end: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a check of a whole log found. `broken_line` is the first line that breaks the chain, with its reason."""

    records: int
    seals: int
    head: str
    torn_end: bool
    broken_line: int | None = None
    reason: str = ""

    @property
    def intact(self) -> bool:
        return self.broken_line is None and not self.reason


class AuditLog:
    """Appends to one log file. Any number of threads and processes may share the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._head = Head(sequence=0, hash=GENESIS, end=0)

    def append(self, event: str, values: Mapping[str, Any]) -> str:
        """Write one record and flush it to disk. Returns its hash.

        Raises:
            AuditUnavailable: the disk is full, the file cannot be opened, or its last record is damaged.
        """
        try:
            with self._lock, locked(self.path, mode=0o600) as file:
                head = self._sealed_head(file)
                self._head = _write(file, head, event, values)
                return self._head.hash
        except (OSError, ValueError) as error:
            raise AuditUnavailable(f"{self.path}: {error}") from error

    def find(self, event: str, request_id: str) -> dict[str, Any] | None:
        """The latest record of an event under a request id, None if there is none. Recent ones are found fastest.

        Raises:
            AuditUnavailable: the file cannot be read.
        """
        needle = f'"request_id": {json.dumps(request_id, ensure_ascii=False)}'.encode()
        try:
            with self.path.open("rb") as file:
                for line in _lines_backwards(file.fileno()):
                    record = _parse(line) if needle in line else None
                    if record is not None and (record["event"], record.get("request_id")) == (event, request_id):
                        return record
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AuditUnavailable(f"{self.path}: {error}") from error
        return None

    def records(self, event: str) -> Iterator[dict[str, Any]]:
        """Every record of an event, oldest first.

        Raises:
            AuditUnavailable: the file cannot be read.
        """
        needle = f'"event": {json.dumps(event)}'.encode()
        try:
            with self.path.open("rb") as file:
                for line in file:
                    record = _parse(line) if needle in line else None
                    if record is not None and record["event"] == event:
                        yield record
        except FileNotFoundError:
            return
        except OSError as error:
            raise AuditUnavailable(f"{self.path}: {error}") from error

    def _sealed_head(self, file: int) -> Head:
        """The chain's head; a torn last line is sealed first."""
        size = os.fstat(file).st_size
        if size == self._head.end:
            return self._head
        head, torn = _read_tail(file, size)
        if size == 0:
            _flush_folder(self.path.parent)
        if not torn:
            return head
        seal = {"torn_bytes": len(torn), "torn_sha256": hashlib.sha256(torn).hexdigest()}
        return _write(file, head, SEAL, seal, before=TORN_MARK)


def verify(path: Path, *, expected_head: str | None = None) -> AuditReport:
    """Check every record of a log against its own hash and the one before it.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _verify_lines(file, expected_head)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _verify_lines(lines: Iterable[bytes], expected_head: str | None) -> AuditReport:
    records = seals = 0
    head, torn = GENESIS, b""
    head_seen = expected_head in (None, GENESIS)
    for number, line in enumerate(lines, start=1):
        record = _parse(line)
        if record is None:
            torn += line
            continue
        if reason := _fault(record, head, records + 1, torn):
            return AuditReport(records, seals, head, False, number, reason)
        records, head = records + 1, record["hash"]
        seals, torn = seals + bool(torn), b""
        head_seen = head_seen or head == expected_head
    if b"\n" in torn.replace(TORN_MARK, b""):  # a writer ends a line as the last thing it does
        return AuditReport(records, seals, head, True, records + 1, "what follows the last record is no part of a log")
    missing = "" if head_seen else f"the chain does not contain {expected_head}: records were cut off or replaced"
    return AuditReport(records, seals, head, bool(torn), None, missing)


def _fault(record: dict[str, Any], previous: str, sequence: int, torn: bytes) -> str:
    """Why a record does not continue the chain, "" if it does."""
    if record["hash"] != _hash(record):
        return "the record was changed: its hash does not match"
    if record["previous"] != previous or record["sequence"] != sequence:
        return "the record does not follow the one before it: records were removed, inserted or reordered"
    sealed = record.get("torn_sha256") if record["event"] == SEAL else None
    expected = hashlib.sha256(torn.removesuffix(TORN_MARK)).hexdigest() if torn else None
    if sealed != expected:
        return "the line before is damaged and was not sealed" if torn else "a seal without the torn line it seals"
    return ""


def _parse(line: bytes) -> dict[str, Any] | None:
    """A complete record, None for anything else."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    fields = {"sequence": int, "event": str, "previous": str, "hash": str}
    if isinstance(record, dict) and all(isinstance(record.get(name), kind) for name, kind in fields.items()):
        return record
    return None


def _write(file: int, head: Head, event: str, values: Mapping[str, Any], *, before: bytes = b"") -> Head:
    record = {
        **values,
        "sequence": head.sequence + 1,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "event": event,
        "previous": head.hash,
    }
    record["hash"] = _hash(record)
    line = before + json.dumps(record, ensure_ascii=False).encode() + b"\n"
    written = os.write(file, line)
    if written != len(line):
        raise OSError(f"only {written} of {len(line)} bytes were written")
    os.fsync(file)
    return Head(record["sequence"], record["hash"], os.fstat(file).st_size)


def _hash(record: Mapping[str, Any]) -> str:
    content = {name: value for name, value in record.items() if name != "hash"}
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read_tail(file: int, size: int) -> tuple[Head, bytes]:
    """The chain's head, and the bytes after it that are not a record (b"" if the log ends cleanly)."""
    tail, start = b"", size
    while start > 0:
        step = min(TAIL_BLOCK, start)
        start -= step
        tail = os.pread(file, step, start) + tail
        lines = tail.splitlines(keepends=True)
        for index in range(len(lines) - 1, -1 if start == 0 else 0, -1):
            if record := _parse(lines[index]):
                return _checked_head(record, size), b"".join(lines[index + 1 :])
        if len(tail) > MAX_TAIL:
            raise ValueError(f"its last {MAX_TAIL:,} bytes hold no record; run `personsearch audit verify`")
    return Head(0, GENESIS, size), tail


def _lines_backwards(file: int) -> Iterator[bytes]:
    start, rest = os.fstat(file).st_size, b""
    while start > 0:
        step = min(TAIL_BLOCK, start)
        start -= step
        rest, *lines = (os.pread(file, step, start) + rest).splitlines(keepends=True)
        yield from reversed(lines)
    yield rest


def _checked_head(record: dict[str, Any], end: int) -> Head:
    if record["hash"] != _hash(record):
        raise ValueError("its last record was changed; run `personsearch audit verify`")
    return Head(record["sequence"], record["hash"], end)


def _flush_folder(folder: Path) -> None:
    """Flush the folder, so that a new file's name is as durable as its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
