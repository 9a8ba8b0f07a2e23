"""The chain: every record carries the hash of the one before it.

    {"sequence": 7, "at": "…Z", "event": "search", …, "previous": "<hash of record 6>", "hash": "<hash of this one>"}

A file of records may have a torn line, left by a writer that was killed: a `seal` record with its SHA-256 follows it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

GENESIS = "0" * 64
SEAL = "seal"
FIELDS = {"sequence": int, "event": str, "previous": str, "hash": str}


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a chain."""

    sequence: int = 0
    hash: str = GENESIS


START = Head()


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it was read, with the bytes of the torn line before it.

    `number` is its line in a file or its row in a database; `fault` says what is wrong with that place.
    """

    number: int
    record: dict[str, Any]
    torn: bytes = b""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a check of a whole chain found.

    `broken_at` is the first line of a file, or record of a database, that breaks it; `anchors` counts the heads kept
    elsewhere that it was compared with.
    """

    records: int
    seals: int
    head: str
    torn_end: bool = False
    anchors: int = 0
    broken_at: int | None = None
    reason: str = ""

    @property
    def intact(self) -> bool:
        return self.broken_at is None and not self.reason


class ChainCheck:
    """Follows a chain record by record, and compares it with heads that were kept elsewhere, in their order."""

    def __init__(self, anchored: Iterable[Head] = (), *, expected_head: str | None = None) -> None:
        self.head = START
        self.seals = 0
        self._anchored = iter(anchored)
        self._awaited = next(self._anchored, None)
        self._anchors = 0
        self._expected = None if expected_head == GENESIS else expected_head

    def follow(self, entry: Entry) -> str:
        """Take the next record; returns why it does not continue the chain, "" if it does."""
        if reason := entry.fault or _fault(entry, self.head):
            return reason
        self.head = Head(entry.record["sequence"], entry.record["hash"])
        self.seals += bool(entry.torn)
        if self.head.hash == self._expected:
            self._expected = None
        return self._compare()

    def report(self, *, torn_end: bool = False, broken_at: int | None = None, reason: str = "") -> AuditReport:
        """What was found, at the end of the chain or where it breaks."""
        if broken_at is None and not reason:
            reason = self._missing()
        records, head = self.head.sequence, self.head.hash
        return AuditReport(records, self.seals, head, torn_end, self._anchors, broken_at, reason)

    def _compare(self) -> str:
        while self._awaited is not None and self._awaited.sequence <= self.head.sequence:
            if self._awaited != self.head:
                return f"the head {self._awaited.hash} was kept of record {self._awaited.sequence}: it was replaced"
            self._anchors += 1
            self._awaited = next(self._anchored, None)
        return ""

    def _missing(self) -> str:
        if self._awaited is not None:
            kept = f"the head {self._awaited.hash} was kept of record {self._awaited.sequence}"
            return f"the chain ends with record {self.head.sequence}, and {kept}: records were cut off or replaced"
        if self._expected is not None:
            return f"the chain does not contain {self._expected}: records were cut off or replaced"
        return ""


def make_record(head: Head, event: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The record that continues a chain now."""
    record = {
        **values,
        "sequence": head.sequence + 1,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "event": event,
        "previous": head.hash,
    }
    return record | {"hash": hash_record(record)}


def seal_of(torn: bytes) -> dict[str, Any]:
    """What a seal says of the torn line before it."""
    return {"torn_bytes": len(torn), "torn_sha256": hashlib.sha256(torn).hexdigest()}


def to_line(record: Mapping[str, Any]) -> str:
    """A record as JSON in one line, without its end."""
    return json.dumps(record, ensure_ascii=False)


def parse(line: str | bytes) -> dict[str, Any] | None:
    """A whole record, None for anything else."""
    try:
        record = json.loads(line)
        json.dumps(record, ensure_ascii=False).encode()  # JSON can spell half a character, which no writer stores
    except (ValueError, RecursionError):
        return None
    if isinstance(record, dict) and all(isinstance(record.get(name), kind) for name, kind in FIELDS.items()):
        return record
    return None


def hash_record(record: Mapping[str, Any]) -> str:
    """SHA-256 of a record's content, in hex."""
    content = {name: value for name, value in record.items() if name != "hash"}
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _fault(entry: Entry, head: Head) -> str:
    record = entry.record
    if record["hash"] != hash_record(record):
        return "the record was changed: its hash does not match"
    if record["previous"] != head.hash or record["sequence"] != head.sequence + 1:
        return "the record does not follow the one before it: records were removed, inserted or reordered"
    sealed = record.get("torn_sha256") if record["event"] == SEAL else None
    if sealed != (seal_of(entry.torn)["torn_sha256"] if entry.torn else None):
        return (
            "the line before is damaged and was not sealed" if entry.torn else "a seal without the torn line it seals"
        )
    return ""
