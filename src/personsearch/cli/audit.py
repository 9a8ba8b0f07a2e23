"""`personsearch audit`: checks and exports the log of searches, and keeps its head elsewhere."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from personsearch.cli.output import JsonFlag, show
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.installation.audit.log import AuditLog
    from personsearch.installation.settings import Settings


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    audit = typer.Typer(help="Check and export the log of searches.", no_args_is_help=True)
    for command in (verify, export, anchor):
        audit.command()(command)
    app.add_typer(audit, name="audit")


def verify(
    file: Annotated[
        Path | None,
        typer.Argument(help="An export, or the log of an earlier version. [default: the database]", show_default=False),
    ] = None,
    *,
    head: Annotated[
        str | None, typer.Option(help="A hash that the chain must contain, from an earlier check.", show_default=False)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check that no record of the audit log was changed, removed or inserted. Exit code 1 where one was.

    The database's log is also compared with the heads that PERSONSEARCH_AUDIT_ANCHOR keeps, which reveals records cut
    off its end, and a whole chain written again. For a file, keep the printed head and pass it as --head.
    """
    from personsearch.installation.audit.anchor import open_anchor
    from personsearch.installation.audit.files import verify_file
    from personsearch.installation.settings import Settings

    if file is None:
        settings = Settings()
        report = _existing_log(settings).verify(open_anchor(settings).heads(), expected_head=head)
    else:
        report = verify_file(file, expected_head=head)
    show({"intact": report.intact, **asdict(report)}, as_json=as_json)
    if not report.intact:
        raise typer.Exit(1)


def export(
    out: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")], *, as_json: JsonFlag = False
) -> None:
    """Write the audit log as JSON Lines, which `personsearch audit verify FILE` checks on any machine.

    That it was exported, and by whom, is its last record.
    """
    from personsearch.installation.audit.files import check_free, export_file
    from personsearch.installation.audit.log import AuditUnavailable
    from personsearch.installation.audited_search import local_user
    from personsearch.installation.settings import Settings

    settings = Settings()
    log = _existing_log(settings)
    if out.resolve() == settings.audit_path.resolve():
        raise UserError(f"{out}: would be taken for the log of an earlier version; another name expected")
    check_free(out)
    try:
        head = log.append("export", {"request_id": f"cli-{uuid4().hex}", "who": local_user(), "file": out.name})
    except AuditUnavailable as error:
        raise UserError(f"the export cannot be recorded, so nothing is written: {error}") from error
    show({"file": str(out), "records": export_file(log, out), "head": head}, as_json=as_json)


def anchor(*, as_json: JsonFlag = False) -> None:
    """Keep the log's head where PERSONSEARCH_AUDIT_ANCHOR says. The search service does so every few minutes."""
    from personsearch.installation.audit.anchor import open_anchor
    from personsearch.installation.audit.chain import START
    from personsearch.installation.settings import Settings

    settings = Settings()
    place, head = open_anchor(settings), _existing_log(settings).head()
    if head != START:
        place.keep(head)
    kept = None if head == START else place.place
    show({"sequence": head.sequence, "head": head.hash, "kept": kept}, as_json=as_json)


def _existing_log(settings: "Settings") -> "AuditLog":
    from personsearch.installation.audit.opening import open_audit
    from personsearch.installation.platforms import database_exists

    if not (database_exists(settings) or settings.audit_path.exists()):
        raise UserError(f"{settings.home}: no audit log yet; the first search begins it")
    return open_audit(settings)
