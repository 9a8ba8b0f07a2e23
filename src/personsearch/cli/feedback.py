"""`personsearch feedback`: people's verdicts as data to train on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from personsearch.cli.options import existing_gallery
from personsearch.cli.output import JsonFlag, show
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.installation.audit.log import AuditLog
    from personsearch.installation.feedback.export import Plan


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    feedback = typer.Typer(help="Let people's verdicts train the next model (docs/feedback.md).", no_args_is_help=True)
    feedback.command()(export)
    app.add_typer(feedback, name="feedback")


def export(
    out: Annotated[Path, typer.Argument(help="Folder to write; empty, or an earlier output of this command.")],
    *,
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A prepared data set to put the verdicts beside: its images come first, and people whom it shows are "
            "left out of the verdicts.",
        ),
    ] = None,
    purpose: Annotated[str, typer.Option(help="Purpose or case; kept in the audit log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be exported.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Turn confirmed and rejected candidates into a prepared data set, to version with DVC and train on.

    Every person is in one split, and the gate measures models on those of the test split. Erased crops are left out.
    Run it again after an interruption: it continues. What leaves the installation is recorded in the audit log.
    """
    from personsearch.installation.audit.opening import open_audit
    from personsearch.installation.feedback.export import ExportConfig, export_feedback, plan_export
    from personsearch.installation.settings import Settings

    config, log, gallery = ExportConfig(base=base), open_audit(Settings()), existing_gallery(None)
    plan = plan_export(config, log, gallery)
    if dry_run:
        return show(plan.counts(), as_json=as_json)
    _record(log, plan, purpose)
    return show(export_feedback(config, plan, gallery, out), as_json=as_json)


def _record(log: "AuditLog", plan: "Plan", purpose: str) -> None:
    """Pictures of people leave the installation, so the log must name them first."""
    from personsearch.installation.audit.log import AuditUnavailable
    from personsearch.installation.audited_search import local_user

    crops = [each.crop.crop_id for each in plan.crops]
    values = {"request_id": f"cli-{uuid4().hex}", "who": local_user(), "purpose": purpose, "crops": crops}
    try:
        log.append("feedback", values)
    except AuditUnavailable as error:
        raise UserError(f"the export cannot be recorded, so nothing is written: {error}") from error
