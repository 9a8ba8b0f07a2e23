"""Runs of compiled pipelines on a Kubeflow cluster, through its API.

The address is `KF_PIPELINES_ENDPOINT` and, where the API asks for one, the bearer token `KF_PIPELINES_TOKEN`.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from personsearch.errors import UserError
from personsearch.files import replacing
from personsearch.integrations.kubeflow.runs import check_arguments

ENDPOINT_VARIABLE = "KF_PIPELINES_ENDPOINT"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"
FINAL_STATES = {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED", "ERROR"}


def connect(endpoint: str | None = None) -> Any:
    """A `kfp.Client` for `endpoint` (default: `KF_PIPELINES_ENDPOINT`) that has answered once.

    Raises:
        UserError: no address is known, or no Kubeflow API answers at it.
    """
    address = endpoint or os.environ.get(ENDPOINT_VARIABLE)
    if not address:
        raise UserError(f"no Kubeflow address: give --endpoint or set {ENDPOINT_VARIABLE}")
    import kfp

    with _readable_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = kfp.Client(host=address, existing_token=os.environ.get(TOKEN_VARIABLE))
        client._healthz_api.healthz_service_get_healthz()  # the public call retries for 25 s, logging each failure
        return client


def submit(
    client: Any,
    spec: Path,
    arguments: Mapping[str, Any],
    *,
    experiment: str = "personsearch",
    namespace: str | None = None,
) -> str:
    """Start a run of a compiled pipeline in an experiment, created if missing; returns the run's id.

    `namespace` is the user's, on a cluster with several.

    Raises:
        UserError: the arguments do not fit the pipeline, or the cluster refuses them.
    """
    check_arguments(spec, arguments)
    with _readable_errors(), redirect_stdout(StringIO()):  # the client prints links
        run = client.create_run_from_pipeline_package(
            str(spec), arguments=dict(arguments), experiment_name=experiment, namespace=namespace
        )
    return str(run.run_id)


def wait(client: Any, run_id: str, *, announce: Callable[[str, str], None], interval_seconds: float = 5.0) -> None:
    """Wait until a run has succeeded, printing each step's state as it changes.

    Raises:
        UserError: the run ended in any other state.
    """
    seen: dict[str, str] = {}
    while True:
        run = client.get_run(run_id)
        for task in (run.run_details.task_details or []) if run.run_details else []:
            if task.state and seen.get(task.display_name) != task.state:
                seen[task.display_name] = task.state
                announce(task.display_name, task.state)
        if (run.state or "").upper() in FINAL_STATES:
            break
        time.sleep(interval_seconds)
    if run.state.upper() != "SUCCEEDED":
        raise UserError(f"run {run_id} ended as {run.state}: {run.error.message if run.error else 'see its page'}")


def with_registry(spec: Path, registry: str, destination: Path) -> Path:
    """A copy of a compiled pipeline whose images come from `registry` ("registry.example.com/team")."""
    documents = list(yaml.safe_load_all(spec.read_text(encoding="utf-8")))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = f"{registry.rstrip('/')}/{executor['container']['image']}"
    with replacing(destination) as temporary:
        temporary.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    return destination


@contextmanager
def _readable_errors() -> Iterator[None]:
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise UserError(f"Kubeflow answered {error.status} {error.reason}: {error.body or ''}") from error
    except HTTPError as error:
        raise UserError(f"Kubeflow cannot be reached: {error}") from error
