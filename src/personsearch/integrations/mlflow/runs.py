"""Logs training metrics to an MLflow run. An unreachable server causes one warning and never stops a training."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from personsearch.errors import UserError
from personsearch.integrations.mlflow.connection import connect, experiment_id, first_line
from personsearch.training.callbacks import Callback

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

RUN_ID, TRACKING_URI = "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"
LONGEST_VALUE = 500
PARAMETERS_PER_CALL = 100


def mlflow_callbacks() -> Sequence[Callback]:
    """One callback if MLFLOW_TRACKING_URI names a server or database, else none."""
    uri = os.environ.get(TRACKING_URI)
    return (MlflowCallback(uri),) if uri else ()


class MlflowCallback:
    """Logs to the run named in MLFLOW_RUN_ID, which its owner ends, or to a new one."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client: MlflowClient | None = None
        self._run_id = os.environ.get(RUN_ID, "")
        self._owned = not self._run_id

    def on_start(self, config: Mapping[str, object]) -> None:
        self._guarded(lambda: self._start(config))

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        self._log(metrics, step)

    def on_epoch(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        self._log({**metrics, "epoch": epoch}, step)

    def on_end(self, metrics: Mapping[str, float]) -> None:
        self._log({f"final_{name}": value for name, value in metrics.items()}, int(metrics.get("steps", 0)))
        client = self._client
        if client is not None and self._owned:
            self._guarded(lambda: client.set_terminated(self._run_id))

    def _start(self, config: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        client = connect(self._uri)
        if self._owned:
            self._run_id = client.create_run(experiment_id(client, self._uri), run_name="train").info.run_id
        parameters = [Param(key, value[:LONGEST_VALUE]) for key, value in _flatten(config)]
        for start in range(0, len(parameters), PARAMETERS_PER_CALL):
            client.log_batch(self._run_id, params=parameters[start : start + PARAMETERS_PER_CALL])
        self._client = client

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        client = self._client
        if client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        batch = [Metric(name, float(value), now, step) for name, value in metrics.items()]
        self._guarded(lambda: client.log_batch(self._run_id, metrics=batch))

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except UserError as error:
            self._give_up(str(error))
        except Exception as error:  # MLflow's stores and HTTP clients share no base exception
            self._give_up(first_line(error) if str(error) else type(error).__name__)

    def _give_up(self, reason: str) -> None:
        self._client = None
        logger.warning("training continues, but is no longer logged to MLflow: %s", reason)


def _flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
