"""Reports the results of a stage to MLflow: metrics, tags and files of a run."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from personsearch.errors import UserError
from personsearch.integrations.mlflow.connection import connect, experiment_id, first_line, tracking_run
from personsearch.integrations.mlflow.runs import TRACKING_URI

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """Figures and tags of a run, files to keep with it, and texts to keep as files of these names."""

    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Path] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


def log_report(stage: str, report: Report) -> None:
    """Log to the run named in MLFLOW_RUN_ID, which its owner ends, or to a new one named `stage`.

    Metric names start with the stage's name, and artifacts go into a folder of that name. Without MLFLOW_TRACKING_URI
    nothing happens. If the server is unreachable, a warning is logged and the stage continues.
    """
    uri = os.environ.get(TRACKING_URI)
    if not uri:
        return
    try:
        client = connect(uri)
        with tracking_run(client, experiment_id(client, uri), stage, tags={}) as run_id:
            _log(client, run_id, stage, report)
    except UserError as error:
        logger.warning("%s is not in MLflow: %s", stage, error)
    except Exception as error:  # MLflow's stores and HTTP clients share no base exception
        logger.warning("%s is not in MLflow: %s", stage, first_line(error) if str(error) else type(error).__name__)


def _log(client: "MlflowClient", run_id: str, stage: str, report: Report) -> None:
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(f"{stage}_{name}", float(value), now, 0) for name, value in report.metrics.items()],
        tags=[RunTag(name, value) for name, value in report.tags.items()],
    )
    for file in report.files:
        client.log_artifact(run_id, str(file), stage)
    for name, content in report.texts.items():
        client.log_text(run_id, content, f"{stage}/{name}")
