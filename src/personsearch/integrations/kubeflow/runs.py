"""Runs of compiled pipelines on this machine, each step in a subprocess or in a container of its image.

kfp's local cache is on: a step with the same component, image and arguments is taken from an earlier run, so a killed
run resumes at the step it had reached, and that step at its last checkpoint.
"""

import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from personsearch.config import nearest
from personsearch.errors import UserError
from personsearch.files import write_json
from personsearch.integrations.kubeflow.log import Step, StepLog, announce_plainly, last_words
from personsearch.integrations.kubeflow.steps import CHECKPOINTS_VARIABLE

if TYPE_CHECKING:
    from kfp.local import DockerRunner

PARAMETER_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "STRING": ((str,), "text"),
    "BOOLEAN": ((bool,), "true or false"),
    "NUMBER_INTEGER": ((int,), "an integer"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "LIST": ((list,), "a list"),
    "STRUCT": ((dict,), "a mapping"),
}


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """A finished run: its steps in the order they ran.

    `outputs` are the pipeline's own, an artifact as its path; `returned` holds what each
    step returned that was not cached.
    """

    folder: Path
    seconds: float
    steps: tuple[Step, ...]
    outputs: dict[str, Any]
    returned: dict[str, Any]


def run_locally(
    spec: Path,
    arguments: Mapping[str, Any],
    *,
    root: Path,
    mlflow_address: str | None = None,
    announce: Callable[[Step, str], None] = announce_plainly,
    containers: "DockerRunner | None" = None,
) -> PipelineRun:
    """Run a compiled pipeline and return when it ended; `root` keeps its runs, cache and checkpoints.

    `mlflow_address` is where steps log, unless the environment names another server. With `containers` each step runs
    in the image that the pipeline names, and its environment is that of the containers alone.

    Raises:
        UserError: an argument is unknown or missing, or a step failed; the message holds the step's own error.
    """
    name, tasks = check_arguments(spec, arguments)
    started = time.monotonic()
    root = root.resolve()
    folder = root / "runs" / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    log = StepLog(folder / "logs", announce)
    write_json(folder / "arguments.json", dict(arguments))
    steps = {CHECKPOINTS_VARIABLE: str(root / "checkpoints")}
    if mlflow_address is not None:
        steps["MLFLOW_TRACKING_URI"] = mlflow_address
    with _captured(log), _environment(steps):
        outputs = _execute(spec, arguments, root=root, folder=folder, log=log, containers=containers)
    for task in tasks:
        if task not in log.steps:
            log.record(Step(task, "skipped", 0.0, log.folder))
    run = PipelineRun(folder, time.monotonic() - started, tuple(log.steps.values()), outputs, _returned(folder))
    write_json(folder / "run.json", {"seconds": run.seconds, "steps": {s.name: s.state for s in run.steps}})
    return run


def parameters(spec: Path) -> dict[str, Any]:
    """The parameters of a compiled pipeline, by name.

    Raises:
        UserError: the file is not a compiled pipeline.
    """
    definitions: dict[str, Any] = _read(spec)["root"].get("inputDefinitions", {}).get("parameters", {})
    return definitions


def check_arguments(spec: Path, arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Check `arguments` against a compiled pipeline; returns its name and the names of its tasks.

    Raises:
        UserError: the file is not a compiled pipeline; an argument is unknown, of the wrong type, or missing.
    """
    content, known = _read(spec), parameters(spec)
    name = content["pipelineInfo"]["name"]
    if unknown := sorted(set(arguments) - set(known)):
        advice = "; ".join(f"parameter {key!r}: unknown; {nearest(key, known)}" for key in unknown)
        raise UserError(f"pipeline {name}: {advice}")
    required = {key for key, value in known.items() if not value.get("isOptional")}
    if missing := sorted(required - set(arguments)):
        raise UserError(f"pipeline {name}: parameter {', '.join(missing)} is missing; give it as --set NAME=VALUE")
    for key, value in arguments.items():
        expected, words = PARAMETER_TYPES[known[key]["parameterType"]]
        if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
            raise UserError(f"pipeline {name}: {key}={value!r}: {words} expected")
    return name, _task_names(content)


def _read(spec: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = next(yaml.safe_load_all(spec.read_text(encoding="utf-8")))
        _ = content["pipelineInfo"]["name"], content["root"]["dag"], content["components"]
    except (OSError, yaml.YAMLError, StopIteration, KeyError, TypeError) as error:
        raise UserError(f"{spec}: not a compiled pipeline: {error}") from error
    return content


def _task_names(content: Mapping[str, Any]) -> list[str]:
    graphs = [content["root"], *content["components"].values()]
    tasks = [task for graph in graphs for task in graph.get("dag", {}).get("tasks", {}).values()]
    components = content["components"]
    return [t["componentRef"]["name"][5:] for t in tasks if "executorLabel" in components[t["componentRef"]["name"]]]


def _execute(
    spec: Path,
    arguments: Mapping[str, Any],
    *,
    root: Path,
    folder: Path,
    log: StepLog,
    containers: "DockerRunner | None",
) -> dict[str, Any]:
    from kfp import components, local

    pipeline = components.load_component_from_file(str(spec))
    local.init(
        containers or local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder),
        enable_caching=True,
        cache_root=str(root / "cache"),
    )
    try:
        task = pipeline(**arguments)
    except RuntimeError as error:
        _explain(log, error)
    return {name: getattr(value, "path", value) for name, value in task.outputs.items()}


def _explain(log: StepLog, error: RuntimeError) -> NoReturn:
    failed = next((step for step in log.steps.values() if step.state == "failed"), None)
    if failed is None:
        raise error
    kind, message = last_words(failed.log)
    reason = message if kind in ("UserError", "") else f"{kind}: {message}"
    raise UserError(f"step {failed.name} failed: {reason} (log: {failed.log})") from error


def _returned(folder: Path) -> dict[str, Any]:
    written = sorted(folder.glob("*/*/executor_output.json"))
    outputs = {path.parent.name: json.loads(path.read_text()).get("parameterValues", {}) for path in written}
    return {step: values["Output"] for step, values in outputs.items() if "Output" in values}


@contextmanager
def _captured(log: StepLog) -> Iterator[None]:
    """Send kfp's output to `log`, without its warnings about settings that only a cluster uses."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = [logging.StreamHandler(log)]
    root.setLevel(logging.INFO)
    try:
        with redirect_stdout(log), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers = handlers
        root.setLevel(level)


@contextmanager
def _environment(defaults: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the steps unless the caller has set them."""
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
