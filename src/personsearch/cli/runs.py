"""`personsearch runs`: runs of the pipelines on a Kubeflow cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from personsearch.cli import output
from personsearch.cli.pipeline import Name
from personsearch.cli.run_options import ClusterOptions, Endpoint, Experiment, Namespace, RunOptions, with_option_groups

FAILED, UNFINISHED = 3, 4  # not 1, with which Python ends where something unexpected happens

commands = typer.Typer(
    no_args_is_help=True,
    help="Submit, watch and cancel runs on a Kubeflow cluster.\n\n"
    "Exit codes: 0 done; 2 a mistake, or Kubeflow cannot be reached; 3 the run ended without success; "
    "4 it has not ended after --timeout.",
)
recurring_commands = typer.Typer(no_args_is_help=True, help="Runs that Kubeflow starts on a schedule.")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, as `personsearch runs list` shows it.")]
ScheduleId = Annotated[str, typer.Argument(metavar="ID", help="Id that `personsearch runs recurring list` shows.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, metavar="SECONDS", help="Exit with code 4 if it has not ended by then."),
]


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    commands.add_typer(recurring_commands, name="recurring")
    app.add_typer(commands, name="runs")


@commands.command()
@with_option_groups
def submit(
    name: Name,
    *,
    request: RunOptions,
    images: ClusterOptions,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the run until it has ended.")] = False,
    timeout: Timeout = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Start a run.

    Section `prepare` of --params becomes the pipeline's argument `prepare_config`, and so on.
    """
    from personsearch.integrations.kubeflow import cluster

    spec, given = request.prepared(name, images)
    client = cluster.connect(request.endpoint)
    run_id = cluster.submit(client, spec, given, experiment=request.experiment, namespace=request.namespace)
    if not wait:
        output.show({"run_id": run_id}, as_json=as_json)
        return
    typer.echo(f"run {run_id}", err=True)
    _watch(client, run_id, timeout)
    output.show({"run_id": run_id, "state": "SUCCEEDED"}, as_json=as_json)


@commands.command()
def watch(
    run_id: RunId, *, endpoint: Endpoint = None, timeout: Timeout = None, as_json: output.JsonFlag = False
) -> None:
    """Print each step's state as it changes, until the run has ended."""
    from personsearch.integrations.kubeflow import cluster

    _watch(cluster.connect(endpoint), run_id, timeout)
    output.show({"run_id": run_id, "state": "SUCCEEDED"}, as_json=as_json)


@commands.command()
def logs(
    run_id: RunId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="Name of the step, such as train.")],
    *,
    endpoint: Endpoint = None,
) -> None:
    """Print what a step has printed."""
    from personsearch.integrations.kubeflow import cluster

    typer.echo(cluster.logs(cluster.connect(endpoint), run_id, step), nl=False)


@commands.command()
def cancel(run_id: RunId, *, endpoint: Endpoint = None, as_json: output.JsonFlag = False) -> None:
    """Stop a run. A new run with the same arguments takes its finished steps from Kubeflow's cache."""
    from personsearch.integrations.kubeflow import cluster

    cluster.cancel(cluster.connect(endpoint), run_id)
    output.show({"run_id": run_id, "state": "CANCELING"}, as_json=as_json)


@commands.command("list")
def list_(
    *,
    endpoint: Endpoint = None,
    experiment: Experiment = "personsearch",
    namespace: Namespace = None,
    limit: Annotated[int, typer.Option(min=1, help="The most runs to list.")] = 20,
    as_json: output.JsonFlag = False,
) -> None:
    """List the runs of an experiment, newest first."""
    from personsearch.integrations.kubeflow import cluster

    found = cluster.runs(cluster.connect(endpoint), experiment=experiment, namespace=namespace, limit=limit)
    rows = [(run.run_id, run.name, run.state, run.created, run.finished) for run in found]
    _table(("run_id", "name", "state", "created", "finished"), rows, "runs", experiment, as_json=as_json)


@recurring_commands.command()
@with_option_groups
def create(
    name: Name,
    *,
    cron: Annotated[
        str, typer.Option(metavar="CRON", help="Six fields, seconds first, in UTC: '0 0 3 * * *' is 3 o'clock.")
    ],
    title: Annotated[str | None, typer.Option("--name", help="Name of the schedule; default: the pipeline's.")] = None,
    request: RunOptions,
    images: ClusterOptions,
    as_json: output.JsonFlag = False,
) -> None:
    """Let Kubeflow start a run of a pipeline regularly, one at a time."""
    from personsearch.integrations.kubeflow import cluster, recurring

    spec, given = request.prepared(name, images)
    client = cluster.connect(request.endpoint)
    created = recurring.create(
        client,
        spec,
        given,
        name=title or name,
        cron=cron,
        experiment=request.experiment,
        namespace=request.namespace,
    )
    output.show({"recurring_run_id": created}, as_json=as_json)


@recurring_commands.command("list")
def list_recurring(
    *,
    endpoint: Endpoint = None,
    experiment: Experiment = "personsearch",
    namespace: Namespace = None,
    as_json: output.JsonFlag = False,
) -> None:
    """List the schedules of an experiment."""
    from personsearch.integrations.kubeflow import cluster, recurring

    found = recurring.schedules(cluster.connect(endpoint), experiment=experiment, namespace=namespace)
    rows = [(one.recurring_run_id, one.name, one.cron, one.status) for one in found]
    _table(("recurring_run_id", "name", "cron", "status"), rows, "recurring runs", experiment, as_json=as_json)


@recurring_commands.command()
def enable(schedule: ScheduleId, *, endpoint: Endpoint = None) -> None:
    """Start runs again by a schedule that was disabled."""
    _change(schedule, endpoint, "enable")


@recurring_commands.command()
def disable(schedule: ScheduleId, *, endpoint: Endpoint = None) -> None:
    """Start no more runs by a schedule until it is enabled."""
    _change(schedule, endpoint, "disable")


@recurring_commands.command()
def delete(schedule: ScheduleId, *, endpoint: Endpoint = None) -> None:
    """Delete a schedule; runs that it has started are left alone."""
    _change(schedule, endpoint, "delete")


def _change(schedule: str, endpoint: str | None, action: Any) -> None:
    from personsearch.integrations.kubeflow import cluster, recurring

    recurring.change(cluster.connect(endpoint), schedule, action)


def _watch(client: Any, run_id: str, timeout: float | None) -> None:
    from personsearch.integrations.kubeflow import cluster

    limit = float("inf") if timeout is None else timeout
    with _exit_codes():
        cluster.wait(client, run_id, announce=_announce, timeout_seconds=limit)


def _announce(step: str, state: str) -> None:
    typer.echo(f"{step}: {state}", err=True)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Exit with codes of their own where a run failed or has not ended."""
    from personsearch.integrations.kubeflow.cluster import RunFailedError, RunUnfinishedError

    try:
        yield
    except (RunFailedError, RunUnfinishedError) as error:
        typer.echo(f"personsearch: {error}", err=True)
        raise typer.Exit(FAILED if isinstance(error, RunFailedError) else UNFINISHED) from error


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]], what: str, experiment: str, *, as_json: bool) -> None:
    if as_json:
        output.show({what.replace(" ", "_"): [dict(zip(head, row, strict=True)) for row in rows]}, as_json=True)
    elif rows:
        output.show_table(head, rows)
    else:
        typer.echo(f"experiment {experiment!r} has no {what}", err=True)
