"""`personsearch` commands of the group "platform": up, down, status, promoter, migrate, move, cache."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from personsearch.cli.options import PARAMS, Params
from personsearch.cli.output import JsonFlag, show, show_table

if TYPE_CHECKING:
    from personsearch.gallery.watch.health import StreamHealth
    from personsearch.installation.services import ServiceState
    from personsearch.installation.settings import Settings


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    for command in (up, down, status, promoter, migrate, move, cache):
        app.command()(command)


def up(*, as_json: JsonFlag = False) -> None:
    """Start MLflow, Milvus Lite's server, the search service and the promoter in the background.

    Running services are kept, dead ones are restarted. Prints the addresses and where the API key is kept.
    """
    from personsearch.installation.api_keys import LOCAL_KEY_FILE
    from personsearch.installation.services import EVERY_SERVICE, start_services
    from personsearch.installation.settings import Settings

    home = Settings().home
    services = start_services(home, EVERY_SERVICE, report=_say)
    addresses = {"search": services.serving_uri, "mlflow": services.mlflow_uri, "milvus": services.milvus_uri}
    show({**addresses, "api_key_file": str(home / LOCAL_KEY_FILE)}, as_json=as_json)


def down(*, as_json: JsonFlag = False) -> None:
    """Stop what `personsearch up` or `make demo` started, and nothing else."""
    from personsearch.installation.services import stop_services
    from personsearch.installation.settings import Settings

    show({"stopped": stop_services(Settings().home, report=_say)}, as_json=as_json)


def status(*, as_json: JsonFlag = False) -> None:
    """Show which services run here, where, what the promoters saw last, how live streams are, and what is wrong.

    Exit code 1 where anything is: no service was started or one does not answer, the promoter has not looked for a
    minute or failed, pictures cannot be reached, vectors are left of an empty gallery, a stream gives no frames or its
    people cannot be stored. A machine can watch that code.
    """
    from personsearch.gallery.watch.health import problems_of, read_health
    from personsearch.installation.health import find_problems
    from personsearch.installation.promoter_memory import read_memory
    from personsearch.installation.services import service_states
    from personsearch.installation.settings import Settings

    settings = Settings()
    states, memory, streams = service_states(settings.home), read_memory(settings), read_health(settings.watch_folder)
    problems = find_problems(settings, states, memory) if states or not streams else []
    problems += problems_of(streams)
    seen = {"promoter": memory.state, "standbys": memory.standbys, "live": memory.live, "builds": memory.builds}
    if as_json:
        services = {state.name: {"state": state.state, "address": state.address, "pid": state.pid} for state in states}
        watched = {stream.camera: stream.model_dump(exclude={"camera"}) for stream in streams}
        show({"services": services, **seen, "streams": watched, "problems": problems}, as_json=True)
    else:
        _show_states(states)
        _show_streams(streams)
        show({**seen, "builds": list(memory.builds), "problems": problems}, as_json=False)
    if problems:
        raise typer.Exit(1)


def promoter(params: Params = None) -> None:
    """Follow the alias `champion`: index the gallery with its model and make that live. Runs until stopped.

    `personsearch up` starts one. Any number may run on one database: one leads, the others stand by and take over
    within seconds when it ends. Where KF_PIPELINES_ENDPOINT is set, new collections are built by the indexing pipeline
    on that cluster.
    """
    from personsearch.addresses import log_to_standard_error
    from personsearch.installation.promoter import run_promoter
    from personsearch.installation.settings import Settings

    log_to_standard_error()
    settings = Settings()
    run_promoter(settings, params or PARAMS, _indexing_pipeline(settings))


def _indexing_pipeline(settings: "Settings") -> Path | None:
    """The compiled pipeline that builds on a cluster; None where no cluster is named."""
    from personsearch.integrations.kubeflow.cluster import ENDPOINT_VARIABLE

    if not os.environ.get(ENDPOINT_VARIABLE):
        return None
    from pipelines.cluster import cluster_config
    from pipelines.compile import compile_pipeline

    placed = cluster_config(settings.kubeflow_cluster)
    return compile_pipeline("indexing", settings.home / "pipelines" / "promoted", placed)


def migrate(*, as_json: JsonFlag = False) -> None:
    """Prepare the database that PERSONSEARCH_DATABASE names, or bring it to the schema of this version.

    A PostgreSQL needs it once before its first use, and after an update that asks for it. A file of SQLite is migrated
    whenever it is opened. What files of an earlier version hold beside it moves into the database: API keys, what the
    promoter remembers, and the audit log.
    """
    from personsearch.installation.platforms import carry_earlier_files
    from personsearch.installation.settings import Settings
    from personsearch.integrations.database.engine import Database
    from personsearch.integrations.database.schema import HEAD
    from personsearch.integrations.database.schema import migrate as run

    settings = Settings()
    database = Database(settings.database_address)
    before = run(database)
    carried = carry_earlier_files(settings)
    told = {"database": database.place, "schema": HEAD, "before": before or "empty", "audit_records": carried}
    show(told, as_json=as_json)


def move(
    *,
    to_database: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE, empty. [default: stays where it is]",
            show_default=False,
        ),
    ] = None,
    to_crops: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A folder or s3://BUCKET/PREFIX, empty. [default: stay where they are]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Copy everything that this installation keeps to another database, another store of pictures, or both.

    Stop the services first. Every row and picture is compared at the end, and the source stays as it is. An interrupted
    move continues when it is run again; a target that holds anything else is refused. Afterwards set
    PERSONSEARCH_DATABASE and PERSONSEARCH_CROPS to the new addresses, and start the services again.
    """
    from personsearch.installation.platforms import move_installation
    from personsearch.installation.settings import Settings

    moved = move_installation(Settings(), to_database=to_database, to_crops=to_crops)
    values = moved.model_dump()
    if not as_json:
        rows = ", ".join(f"{count} {name}" for name, count in moved.rows.items())
        values |= {"rows": rows, "not_moved": "; ".join(moved.not_moved)}
    show(values, as_json=as_json)


