"""Runs that Kubeflow starts on a schedule."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from personsearch.errors import UserError
from personsearch.integrations.kubeflow.cluster import EXPERIMENT, PAGE, experiment_id, pages_of, readable_errors
from personsearch.integrations.kubeflow.runs import check_arguments

CRON_FIELDS = 6


@dataclass(frozen=True, slots=True)
class RecurringRun:
    """One schedule, as Kubeflow shows it."""

    recurring_run_id: str
    name: str
    cron: str
    status: str


def create(
    client: Any,
    spec: Path,
    arguments: Mapping[str, Any],
    *,
    name: str,
    cron: str,
    experiment: str = EXPERIMENT,
    namespace: str | None = None,
) -> str:
    """Start runs of a compiled pipeline by `cron` (seconds first, as Kubeflow writes it); returns the schedule's id.

    No run starts before the last one has ended, and runs that were missed are not made up for.

    Raises:
        UserError: the arguments do not fit the pipeline, `cron` has not six fields, a schedule has that name, or the
            cluster refuses it.
    """
    check_arguments(spec, arguments)
    if len(cron.split()) != CRON_FIELDS:
        example = "0 0 3 * * *"
        raise UserError(f"--cron {cron!r}: six fields expected, seconds first, such as {example!r} for 3 o'clock")
    if name in {one.name for one in schedules(client, experiment=experiment, namespace=namespace)}:
        raise UserError(
            f"a recurring run {name!r} exists in experiment {experiment!r}; delete it or choose another name"
        )
    with readable_errors(), redirect_stdout(StringIO()):  # the client prints links
        within = client.create_experiment(experiment, namespace=namespace).experiment_id
        created = client.create_recurring_run(
            within,
            name,
            cron_expression=cron,
            params=dict(arguments),
            pipeline_package_path=str(spec),
            no_catchup=True,
        )
        return str(created.recurring_run_id)


def schedules(client: Any, *, experiment: str = EXPERIMENT, namespace: str | None = None) -> list[RecurringRun]:
    """The schedules of an experiment; none if there is no such experiment."""
    with readable_errors():
        within = experiment_id(client, experiment, namespace)
        if within is None:
            return []
        pages = pages_of(
            lambda token: client.list_recurring_runs(token, PAGE, experiment_id=within, namespace=namespace),
            "recurring_runs",
        )
        return [
            RecurringRun(one.recurring_run_id, one.display_name or "", _cron(one), one.status or "") for one in pages
        ]


def change(client: Any, recurring_run_id: str, action: Literal["enable", "disable", "delete"]) -> None:
    """Enable, disable or delete a schedule; runs that it has started are left alone.

    Raises:
        UserError: there is no such schedule.
    """
    with readable_errors():
        getattr(client, f"{action}_recurring_run")(recurring_run_id)


def _cron(recurring: Any) -> str:
    schedule = recurring.trigger.cron_schedule if recurring.trigger else None
    return (schedule.cron or "") if schedule else ""
