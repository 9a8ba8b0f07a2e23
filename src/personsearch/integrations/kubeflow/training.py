"""The training step: here, or on several nodes by a TrainJob that it creates and follows.

What the nodes read and write lies in the object store below PERSONSEARCH_CHECKPOINTS: the data set under the run's name
and `-data`, checkpoints and at the end the result under the run's name, and under `-step` which pod follows them. So
nodes need no volume, and whoever tries a step again finds the TrainJob, or else its checkpoints.
"""

import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from personsearch.addresses import is_address
from personsearch.errors import UserError
from personsearch.integrations.kubeflow.steps import (
    CHECKPOINTS_VARIABLE,
    RUN_ID,
    deliver,
    identity_hash,
    resumable_folder,
)
from personsearch.integrations.kubeflow.trainjobs import DATA, STEP, Nodes, TrainJobs, is_evicted, manifest
from personsearch.integrations.mlflow.runs import mlflow_callbacks
from personsearch.integrations.objects.folder import StoredFolder
from personsearch.run_record import read_run_record
from personsearch.training.config import TrainConfig
from personsearch.training.launch import train_on_every_gpu

FOLLOWED_EVERY = timedelta(minutes=5)
NODE_PROGRAM = "personsearch.integrations.kubeflow.node"

logger = logging.getLogger(__name__)


def train_step(
    config: TrainConfig, dataset: Path, destination: Path, identity: Sequence[Any], nodes: Nodes
) -> dict[str, float]:
    """Train into `destination` and return the metrics: in this process, or for several nodes by a TrainJob.

    Raises:
        UserError: as training; or the TrainJob failed or cannot be created.
    """
    if nodes.count > 1:
        return train_on_nodes(config, dataset, destination, identity, nodes)
    with resumable_folder(destination, *identity) as folder:
        return train_on_every_gpu(config, dataset, folder, callbacks=mlflow_callbacks)


def train_on_nodes(
    config: TrainConfig, dataset: Path, destination: Path, identity: Sequence[Any], nodes: Nodes
) -> dict[str, float]:
    """Train by a TrainJob, which is deleted at the end, and when the run is cancelled.

    Raises:
        UserError: as `train_step`.
    """
    _check(config, nodes)
    name = identity_hash(*identity)
    place = f"{os.environ[CHECKPOINTS_VARIABLE].rstrip('/')}/{name}"
    data, result, turn = StoredFolder(f"{place}{DATA}"), StoredFolder(place), StoredFolder(f"{place}{STEP}")
    destination.parent.mkdir(parents=True, exist_ok=True)
    turn.claim()
    data.keep(dataset)
    data.sign()
    jobs, job = TrainJobs(), f"personsearch-{name}"
    command = ["python", "-m", NODE_PROGRAM, place, json.dumps(config.model_dump(mode="json"))]
    env = {RUN_ID: os.environ[RUN_ID]} if os.environ.get(RUN_ID) else {}
    with _deleted_when_cancelled(jobs, job):
        jobs.create_or_adopt(manifest(job, jobs.own_pod(), nodes, command, env))
        jobs.follow(job, lambda: _sign(data, turn))
    turn.check()
    metrics = _fetch(result, destination)
    jobs.delete(job)
    for stored in (result, data, turn):
        stored.forget()
    return metrics


def _sign(data: StoredFolder, turn: StoredFolder) -> None:
    """Say that this step follows the nodes, unless another pod of it does by now."""
    turn.check()
    data.sign(unless_within=FOLLOWED_EVERY)


def _check(config: TrainConfig, nodes: Nodes) -> None:
    root = os.environ.get(CHECKPOINTS_VARIABLE, "")
    if not is_address(root):
        raise UserError(
            f"nodes={nodes.count}: {CHECKPOINTS_VARIABLE} must name an object store, through which nodes get the data "
            f"set and keep checkpoints; it is {root!r}"
        )
    processes = nodes.count * nodes.processes
    if config.batch_size % processes:
        raise UserError(f"batch_size={config.batch_size}: a multiple of the {processes} processes expected")


def _fetch(result: StoredFolder, destination: Path) -> dict[str, float]:
    """Write what the first node has left in the store."""
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        folder = Path(scratch)
        record = read_run_record(folder) if result.restore(folder) else None
        if record is None:
            raise UserError(f"{result.place}: the TrainJob is complete, but left no result there; run the step again")
        deliver(folder, destination)
    return record.metrics


@contextmanager
def _deleted_when_cancelled(jobs: TrainJobs, name: str) -> Iterator[None]:
    """Delete the TrainJob when somebody ends this process; where its pod is only moved, the next try follows it."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        if is_evicted(jobs.own_pod()):
            logger.warning("this pod is moved: TrainJob %s continues, and the next try follows it", name)
        else:
            logger.warning("cancelled: TrainJob %s is deleted", name)
            jobs.delete(name)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
