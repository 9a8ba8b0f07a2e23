"""Connects to MLflow (a database or a server), and opens its experiment and the run that metrics belong to."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from personsearch.addresses import (
    describe_proxy,
    hide_credentials,
    is_on_this_machine,
    reach_this_machine_directly,
    split_credentials,
)
from personsearch.errors import EngineFailed, UserError, with_advice
from personsearch.files import private_file, private_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "personsearch"
REACH_SECONDS = 5.0
ADVICE = {
    "connection refused": "start the server, or correct PERSONSEARCH_MLFLOW_URI",
    "resolve webhook url hostname": "give an address whose host MLflow's server can resolve",
    "name or service not known": "correct PERSONSEARCH_MLFLOW_URI",
    "timed out": "the server is overloaded or stopped; the promoter tries again",
    "too many 50": "the server fails; its log says why",  # requests' words, after it has tried again
    "error code 401": "correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and restart the services",
    "error code 403": "let this user edit the model in MLflow",
    "readonly database": "make MLflow's database writable for its server",
    "read-only transaction": "let MLflow's server use the primary of its database",
    "disk is full": "free disk space on MLflow's server",
    "no space left": "free disk space on MLflow's server",
    "out-of-date database schema": "back up MLflow's database, then run `mlflow db upgrade` on it",
    "allowed schemes are": "MLflow sends to https and public addresses only, unless its server is started with "
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https and MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true",
    "non-public ip": "MLflow sends to public addresses only, unless its server is started with "
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true",
}
PROXY_FAILURES = (403, 407, 502, 503, 504)
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for the command's own result
}


def connect(uri: str) -> "MlflowClient":
    """A client of a database or server; it has answered once.

    User and password in a server's address are handed to MLflow in its own environment variables, because it would
    print an address that it cannot reach.

    Raises:
        UserError: it does not answer.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if uri.startswith(("http://", "https://")):
        uri = _with_credentials_apart(uri)
        _require_answer(uri)
    elif uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        private_folder(database.parent)
        private_file(database)
    else:
        _require_database(uri)
    import mlflow

    try:
        mlflow.set_tracking_uri(uri)  # MLflow's SQL store reads the global tracking URI when it resolves models:/…
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    except Exception as error:  # MLflow's stores and their database drivers share no base exception
        raise _unusable(uri, error) from error


def experiment_id(client: "MlflowClient", uri: str) -> str:
    """The experiment of this project; a database keeps its artifacts in the folder beside it."""
    from mlflow.exceptions import MlflowException

    location = None
    if uri.startswith("sqlite:///"):
        artifacts = (Path(uri.removeprefix("sqlite:///")).parent / "mlflow-artifacts").resolve()
        private_folder(artifacts)
        location = artifacts.as_uri()
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException:  # another process created it first
        return str(client.get_experiment_by_name(EXPERIMENT).experiment_id)


def log_metrics(client: "MlflowClient", run_id: str, metrics: Mapping[str, float], *, model_id: str) -> None:
    """Log metrics to a run, tied to the model they were measured on."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(name, float(value), now, 0, model_id=model_id) for name, value in metrics.items()])


@contextmanager
def tracking_run(client: "MlflowClient", experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """The run that MLFLOW_RUN_ID names, else one of our own."""
    given = os.environ.get("MLFLOW_RUN_ID")
    if given:
        yield given
        return
    run_id = client.create_run(experiment, run_name=name, tags=dict(tags)).info.run_id
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _with_credentials_apart(uri: str) -> str:
    try:
        address, user, password = split_credentials(uri)
    except ValueError as error:
        raise UserError(f"the address of MLflow: {error}") from None
    if user:
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = user, password
    return address


def _require_answer(uri: str) -> None:
    """Ask a server for a sign of life in MLflow's own way: its credentials, certificates and proxies."""
    if is_on_this_machine(uri):
        reach_this_machine_directly()
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    proxy = describe_proxy(uri)
    try:
        answer = http_request(
            get_default_host_creds(uri), "/health", "GET", max_retries=0, timeout=REACH_SECONDS, raise_on_status=False
        )
    except MlflowException as error:
        reason = with_advice(_innermost(error), ADVICE)
        raise EngineFailed("registry", f"{uri}: MLflow cannot be reached{proxy}: {reason}") from error
    if proxy and answer.status_code in PROXY_FAILURES:
        answered = f"{answer.status_code} {answer.reason}"
        raise EngineFailed("registry", f"{uri}: MLflow cannot be reached{proxy}: {answered}")


def _require_database(uri: str) -> None:
    """Connect to a database once: MLflow would try ten times, which takes 100 seconds, before it says why it cannot."""
    try:
        engine = sa.create_engine(uri)
    except (sa.exc.ArgumentError, ImportError):  # MLflow says which addresses it knows
        return
    try:
        engine.connect().close()
    except sa.exc.DBAPIError as error:
        raise _unusable(uri, error.orig or error) from error
    finally:
        engine.dispose()


def _unusable(uri: str, error: BaseException) -> EngineFailed:
    reason = with_advice(first_line(error), ADVICE)
    return EngineFailed("registry", f"{hide_credentials(uri)}: MLflow cannot be used there: {reason}")


def _innermost(error: BaseException) -> str:
    """What went wrong at the bottom: the errors of HTTP clients are chains that repeat the whole address."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return getattr(error, "strerror", None) or first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of an error: MLflow's messages are pages long, and the first line says what happened."""
    return hide_credentials((str(error).strip() or type(error).__name__).splitlines()[0])
