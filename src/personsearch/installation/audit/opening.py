"""Opens the log that an installation's settings name, with the log of an earlier version in it."""

from personsearch.errors import UserError
from personsearch.installation.audit.files import carry_file
from personsearch.installation.audit.log import AuditLog
from personsearch.installation.settings import Settings
from personsearch.integrations.database.audit import DatabaseAudit
from personsearch.integrations.database.schema import open_database


def open_audit(settings: Settings) -> AuditLog:
    """The log. An embedded database takes over the file of an earlier version; a server waits for the command.

    Raises:
        UserError: the database cannot be used, or such a file is still to be carried into it.
    """
    log = _open(settings)
    if settings.audit_path.is_file():
        if not log.stored.is_embedded:
            raise UserError(
                f"{settings.audit_path}: the audit log of an earlier version; "
                "`personsearch migrate` carries it into the database"
            )
        carry_file(log, settings.audit_path)
    return log


def carry_earlier_log(settings: Settings) -> int:
    """Carry the file of an earlier version into the database, if there is one; returns how many records that were.

    Raises:
        UserError: as `open_audit`, or the file is damaged.
    """
    return carry_file(_open(settings), settings.audit_path) if settings.audit_path.is_file() else 0


def _open(settings: Settings) -> AuditLog:
    return AuditLog(DatabaseAudit(open_database(settings.database_address)))
