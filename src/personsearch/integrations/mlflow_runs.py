"""Training figures to an MLflow run. A server that is away is told once and never stops a training."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from personsearch.training.callbacks import Callback

logger = logging.getLogger(__name__)

RUN_ID, TRACKING_URI = "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"
EXPERIMENT = "personsearch-training"
MAX_PARAMETER_LENGTH = 500


def mlflow_callbacks() -> Sequence[Callback]:
    """One callback where the environment names an MLflow run or server, else none."""
    if os.environ.get(RUN_ID) or os.environ.get(TRACKING_URI):
        return (MlflowCallback(),)
    return ()


class MlflowCallback:
    """Logs to the run named in MLFLOW_RUN_ID, which its owner ends, or to one of its own."""

    def __init__(self, uri: str | None = None, experiment: str = EXPERIMENT) -> None:
        self._uri, self._experiment = uri, experiment
        self._client: Any = None
        self._run_id = os.environ.get(RUN_ID, "")
        self._owned = not self._run_id
        self._away = False

    def on_start(self, config: Mapping[str, object]) -> None:
        def start() -> None:
            # MLflow's own default waits minutes for a server that is away.
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
            import mlflow

            self._client = mlflow.MlflowClient(self._uri)
            if self._owned:
                self._run_id = self._client.create_run(self._experiment_id()).info.run_id
            parameters = [mlflow.entities.Param(key, value[:MAX_PARAMETER_LENGTH]) for key, value in _flatten(config)]
            self._client.log_batch(self._run_id, params=parameters)

        self._guarded(start)

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        self._guarded(lambda: self._log(metrics, step))

    def on_epoch(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        self._guarded(lambda: self._log({**metrics, "epoch": epoch}, step))

    def on_end(self, metrics: Mapping[str, float]) -> None:
        def end() -> None:
            self._log({f"final_{name}": value for name, value in metrics.items()}, 0)
            if self._owned:
                self._client.set_terminated(self._run_id)

        self._guarded(end)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        return str(found.experiment_id if found else self._client.create_experiment(self._experiment))

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        import time

        import mlflow

        now = int(time.time() * 1000)
        batch = [mlflow.entities.Metric(name, float(value), now, step) for name, value in metrics.items()]
        self._client.log_batch(self._run_id, metrics=batch)

    def _guarded(self, action: Callable[[], None]) -> None:
        if self._away:
            return
        try:
            action()
        except Exception as error:
            self._away = True
            logger.warning("MLflow cannot be reached, this run is not logged further: %s", str(error)[:200])


def _flatten(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
