"""`personsearch backup`: create, list, verify, restore, erase, expire, adopt."""

from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.output import JsonFlag, show, show_table

if TYPE_CHECKING:
    from personsearch.installation.backup.archive import Manifest

Destination = Annotated[
    str, typer.Argument(metavar="DESTINATION", help="Where backups are kept: a folder or s3://BUCKET/PREFIX.")
]
What = Annotated[
    str | None,
    typer.Option(
        help="Some of database, crops, milvus and mlflow, separated by commas. [default: all]", show_default=False
    ),
]
Name = Annotated[
    str | None,
    typer.Option("--backup", metavar="NAME", help="One that `list` shows. [default: the newest]", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    backup = typer.Typer(help="Backups: create, list, verify, restore, erase, expire, adopt.", no_args_is_help=True)
    backup.command("create")(create)
    backup.command("list")(list_backups)
    backup.command("verify")(verify)
    backup.command("restore")(restore)
    backup.command("erase")(erase)
    backup.command("expire")(expire)
    backup.command("adopt")(adopt)
    app.add_typer(backup, name="backup")


def create(
    destination: Destination,
    *,
    what: What = None,
    full: Annotated[bool, typer.Option("--full", help="Write again also what is there already.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Back up rows, pictures, vectors and MLflow, while everything runs.

    Only what is new since the last backup is written. A backup counts once all of it is there; an interrupted one is
    continued by the next. A place keeps the backups of one installation.

    Not in a backup: the calibrations, logs and key of this machine (files of PERSONSEARCH_HOME); footage; the heads of
    the audit log; the collection that a rollback would make live; the users of MLflow and what they may do.
    """
    from personsearch.installation.backup.create import create as run
    from personsearch.installation.backup.opening import Stores, kinds_of, open_archive
    from personsearch.installation.settings import Settings

    show(_told(run(Stores(Settings()), open_archive(destination), kinds_of(what), full=full)), as_json=as_json)


def list_backups(destination: Destination, *, as_json: JsonFlag = False) -> None:
    """Show every backup, the oldest first."""
    from personsearch.installation.backup.opening import open_archive

    rows = [_told(manifest) for manifest in open_archive(destination).manifests()]
    if as_json:
        show({"backups": rows}, as_json=True)
    elif rows:
        show_table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        typer.echo("No backup is there: `personsearch backup create`.")


def verify(destination: Destination, *, backup: Name = None, as_json: JsonFlag = False) -> None:
    """Read every backup, or one, and compare all of it with its hashes; exit code 1 if anything is damaged.

    `personsearch backup create --full` writes again what a damaged content can be made of.
    """
    from personsearch.installation.backup.opening import open_archive
    from personsearch.installation.backup.upkeep import verify as run

    archive = open_archive(destination)
    verified = run(archive, [archive.manifest(backup)] if backup else None)
    values = verified.model_dump()
    show(values if as_json else values | {"damaged": "; ".join(verified.damaged) or "nothing"}, as_json=as_json)
    if verified.damaged:
        raise typer.Exit(1)


def restore(destination: Destination, *, backup: Name = None, what: What = None, as_json: JsonFlag = False) -> None:
    """Bring back a backup into an empty installation: the addresses of the settings.

    Stop the services first. Crops that were erased after the backup stay erased, if a newer backup in the same place
    says so. With `--what crops` pictures are put back that rows of the installation name and that are missing; with
    `--what milvus` vectors come back without being encoded again. An interrupted restore continues when it is run
    again. Damaged pictures and vectors are left out, with exit code 1; damaged rows are refused. Another backup that is
    damaged is named, with exit code 1 too: erasures that it alone knew of are not applied.
    """
    from personsearch.installation.backup.opening import Stores, kinds_of, open_archive, refuse_running_services
    from personsearch.installation.backup.restore import restore as run
    from personsearch.installation.settings import Settings

    settings, archive = Settings(), open_archive(destination)
    refuse_running_services(settings)
    manifest = archive.manifest(backup)
    restored = run(Stores(settings), archive, manifest, kinds_of(what) if what else tuple(manifest.kinds))
    values = restored.model_dump()
    if not as_json:
        rows = ", ".join(f"{count} {name}" for name, count in restored.rows.items())
        values |= {
            "rows": rows,
            "damaged": "; ".join(restored.damaged) or "nothing",
            "not_restored": "; ".join(restored.not_restored),
        }
    show(values, as_json=as_json)
    if restored.damaged:
        raise typer.Exit(1)


def erase(destination: Destination, *, as_json: JsonFlag = False) -> None:
    """Erase in every backup what this installation has erased: rows, pictures and vectors of those crops."""
    from personsearch.installation.backup.opening import Stores, open_archive
    from personsearch.installation.backup.upkeep import erase as run
    from personsearch.installation.settings import Settings

    show(run(Stores(Settings()), open_archive(destination)).model_dump(), as_json=as_json)


def expire(
    destination: Destination,
    *,
    days: Annotated[float, typer.Option(min=0, help="Remove backups that are older than this many days.")],
    as_json: JsonFlag = False,
) -> None:
    """Remove old backups, but never the newest, and what no other backup shares with them."""
    from personsearch.installation.backup.opening import Stores, open_archive
    from personsearch.installation.backup.upkeep import expire as run
    from personsearch.installation.settings import Settings

    show(run(Stores(Settings()), open_archive(destination), days=days).model_dump(), as_json=as_json)


def adopt(destination: Destination, *, as_json: JsonFlag = False) -> None:
    """Keep this installation's backups in a place that had another's, as after a restore.

    The other installation, if it still runs, can neither create nor remove backups there any more.
    """
    from personsearch.installation.backup.opening import Stores, open_archive
    from personsearch.installation.backup.owner import adopt as run
    from personsearch.installation.settings import Settings

    archive = open_archive(destination)
    show({"place": archive.place.place, "installation": run(Stores(Settings()), archive)}, as_json=as_json)


def _told(manifest: "Manifest") -> dict[str, object]:
    items = dict.fromkeys(manifest.kinds, 0)
    for kind, part in manifest.parts():
        items[kind] += part.items
    counted = ", ".join(f"{count} of {kind}" for kind, count in items.items())
    missing = manifest.crops.missing if manifest.crops else 0
    return {
        "backup": manifest.name,
        "holds": counted,
        "missing_pictures": missing,
        "mib": round(manifest.bytes / 2**20, 1),
        "seconds": round((manifest.ended_at - manifest.began_at).total_seconds(), 1),
    }
