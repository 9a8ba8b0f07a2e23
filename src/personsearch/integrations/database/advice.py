"""What to do when a database refuses, as the end of a message: engines say what happened, and not how to mend it."""

import sqlite3

SQLITE = {
    sqlite3.SQLITE_FULL: "free disk space",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder readable and writable for this user",
    sqlite3.SQLITE_BUSY: "another process has been writing for long; use a PostgreSQL where many write",
    sqlite3.SQLITE_CORRUPT: "put back a backup; the file is damaged",
    sqlite3.SQLITE_NOTADB: "put back a backup, or name another file; this one is no database",
    sqlite3.SQLITE_IOERR: "check the disk, and whether the file is on a local one",
}
# By SQLSTATE, or by its class where a row has two characters.
POSTGRESQL = {
    "08": "start the server, or correct PERSONSEARCH_DATABASE",
    "25006": "the server is read-only, as a standby is: let PERSONSEARCH_DATABASE name the primary",
    "28": "correct user and password in PERSONSEARCH_DATABASE",
    "3D000": "create the database, then run `personsearch migrate`",
    "42501": "grant this user SELECT and INSERT, and UPDATE and DELETE on all tables but audit_records",
    "42P01": "run `personsearch migrate`",
    "53100": "free disk space on the server",
    "53300": "raise max_connections of the server, or use fewer processes",
    "55P03": "another process held the lock for too long; pg_stat_activity shows which",
    "55000": "allow connections to the database again",
    "57014": "somebody cancelled it, or statement_timeout of the server is too short: try again",
    "57": "the server is stopping or starting; wait for it",
}
UNREACHABLE = "start the server, or correct address, user and password in PERSONSEARCH_DATABASE"


def advice(error: BaseException | None) -> str:
    """What helps against a driver's error, after a semicolon; "" where nothing is known to."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)  # its low byte is the kind, the rest a detail
        known = SQLITE.get(code & 0xFF) if code is not None else None
    else:
        state = getattr(error, "sqlstate", None)
        known = POSTGRESQL.get(state) or POSTGRESQL.get(state[:2]) if state else _without_a_state(error)
    return f"; {known}" if known else ""


def _without_a_state(error: BaseException | None) -> str | None:
    """No answer of a server has no state, and neither has a connection that it closed."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return UNREACHABLE if "OperationalError" in kinds else None
