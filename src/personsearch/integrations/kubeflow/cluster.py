"""Runs of compiled pipelines on a Kubeflow cluster, through its API.

The address is `KF_PIPELINES_ENDPOINT`. Where the API asks for a bearer token, it is `KF_PIPELINES_TOKEN`, or in a pod
the file that `KF_PIPELINES_SA_TOKEN_PATH` names.
"""

import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

from personsearch.errors import UserError
from personsearch.integrations.kubeflow.runs import check_arguments

ENDPOINT_VARIABLE = "KF_PIPELINES_ENDPOINT"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"
POD_TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
EXPERIMENT = "personsearch"
FINAL_STATES = {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED", "ERROR"}
OUTAGE_SECONDS = 300.0
GATEWAY_FAILURES = (0, 429, 502, 503, 504)
PAGE = 100
NULL = f"Kubeflow answered null; is another service at --endpoint or {ENDPOINT_VARIABLE}?"


class RunFailedError(UserError):
    """A run has ended, and not as SUCCEEDED."""


class RunUnfinishedError(UserError):
    """A run has not ended in the time that it was given."""


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """One run, as Kubeflow shows it."""

    run_id: str
    name: str
    state: str
    created: datetime | None
    finished: datetime | None


def connect(endpoint: str | None = None) -> Any:
    """A `kfp.Client` for `endpoint` (default: `KF_PIPELINES_ENDPOINT`) that has answered once.

    Raises:
        UserError: no address is known, or no Kubeflow API answers at it.
    """
    address = endpoint or os.environ.get(ENDPOINT_VARIABLE)
    if not address:
        raise UserError(f"no Kubeflow address: give --endpoint or set {ENDPOINT_VARIABLE}")
    import kfp
    from kfp.client import ServiceAccountTokenVolumeCredentials

    pod_token = os.environ.get(POD_TOKEN_VARIABLE)
    with readable_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = kfp.Client(
            host=address,
            existing_token=os.environ.get(TOKEN_VARIABLE),
            credentials=ServiceAccountTokenVolumeCredentials(pod_token) if pod_token else None,
        )
        # The public call retries for 25 s, logging each failure.
        health = client._healthz_api.healthz_service_get_healthz(_preload_content=False)
    _refuse_other_pages(address, health.data)
    return client


def _refuse_other_pages(address: str, health: bytes) -> None:
    """The client would read a page of HTML as an answer without fields: no runs, a run that was cancelled."""
    try:
        is_answer = isinstance(json.loads(health), dict)
    except ValueError:
        is_answer = False
    if not is_answer:
        raise UserError(f"{address}: no Kubeflow API, perhaps a page to log in; set {TOKEN_VARIABLE} to a token of it")


def submit(
    client: Any,
    spec: Path,
    arguments: Mapping[str, Any],
    *,
    experiment: str = EXPERIMENT,
    namespace: str | None = None,
    name: str | None = None,
) -> str:
    """Start a run of a compiled pipeline in an experiment, created if missing; returns the run's id.

    `namespace` is the user's, on a cluster with several. Without a `name` it is the pipeline's, with the time.

    Raises:
        UserError: the arguments do not fit the pipeline, or the cluster refuses them.
    """
    check_arguments(spec, arguments)
    with readable_errors(), redirect_stdout(StringIO()):  # the client prints links
        run = client.create_run_from_pipeline_package(
            str(spec), arguments=dict(arguments), run_name=name, experiment_name=experiment, namespace=namespace
        )
    return str(run.run_id)


def wait(
    client: Any,
    run_id: str,
    *,
    announce: Callable[[str, str], None],
    interval_seconds: float = 5.0,
    timeout_seconds: float = float("inf"),
) -> None:
    """Wait until a run has succeeded, telling each step's state as it changes.

    An API that does not answer for some minutes meanwhile, as during its own upgrade, is asked again.

    Raises:
        RunFailedError: the run ended in any other state.
        RunUnfinishedError: it has not ended after `timeout_seconds`.
        UserError: there is no such run, or the API has not answered for five minutes.
    """
    seen: dict[str, str] = {}
    deadline = time.monotonic() + timeout_seconds
    while True:
        run = _patiently(lambda: client.get_run(run_id), interval_seconds)
        for step, state in _steps(run):
            if seen.get(step) != state:
                seen[step] = state
                announce(step, state)
        state = (run.state or "").upper()
        if state in FINAL_STATES:
            break
        if time.monotonic() >= deadline:
            raise RunUnfinishedError(f"run {run_id} has not ended after {timeout_seconds:g} s: {state or 'unknown'}")
        time.sleep(interval_seconds)
    if state != "SUCCEEDED":
        failed = [step for step, ended in seen.items() if ended == "FAILED"]
        which = f"; failed: {', '.join(failed)}" if failed else ""
        reason = run.error.message if run.error else "see its page"
        raise RunFailedError(f"run {run_id} ended as {state}: {reason}{which}")


def runs(
    client: Any, *, experiment: str | None = EXPERIMENT, namespace: str | None = None, limit: int = 20
) -> list[ClusterRun]:
    """The newest runs of an experiment, or of all if it is None; none if there is no such experiment."""
    with readable_errors():
        within = None if experiment is None else experiment_id(client, experiment, namespace)
        if within is None and experiment is not None:
            return []
        pages = pages_of(
            lambda token: client.list_runs(
                token, min(limit, PAGE), "created_at desc", experiment_id=within, namespace=namespace
            ),
            "runs",
        )
        return [
            ClusterRun(run.run_id, run.display_name or "", run.state or "PENDING", run.created_at, _ended(run))
            for run in islice(pages, limit)
        ]


def cancel(client: Any, run_id: str) -> None:
    """Terminate a run. Its steps are stopped; what they had finished stays in the cache.

    Raises:
        UserError: there is no such run, or it has ended.
    """
    with readable_errors():
        state = (client.get_run(run_id).state or "").upper()
        if state in FINAL_STATES:
            raise UserError(f"run {run_id} has already ended as {state}")
        client.terminate_run(run_id)


def logs(client: Any, run_id: str, step: str) -> str:
    """What a step has printed: from its pod, or where that is gone from the archive of logs, if the cluster keeps one.

    Raises:
        UserError: there is no such run or step, it has no pod yet, or nothing kept its log.
    """
    with readable_errors():
        tasks = _tasks(client.get_run(run_id))
        if step not in {task.display_name for task in tasks}:
            known = (
                ", ".join(sorted({task.display_name for task in tasks if _is_step(task.display_name)})) or "none yet"
            )
            raise UserError(f"run {run_id} has no step {step!r}; its steps: {known}")
        pods = _pods_of(tasks, step)
        if not pods:
            raise UserError(f"run {run_id}: step {step} has no pod: it is waiting, was skipped or came from the cache")
        return _read_log(client, run_id, pods)


def _read_log(client: Any, run_id: str, pods: list[str]) -> str:
    """The log of the last of these pods that has one: of a step that was tried again, the last try."""
    from kfp_server_api import ApiException

    api = client._run_api.api_client
    for pod in reversed(pods):
        path = f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log"  # the API of v2 has no logs; Kubeflow's page uses this
        with suppress(ApiException):
            answer = api.call_api(path, "GET", auth_settings=["Bearer"], _preload_content=False)
            if answer.status == HTTPStatus.OK:
                return bytes(answer.data).decode("utf-8", "replace")
    raise UserError(
        f"run {run_id}: no log of {', '.join(pods)}: the pod was removed, and Kubeflow has no archive of its log"
    )


def _pods_of(tasks: list[Any], step: str) -> list[str]:
    """The pods of a step: its own task is a graph whose only node is the pod, or the tries of one."""
    by_pod = {task.pod_name: task for task in tasks if getattr(task, "pod_name", None)}
    pods = []
    for task in (task for task in tasks if task.display_name == step):
        for child in (child.pod_name for child in task.child_tasks or [] if child.pod_name):
            tries = by_pod[child].child_tasks if child in by_pod else None
            pods += [attempt.pod_name for attempt in tries or [] if attempt.pod_name] or [child]
    return pods


def _tasks(run: Any) -> list[Any]:
    return list((run.run_details.task_details or []) if run.run_details else [])


def _steps(run: Any) -> Iterator[tuple[str, str]]:
    """Names and states of the steps that a pipeline names, without the drivers and pods that Kubeflow adds."""
    for task in _tasks(run):
        if task.state and _is_step(task.display_name):
            yield task.display_name, task.state


def _is_step(name: str) -> bool:
    return name != "root" and not name.endswith("-driver") and name.partition("(")[0] not in ("executor", "driver")


def _ended(run: Any) -> datetime | None:
    """When a run ended; the API gives 1970 for one that has not."""
    finished: datetime | None = run.finished_at
    return finished if finished is not None and finished.year > 1970 else None


def experiment_id(client: Any, name: str, namespace: str | None) -> str | None:
    """The id of an experiment, None if there is none of that name."""
    try:
        return str(client.get_experiment(experiment_name=name, namespace=namespace).experiment_id)
    except ValueError:  # what the client raises for an unknown name
        return None


def pages_of(page: Callable[[str], Any], field: str) -> Iterator[Any]:
    """What a list of the API holds, page by page, as it is asked for."""
    token = ""
    while True:
        answer = page(token)
        yield from getattr(answer, field) or []
        token = answer.next_page_token or ""
        if not token:
            return


def _patiently(ask: Callable[[], Any], interval_seconds: float) -> Any:
    """The answer to a question; while no API is there, it is asked again."""
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    deadline = time.monotonic() + OUTAGE_SECONDS
    while True:
        with readable_errors():
            try:
                return _present(ask())
            except (ApiException, HTTPError) as error:
                if getattr(error, "status", 0) not in GATEWAY_FAILURES or time.monotonic() > deadline:
                    raise
        time.sleep(interval_seconds)


def _present(answer: Any) -> Any:
    if answer is None:
        raise UserError(NULL)
    return answer


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn the errors of Kubeflow's client into one line."""
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise UserError(f"Kubeflow answered {error.status} {error.reason}: {error.body or ''}") from error
    except AttributeError as error:
        if error.obj is not None:
            raise
        raise UserError(NULL) from error  # the client reads fields of what was answered
    except HTTPError as error:
        reason = getattr(error, "reason", None) or error  # without the sentence on retries around it
        raise UserError(
            f"Kubeflow cannot be reached: {reason}; start it, or correct --endpoint or {ENDPOINT_VARIABLE}"
        ) from error
