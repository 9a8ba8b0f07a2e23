"""`personsearch` commands of the group "registry": register, promote, models, index, rollback, webhook."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.options import GalleryFolder, Params, configured, existing_gallery
from personsearch.cli.output import JsonFlag, show, show_table
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.gallery.indexing import IndexReport
    from personsearch.integrations.milvus.store import MilvusStore
    from personsearch.integrations.mlflow.registry import ModelRegistry


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    for command in (register_bundle, promote, models, index, rollback, webhook):
        app.command("register" if command is register_bundle else None)(command)


def register_bundle(
    bundle: Annotated[
        Path, typer.Argument(help="Folder of the bundle that `personsearch compress` chose: OUT/chosen.")
    ],
    *,
    tag: Annotated[list[str] | None, typer.Option(help="A tag as KEY=VALUE; may be repeated.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Store a bundle in MLflow as a new version of the model, with the alias `challenger`.

    Its metrics.json and lineage go with it. The same bundle of the same run is the same version. A bundle that serving
    could not load is refused.
    """
    from personsearch.bundle import METRICS, Bundle
    from personsearch.installation.promotion import check_servable

    if wrong := [item for item in tag or [] if "=" not in item]:
        raise UserError(f"--tag {wrong[0]!r}: KEY=VALUE expected")
    opened = Bundle.open(bundle)
    check_servable(opened)
    written = opened.path(METRICS)
    metrics = json.loads(written.read_text()) if written.is_file() else {}
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    tags = dict(item.partition("=")[::2] for item in tag or [])
    version = _registry().register(opened, metrics=numbers, tags=tags)
    show({"version": version, "alias": "challenger"}, as_json=as_json)


def promote(
    version: Annotated[str, typer.Argument(help="The version's number, as `personsearch models` lists it.")],
    *,
    index_now: Annotated[
        bool, typer.Option("--index/--no-index", help="Index the gallery with it at once and make that live.")
    ] = True,
    gallery: GalleryFolder = None,
    params: Params = None,
    as_json: JsonFlag = False,
) -> None:
    """Move the alias `champion` to a version, as a person does in MLflow's page, and make it live.

    The alias moves once everything is checked, and back if the version does not go live.
    """
    from personsearch.gallery.indexing import IndexConfig
    from personsearch.installation.promotion import promote as run

    if not index_now:
        _registry().promote(version)
        return show({"champion": version}, as_json=as_json)
    config = configured(IndexConfig, "index", params)
    pictures = existing_gallery(gallery)
    return _show_report(run(config, _registry(), _store(), pictures, version), as_json=as_json)


def models(*, as_json: JsonFlag = False) -> None:
    """List the versions of the model: aliases, status, what they were made from."""
    from personsearch.installation.platforms import open_existing_registry
    from personsearch.installation.settings import Settings

    registry = open_existing_registry(Settings())
    rows = [
        {
            "version": version.version,
            "aliases": ", ".join(version.aliases),
            "validation": version.tags.get("validation_status", ""),
            "index": version.tags.get("index_status", ""),
            "variant": version.tags.get("variant", ""),
            "runtime": version.tags.get("runtime", ""),
            "fingerprint": version.fingerprint,
            "dataset_hash": version.tags.get("dataset_hash", ""),
        }
        for version in (registry.versions() if registry else [])
    ]
    if as_json:
        show({"versions": rows}, as_json=True)
    elif rows:
        show_table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        typer.echo("no versions yet; run `personsearch register BUNDLE`")


def index(
    *,
    model_version: Annotated[
        str | None, typer.Option(help="The version to index with. [default: the champion]", show_default=False)
    ] = None,
    while_champion: Annotated[
        bool, typer.Option("--while-champion", help="Do not go live if another version has become champion meanwhile.")
    ] = False,
    gallery: GalleryFolder = None,
    rebuild: Annotated[bool, typer.Option(help="Encode every crop again, also those already encoded.")] = False,
    params: Params = None,
    as_json: JsonFlag = False,
) -> None:
    """Update a model's collection to match the gallery, verify it, and make it live.

    A killed run resumes where it stopped. A collection that fails verification never goes live: the reason is printed
    and tagged to the model's version.
    """
    from personsearch.gallery.indexing import IndexConfig
    from personsearch.installation.promotion import index_version

    config = configured(IndexConfig, "index", params).overridden({"rebuild": rebuild or None})
    pictures = existing_gallery(gallery)
    report = index_version(config, _registry(), _store(), pictures, model_version, while_champion=while_champion)
    _show_report(report, as_json=as_json)


def rollback(*, gallery: GalleryFolder = None, as_json: JsonFlag = False) -> None:
    """Undo the last promotion; what was erased stays erased.

    Where the champion is live, the previous collection becomes live again, and its model the champion. Where the
    champion is not live yet, the champion moves back to the version that is live, and nothing else changes.
    """
    from personsearch.installation.promotion import roll_back

    pictures = existing_gallery(gallery)
    properties = roll_back(_registry(), _store(), pictures)
    show({"champion": properties.model_version, "fingerprint": properties.fingerprint}, as_json=as_json)


def webhook(
    address: Annotated[
        str,
        typer.Argument(
            help="Where MLflow's server reaches the search service: https://search.example.org/v1/webhooks/mlflow."
        ),
    ],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Let MLflow say at once that an alias moved, signed with PERSONSEARCH_WEBHOOK_SECRET.

    Without it the promoter looks every two seconds. Run it again after a change of the secret or of MLflow's database.
    """
    from personsearch.installation.settings import Settings

    answered = _registry().subscribe(address, Settings().webhook_secret.get_secret_value())
    show({"address": address, "answered": answered}, as_json=as_json)
    if answered != "204":
        raise UserError(
            f"{address}: answered {answered} to a first webhook, 204 expected; is it the search service's, with the "
            "same PERSONSEARCH_WEBHOOK_SECRET?"
        )


def _show_report(report: "IndexReport", *, as_json: bool) -> None:
    values = report.model_dump()
    show(values | values.pop("findings"), as_json=as_json)


def _registry() -> "ModelRegistry":
    from personsearch.installation.platforms import open_registry
    from personsearch.installation.settings import Settings

    return open_registry(Settings())


def _store() -> "MilvusStore":
    from personsearch.installation.platforms import open_store
    from personsearch.installation.settings import Settings

    return open_store(Settings())
