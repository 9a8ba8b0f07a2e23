"""Code shared by the bodies of Kubeflow components: configuration, metrics, a folder that survives a kill."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

import personsearch
from personsearch.addresses import is_address
from personsearch.config import Config, describe_validation_error
from personsearch.data.shards import is_packed, pack_folder, unpack
from personsearch.errors import UserError, explain
from personsearch.files import hash_file, locked, write_json

CHECKPOINTS_VARIABLE = "PERSONSEARCH_CHECKPOINTS"

STEP_PREFIX = "PERSONSEARCH_STEP_"
TRACKING_URI, RUN_ID = "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"

logger = logging.getLogger(__name__)

ConfigType = TypeVar("ConfigType", bound=Config)


class MetricsArtifact(Protocol):
    """The part of `kfp.dsl.Metrics` that a step writes to."""

    path: str

    def log_metric(self, metric: str, value: float) -> None: ...


def start_step(submitted: str = "") -> None:
    """Begin a step: refuse code other than that of whoever submitted the run, and take over the step's own variables.

    On a cluster the storage's keys and MLflow's address come as PERSONSEARCH_STEP_…: under their own names Kubeflow's
    launcher, in the same container, would read the keys as its own, and would set the address a second time.

    Raises:
        UserError: `submitted`, a `code_version`, names other code than this.
    """
    present = code_version()
    if submitted and submitted.partition("-")[0] != present:  # the demo appends what else its runs depend on
        raise UserError(
            f"this image holds version {present} of the code, and the run was submitted with {submitted}; build the "
            "images from that code, or submit from the code of the images (--image-tag, --digest)"
        )
    own = {name.removeprefix(STEP_PREFIX): value for name, value in os.environ.items() if name.startswith(STEP_PREFIX)}
    injected = os.environ.get(TRACKING_URI)
    if TRACKING_URI in own and injected not in (None, own[TRACKING_URI]) and RUN_ID in os.environ:
        del os.environ[RUN_ID]
        logger.warning("the run that Kubeflow opened in %s is not used: models are in %s", injected, own[TRACKING_URI])
    os.environ.update(own)


def code_version() -> str:
    """Identity of the library's code: 12 hex digits of a hash over its files, the same in a checkout and an image."""
    package = Path(personsearch.__file__).parent
    return identity_hash({str(p.relative_to(package)): hash_file(p) for p in sorted(package.rglob("*.py"))})[:12]


def parse_config(kind: type[ConfigType], values: Mapping[str, Any]) -> ConfigType:
    """A stage's configuration from a pipeline parameter.

    Kubeflow turns every number in a dictionary into a float. Integral ones are turned back into integers, because
    free-form parts of a configuration (an open_clip architecture) need integers.

    Raises:
        UserError: the values fail the stage's validation.
    """
    try:
        return kind.model_validate(_whole_numbers(values))
    except ValidationError as error:
        raise UserError(f"{kind.__name__}: {describe_validation_error(error, kind)}") from error


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole_numbers(item) for key, item in value.items()}
    return [_whole_numbers(item) for item in value] if isinstance(value, list) else value


def report_metrics(metrics: Mapping[str, float], artifact: MetricsArtifact) -> None:
    """Show metrics in the run's page and write them to the artifact's file.

    Without the file Kubeflow never caches a step that has a metrics artifact.
    """
    for name, value in metrics.items():
        artifact.log_metric(name, value)
    write_json(Path(artifact.path), dict(metrics))


def read_metrics(artifact: MetricsArtifact) -> dict[str, float]:
    """The metrics that an earlier step reported.

    Raises:
        UserError: the artifact is not a file of metrics.
    """
    try:
        return {name: float(value) for name, value in json.loads(Path(artifact.path).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{artifact.path}: not a file of metrics: {error}") from error


@contextmanager
def packed_folder(destination: Path) -> Iterator[Path]:
    """Yield the path of a folder to write; its files end up in `destination` in a few shards."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        yield Path(scratch) / "files"
        pack_folder(Path(scratch) / "files", destination)


@contextmanager
def unpacked_folder(source: Path, *, beside: Path) -> Iterator[Path]:
    """Yield a folder with the files of `source`: itself, or one beside a path if they are in shards.

    Raises:
        UserError: a shard is damaged.
    """
    if not is_packed(source):
        yield source
        return
    beside.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside.parent) as scratch:
        unpack(source, Path(scratch))
        yield Path(scratch)


@contextmanager
def resumable_folder(destination: Path, *identity: Any) -> Iterator[Path]:
    """Yield a folder named by `identity` for a stage that checkpoints; it moves to `destination` on success.

    A step that is killed and started again gets a new `destination` but finds its checkpoints, because their place
    lies below `PERSONSEARCH_CHECKPOINTS`, a folder, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`, and its name depends
    on `identity` alone.
    In a folder a second process with the same identity waits for the first. Without the variable the stage works in
    `destination`.

    Raises:
        UserError: the folder cannot be written, or the store cannot be reached.
    """
    root = os.environ.get(CHECKPOINTS_VARIABLE)
    if not root:
        destination.mkdir(parents=True, exist_ok=True)
        yield destination
        return
    if is_address(root):
        with _folder_in_store(root, identity_hash(*identity), destination) as folder:
            yield folder
        return
    folder = Path(root) / identity_hash(*identity)
    _check_writable(Path(root))
    with locked(folder.with_suffix(".lock")):
        folder.mkdir(exist_ok=True)
        yield folder
        deliver(folder, destination)
        shutil.rmtree(folder)


@contextmanager
def _folder_in_store(root: str, name: str, destination: Path) -> Iterator[Path]:
    """Yield a folder beside `destination` whose copy in the store outlives this machine."""
    from personsearch.integrations.objects.folder import StoredFolder, kept

    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        with kept(folder, StoredFolder(f"{root.rstrip('/')}/{name}")):
            yield folder
            deliver(folder, destination)


def deliver(folder: Path, destination: Path) -> None:
    """Copy what a stage leaves, without its checkpoints."""
    shutil.copytree(folder, destination, dirs_exist_ok=True, ignore=shutil.ignore_patterns("checkpoints"))


def _check_writable(root: Path) -> None:
    """Refuse a folder of checkpoints that this user cannot write, as a new volume is, which belongs to root."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise UserError(
            f"{root}: {CHECKPOINTS_VARIABLE} names it, and user {os.getuid()} cannot write there: {explain(error)}; "
            f"give the volume to user {os.getuid()} or one of its groups"
        ) from error


def identity_hash(*identity: Any) -> str:
    """16 hex digits that are equal for equal JSON values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
