"""What a test reads of an audit log, and what it does to one: refuse it, change it, write one of an earlier version."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from personsearch.installation.audit.chain import START, Head, make_record, to_line
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.settings import Settings
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.engine import Database

FULL = "database or disk is full"
KEEPERS = {
    "sqlite": ("audit_records_keep_update", "audit_records_keep_delete"),
    "postgresql": ("audit_records_keep ON audit_records",),
}


def audited(settings: Settings) -> list[dict[str, Any]]:
    """The records of an installation, oldest first."""
    database = Database(settings.database_address)
    try:
        return list(AuditLog(DatabaseAudit(database)).records())
    finally:
        database.close()


def is_intact(settings: Settings) -> bool:
    """Whether its chain is whole."""
    database = Database(settings.database_address)
    try:
        return AuditLog(DatabaseAudit(database)).verify().intact
    finally:
        database.close()


@contextmanager
def refused(address: str) -> Iterator[None]:
    """Let the database of an address refuse every new record, as a full disk does."""
    sqlite = f"CREATE TRIGGER full BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, '{FULL}'); END"
    function = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
    body = f"$$ BEGIN RAISE EXCEPTION '{FULL}' USING ERRCODE = 'disk_full'; END $$"
    trigger = 'CREATE TRIGGER "full" BEFORE INSERT ON audit_records EXECUTE FUNCTION full_disk()'
    is_file = address.startswith("sqlite")
    run(address, *([sqlite] if is_file else [function + body, trigger]))
    yield
    run(address, *(["DROP TRIGGER full"] if is_file else ["DROP FUNCTION full_disk CASCADE"]))


def tamper(address: str, *statements: str) -> None:
    """Change records as somebody can who may do everything with the database."""
    engine = "sqlite" if address.startswith("sqlite") else "postgresql"
    run(address, *(f"DROP TRIGGER IF EXISTS {name}" for name in KEEPERS[engine]), *statements)


def run(address: str, *statements: str) -> None:
    """Execute statements in one transaction."""
    database = Database(address)
    with database.writing() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    database.close()


def write_earlier_log(path: Path, values: Sequence[dict[str, Any]], *, torn: str = "", torn_end: str = "") -> Head:
    """A log as an earlier version wrote it; `torn` lies before a seal in its middle. Returns its head."""
    lines, head = [], START
    for number, each in enumerate(values):
        if torn and number == len(values) // 2:
            seal = {"torn_bytes": len(torn), "torn_sha256": hashlib.sha256(torn.encode()).hexdigest()}
            record = make_record(head, "seal", seal)
            lines.append(f"{torn} (torn)\n{to_line(record)}\n")
            head = Head(record["sequence"], record["hash"])
        record = make_record(head, str(each.get("event", "search")), each)
        lines.append(to_line(record) + "\n")
        head = Head(record["sequence"], record["hash"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines) + torn_end)
    return head