def cache(
    *,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where a recipe keeps them. [default: ~/.cache/personsearch/pixels]", show_default=False),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove caches by the two limits below.")] = False,
    days: Annotated[float, typer.Option(min=0, help="Remove caches that were not used for this many days.")] = 30.0,
    gib: Annotated[float, typer.Option(min=0, help="Then remove the least recently used, until the rest fits.")] = 50.0,
    as_json: JsonFlag = False,
) -> None:
    """Show how much disk the decoded images of trainings take; missing ones are decoded again."""
    from personsearch.data.cache import cached_pixels, default_cache_folder
    from personsearch.data.cache import prune as remove

    folder = folder or default_cache_folder()
    removed = remove(folder, unused_days=days, most_bytes=gib * 2**30) if prune else []
    left = cached_pixels(folder)
    size = round(sum(each.bytes for each in left) / 2**30, 3)
    show({"folder": str(folder), "caches": len(left), "gib": size, "removed": len(removed)}, as_json=as_json)


def _show_states(states: list["ServiceState"]) -> None:
    if not states:
        return
    rows = [[state.name, state.state, state.address, state.pid, state.log] for state in states]
    show_table(["service", "state", "address", "pid", "log"], rows)


def _show_streams(streams: list["StreamHealth"]) -> None:
    if not streams:
        return
    head = ["stream", "state", "frames/s", "looks/s", "dropped", "last frame", "reconnects", "people", "clock ahead"]
    show_table(head, [_stream_row(stream) for stream in streams])


def _stream_row(stream: "StreamHealth") -> list[object]:
    last, ahead = stream.last_frame_at, stream.clock_offset
    seen = "–" if last is None else datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds")
    rates = [stream.frames_per_second, stream.looks_per_second, stream.dropped]
    clock = "–" if ahead is None else f"{ahead:.1f} s"
    return [stream.camera, stream.state, *rates, seen, stream.reconnects, stream.people, clock]


def _say(line: str) -> None:
    typer.echo(line, err=True)
