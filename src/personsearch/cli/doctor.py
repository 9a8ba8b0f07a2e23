"""`personsearch doctor`: looks an installation over and says what to do."""

from dataclasses import asdict
from typing import Annotated

import typer

from personsearch.cli.output import JsonFlag, show

MARKS = {"well": "ok", "note": "note", "wrong": "WRONG", "skipped": "skipped"}


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.command()(doctor)


def doctor(
    *,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The search service. [default: the one that `personsearch up` started]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check this installation: settings, versions, permissions, disk, database, pictures, audit log, Milvus, MLflow,
    model, vectors, clock, services and search. Says what to do about what is wrong.

    Reads only, and prints no password, key or token, so its output can be shown to others. The model has to reproduce
    its golden vectors, and some stored vectors are computed again from their pictures. Exit code 0 where nothing is
    wrong, 1 where anything is, also a check that could not be made; a note alone is not wrong.
    """
    from personsearch.installation.doctor.examination import examine
    from personsearch.installation.settings import Settings
    from serving.settings import ServingSettings

    variables = {f"PERSONSEARCH_{name.upper()}" for name in ServingSettings.model_fields}
    wrong, findings = 0, []
    for finding in examine(Settings(), variables, service):
        wrong += finding.state in ("wrong", "skipped")
        findings.append(asdict(finding))
        if not as_json:
            typer.echo(f"{MARKS[finding.state]:8} {finding.check:12} {finding.found}")
            if finding.advice:
                typer.echo(f"{'':21} → {finding.advice}")
    if as_json:
        show({"well": not wrong, "findings": findings}, as_json=True)
    if wrong:
        raise typer.Exit(1)
